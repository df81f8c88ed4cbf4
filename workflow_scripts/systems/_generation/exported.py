"""Generators of pictures, and the network that finds the object, to be run elsewhere; see `training/exported.py`."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from workflow_scripts.systems._generation.config import GenerationExperiment
from workflow_scripts.training.data import pictures_to_float
from workflow_scripts.training.exported import Exported, Given, pictures_to_bytes, planes_to_bytes


def build_exported(
    network: str,
    load: Callable[[str], nn.Module],
    experiment: GenerationExperiment,
    shapes: Mapping[str, Sequence[int]],
) -> Exported:
    """Return a generator, of pictures alone or of pictures with masks, or the network that finds the object."""
    trained = load(network)
    return ExportedSegment(trained, experiment.squares.size) if network == "segment" else ExportedGenerator(trained)


class ExportedGenerator(Exported):
    """Random numbers and a class to `picture`, uint8 (N, S, S, 3), and of a generator of masks `mask`, (N, S, S).

    The note `classes` has the number of training items of each class, by which classes are drawn.
    """

    def __init__(self, network: nn.Module):
        counts = network.counts.tolist()
        inputs = {"noise": Given("noise", (network.latent,)), "class": Given("number", (), len(counts))}
        with torch.no_grad():
            channels = network(torch.zeros(1, network.latent), torch.zeros(1, dtype=torch.int64)).shape[1]
        outputs = ("picture", "mask") if channels == 4 else ("picture",)
        super().__init__(inputs, outputs, {"classes": " ".join(map(str, counts))})
        self.network = network

    def forward(self, noise: Tensor, label: Tensor) -> tuple[Tensor, ...]:
        """Map float32 (N, latent), standard normal, and int64 (N,)."""
        made = pictures_to_bytes(self.network(noise, label))
        return (made[..., :3], made[..., 3]) if "mask" in self.outputs else (made,)


class ExportedSegment(Exported):
    """Picture to `probability` of the object, uint8 (N, S, S)."""

    def __init__(self, network: nn.Module, size: int):
        super().__init__({"picture": Given("picture", (size, size, 3))}, ("probability",))
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor]:
        """Map RGB uint8 (N, S, S, 3)."""
        return (planes_to_bytes(torch.sigmoid(self.network(pictures_to_float(picture)))),)
