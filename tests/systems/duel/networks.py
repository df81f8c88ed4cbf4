import torch
from torch import Tensor, nn

from .config import Experiment, Generator


class NoisyGenerator(nn.Module):
    """y = reach tanh(W [x, z]): a completion of x for each noise z."""

    def __init__(self, config: Generator):
        super().__init__()
        self.reach = config.reach
        self.layer = nn.Linear(2 * config.width, config.width)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.reach * torch.tanh(self.layer(torch.cat([x, noise], dim=1)))


def build_network(network: str, experiment: Experiment) -> NoisyGenerator:
    return NoisyGenerator(experiment.generator)
