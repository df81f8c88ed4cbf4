"""The network that paints a face from its drawing, to be run elsewhere; see `training/exported.py`."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from workflow_scripts.systems._reenactment.config import ReenactmentExperiment
from workflow_scripts.training.data import pictures_to_float
from workflow_scripts.training.exported import Exported, Given, pictures_to_bytes


def build_exported(
    network: str,
    load: Callable[[str], nn.Module],
    experiment: ReenactmentExperiment,
    shapes: Mapping[str, Sequence[int]],
) -> Exported:
    """Return the network as it is applied by `inference: deterministic`."""
    return ExportedRender(load(network), shapes["input"][0])


class ExportedRender(Exported):
    """Drawing of a face's parts to `face`, uint8 (N, S, S, 3).

    A temporal network also takes `before`: its face for the frame before, black where there is none.
    """

    def __init__(self, network: nn.Module, size: int):
        picture = Given("picture", (size, size, 3))
        super().__init__({"drawing": picture} | ({"before": picture} if network.temporal else {}), ("face",))
        self.network = network

    def forward(self, drawing: Tensor, before: Tensor | None = None) -> tuple[Tensor]:
        """Map RGB uint8 (N, S, S, 3)."""
        shown = None if before is None else pictures_to_float(before)
        return (pictures_to_bytes(self.network(pictures_to_float(drawing), shown)),)
