"""The networks of `objects`: generators of pictures, their discriminators, and one that finds the object."""

import torch
from torch import Tensor, nn

from workflow_scripts.models.gan import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
    ResidualDiscriminator,
    ResidualGenerator,
    normalise_spectrally,
)
from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._generation.config import channels_of
from workflow_scripts.systems.objects.config import Experiment

GENERATORS = {"residual": ResidualGenerator, "dcgan": ConvolutionalGenerator}


class Generator(nn.Module):
    """What it generates pictures with, and how many training items each class has.

    Attributes:
        counts: int64 (classes,), of the training items; 0 for classes that are not yet used.
    """

    def __init__(self, experiment: Experiment, outputs: int):
        super().__init__()
        config, self.latent = experiment.gan, experiment.gan.latent
        self.network = GENERATORS[config.architecture](
            config.latent, config.channels, outputs, experiment.squares.size, experiment.classes
        )
        counts = torch.zeros(experiment.classes, dtype=torch.int64)
        counts[0] = 1
        self.register_buffer("counts", counts)

    def classes_at(self, places: Tensor) -> Tensor:
        """Return the classes int64 (N,) at places (N,) in [0, 1) of all training items, ordered by class."""
        bounds = self.counts.double().cumsum(0) / self.counts.sum()
        return torch.searchsorted(bounds, places.double(), right=True)

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        """Map random vectors (N, latent) and classes int64 (N,) to pictures (N, 3 or 4, S, S) in -1..1."""
        return self.network(latents, classes)


class SegmentModule(nn.Module):
    """Where is the object? It returns logits; their sigmoid is the probability."""

    def __init__(self, experiment: Experiment):
        super().__init__()
        self.unet = UNet(experiment.segment.unet, inputs=3, outputs=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in -1..1 to logits float32 (N, 1, S, S)."""
        return self.unet(pictures)


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds."""
    return SegmentModule(experiment) if network == "segment" else Generator(experiment, channels_of(network))


def build_discriminator(experiment: Experiment, inputs: int) -> nn.Module:
    """Return the untrained discriminator of pictures of so many channels."""
    config, size = experiment.gan, experiment.squares.size
    if config.architecture == "dcgan":
        network: nn.Module = ConvolutionalDiscriminator(
            inputs, config.channels, size, experiment.classes, config.needs_batch_norm
        )
    else:
        network = ResidualDiscriminator(inputs, config.channels, size, experiment.classes)
    return normalise_spectrally(network) if config.spectral_norm else network
