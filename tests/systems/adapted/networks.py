from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from .config import Experiment


class AdaptedLayer(nn.Module):
    """y = (W + B A) x: W is the base, A and B are learned."""

    def __init__(self, width: int, rank: int, base: Path):
        super().__init__()
        self.base = nn.Linear(width, width, bias=False)
        self.base.load_state_dict(load_file(base))
        self.base.requires_grad_(False)
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


def build_network(network: str, experiment: Experiment, bases: dict[str, Path]) -> AdaptedLayer:
    return AdaptedLayer(experiment.layer.width, experiment.layer.rank, bases["base"])
