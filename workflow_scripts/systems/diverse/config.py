"""Configuration of `diverse`: many plausible completions of one face, guided by keypoints.

Four networks complete faces, each of which may be absent: `flow`, which is ours; `pii` and `de`, the published family
of a variational encoder with a generator (PII-GAN, Cai & Wei 2020; DE-GAN, Zhang et al. 2022); `regression`, whose
only completion is the mean, as a baseline.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.config.base import Fraction, Model
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import UNetConfig
from workflow_scripts.systems._completion.config import CompletionExperiment
from workflow_scripts.systems.diverse.vae_gan_config import DeNetwork, PiiNetwork

METHODS = ("regression", "pii", "de", "flow")


class FlowUNetConfig(Model):
    """A U-Net of residual blocks that also sees a time."""

    channels: list[Annotated[int, Field(ge=8, multiple_of=8)]] = Field(
        [64, 128, 192, 256], min_length=2, description="of each level; a level has half the side of the one before"
    )
    blocks: int = Field(2, ge=1, description="residual blocks of a level, on the way down and on the way up")
    attention: bool = Field(True, description="the deepest level compares all its places with each other")
    dropout: Fraction = Field(0.0, description="rate in residual blocks")

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` where a grid of `size` by `size` cells cannot be halved for every level."""
        halvings = len(self.channels) - 1
        if size % 2**halvings or size >> halvings < 4:
            raise ValueError(
                f"{where}.channels: {halvings + 1} levels need a side that is a multiple of {2**halvings} and leave at "
                f"least 4 cells of it; {size} does not. Write fewer channels"
            )


class FlowNetwork(Model):
    """Conditional flow matching over the hole (rectified flow, Liu et al. 2022; Lipman et al. 2023)."""

    cell: Literal[1, 2, 4, 8] = Field(
        4,
        description="pixels; side of the cells in which `mean` and the flow say what a completion looks like. What is "
        "finer is painted by `detail`, alike for the same cells",
    )
    mean: UNetConfig = Field(
        UNetConfig(blocks=7, channels=64, max_channels=256),
        description="the network that gives the mean of all completions and how far they spread, from where the flow "
        "begins",
    )
    unet: FlowUNetConfig = Field(FlowUNetConfig(), description="the flow's network")
    detail: UNetConfig = Field(
        UNetConfig(blocks=7, channels=16, max_channels=128),
        description="the network that paints the picture of cells",
    )
    perceptual: Literal["none", "efficientnet_lite0", "vgg19"] = Field(
        "efficientnet_lite0", description="network whose features of details are compared with those of the true face"
    )
    perceptual_weight: float = Field(0.1, ge=0, description="weight of the mean absolute difference of its features")
    steps: int = Field(8, ge=1, le=200, description="steps from noise to picture when it is applied")
    guidance: float = Field(
        1.0,
        ge=0,
        le=10,
        description="weight of the keypoints when it is applied: 0 without them, 1 with them, above 1 overstated",
    )
    drop_keypoints: Fraction = Field(0.15, description="share of training items that are shown without keypoints")
    training: Training = Training(
        epochs=40, batch_size=16, learning_rate=5e-4, betas=(0.9, 0.99), schedule="cosine", ema=0.999, flip=True
    )

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for pictures of `size` pixels that do not fit the network's levels."""
        self.detail.check_size(f"{where}.detail", size)
        if size % self.cell:
            raise ValueError(
                f"{where}.cell: {size} pixels are no whole number of cells of {self.cell}; write `cell: 1`"
            )
        self.mean.check_size(f"{where}.mean", size // self.cell)
        self.unet.check_size(f"{where}.unet", size // self.cell)


class RegressionNetwork(Model):
    """A U-Net that paints the mean of all completions: what a mean absolute difference asks for."""

    unet: UNetConfig = UNetConfig(blocks=9, channels=32, max_channels=512)
    training: Training = Training(epochs=20, learning_rate=1e-3, schedule="cosine", ema=0.999, flip=True)

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for pictures of `size` pixels that are too small for the network's depth."""
        self.unet.check_size(f"{where}.unet", size)


class Experiment(CompletionExperiment):
    """An experiment of the system `diverse`."""

    system: Literal["diverse"]
    flow: FlowNetwork | None = Field(FlowNetwork(), description="ours: flow matching; null: absent")
    regression: RegressionNetwork | None = Field(RegressionNetwork(), description="the mean completion; null: absent")
    pii: PiiNetwork | None = Field(None, description="PII-GAN; null: absent")
    de: DeNetwork | None = Field(None, description="DE-GAN; null: absent")

    @property
    def completers(self) -> tuple[str, ...]:
        """Return the names of the networks that complete faces, in the order of training."""
        return tuple(name for name in METHODS if getattr(self, name) is not None)

    def weights_of(self, network: str) -> tuple[str, ...]:
        """Return the pretrained networks that a network's training needs."""
        if network != "flow" or self.flow.perceptual == "none" or not self.flow.perceptual_weight:
            return ()
        return (self.flow.perceptual,)

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Refuse networks that the pictures are too small for, and what would part faces and landmarks."""
        super().check(where, sources)
        size = self.size or sources[self.train[0]].crop.size
        for name in self.networks:
            network = getattr(self, name)
            network.check_size(f"{where}.{name}", size)
            if network.training.enlarge > 1:
                raise ValueError(
                    f"{where}.{name}.training: `enlarge` would move the picture and not its landmarks; leave it out, "
                    "`flip`, `move` and `jitter` do"
                )
