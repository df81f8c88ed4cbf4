"""Configuration of `diverse`: many plausible completions of one face, guided by keypoints.

Four networks complete faces, each of which may be absent: `flow`, which is ours; `pii` and `de`, the published family
of a variational encoder with a generator (PII-GAN, Cai & Wei 2020; DE-GAN, Zhang et al. 2022); `regression`, whose
only completion is the mean, as a baseline.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Fraction, Model
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import HoleFlowConfig, UNetConfig, compared
from workflow_scripts.systems._completion.config import CompletionExperiment
from workflow_scripts.systems.diverse.vae_gan_config import DeNetwork, PiiNetwork

METHODS = ("regression", "pii", "de", "flow")


class FlowNetwork(HoleFlowConfig):
    """Flow matching that is guided by keypoints."""

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
        return compared(self.flow.perceptual, self.flow.perceptual_weight) if network == "flow" else ()

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
