"""The networks that find landmarks in holes and complete faces, to be run elsewhere; see `training/exported.py`."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from workflow_scripts.systems._completion.config import CompletionExperiment
from workflow_scripts.systems._completion.networks import Completer, KeypointFinder
from workflow_scripts.training.data import maps_to_float, pictures_to_float
from workflow_scripts.training.exported import Exported, Given, pictures_to_bytes


def build_exported(
    network: str,
    load: Callable[[str], nn.Module],
    experiment: CompletionExperiment,
    shapes: Mapping[str, Sequence[int]],
) -> Exported:
    """Return the network that finds keypoints, or one that completes."""
    size = shapes["target"][0]
    trained = load(network)
    return ExportedKeypoints(trained, size) if network == "keypoints" else ExportedCompleter(trained, size)


class ExportedKeypoints(Exported):
    """Picture and hole to `points`, float32 (N, 68, 2), and `spread`, float32 (N, 68), both in pixels."""

    def __init__(self, network: KeypointFinder, size: int):
        inputs = {"picture": Given("picture", (size, size, 3)), "hole": Given("plane", (size, size))}
        super().__init__(inputs, ("points", "spread"))
        self.network = network

    def forward(self, picture: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Map RGB uint8 (N, S, S, 3), and uint8 (N, S, S), 255 in the hole; what lies in it is not looked at."""
        cover = maps_to_float(hole)
        return self.network(pictures_to_float(picture) * (1 - cover), cover)


class ExportedCompleter(Exported):
    """Picture and hole to `composite`, uint8 (N, S, S, 3): one completion for each draw of `noise`.

    `drawing` is that of the keypoints (`faces/drawings.py`); `uncertainty` is the mean `spread` of those in the hole
    over the side, 0 where they are known. A network that completes in one way takes no noise. The knob of diversity is
    a factor of the noise.
    """

    def __init__(self, network: Completer, size: int):
        picture, plane = Given("picture", (size, size, 3)), Given("plane", (size, size))
        inputs = {"picture": picture, "hole": plane, "drawing": picture, "uncertainty": Given("fraction", ())}
        super().__init__(inputs | {"noise": Given("noise", network.latent_shape(size))}, ("composite",))
        self.network = network

    def forward(
        self, picture: Tensor, hole: Tensor, drawing: Tensor, uncertainty: Tensor, noise: Tensor
    ) -> tuple[Tensor]:
        """Map RGB uint8 (N, S, S, 3), uint8 (N, S, S), RGB uint8 (N, S, S, 3), float32 (N,) and (N, …)."""
        cover = maps_to_float(hole)
        holed = pictures_to_float(picture) * (1 - cover)
        unsure = uncertainty[:, None, None, None]
        painted = self.network.complete(holed, cover, pictures_to_float(drawing), unsure, noise)
        return (torch.where(hole[..., None] > 0, pictures_to_bytes(painted), picture),)
