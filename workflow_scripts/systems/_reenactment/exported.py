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

    A network with references also takes `landmarks`, those that are drawn, and a temporal one `before`: its face for
    the frame before, black where there is none.
    """

    def __init__(self, network: nn.Module, size: int):
        picture = Given("picture", (size, size, 3))
        landmarks = {"landmarks": Given("points", (68, 2), size)} if network.references else {}
        before = {"before": picture} if network.temporal else {}
        super().__init__({"drawing": picture} | landmarks | before, ("face",))
        self.network = network

    def forward(self, *given: Tensor) -> tuple[Tensor]:
        """Map RGB uint8 (N, S, S, 3), and landmarks float32 (N, 68, 2) in pixels."""
        named = dict(zip(self.inputs, given, strict=True))
        recalled = self.network.recall(named["landmarks"]) if "landmarks" in named else None
        before = pictures_to_float(named["before"]) if "before" in named else None
        return (pictures_to_bytes(self.network(pictures_to_float(named["drawing"]), before, recalled)),)
