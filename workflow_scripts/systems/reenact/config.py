"""Configuration of `reenact`: drive one person's face with another's landmarks.

pix2pix (Isola et al. 2017, CVPR) from drawings of the parts of a face to the face, after a student report that trained
it on two videos.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import Pix2PixConfig, compared
from workflow_scripts.systems._reenactment.config import ReenactmentExperiment

HEADS = ("head", "whole")  # frames of a crop in which a head moves
VIDEOS = ("video", "sample_video")  # types of sources whose items have an order in time


class RenderNetwork(Pix2PixConfig):
    """pix2pix: the network that paints the face which a drawing stands for."""

    variant: Literal["original", "tensorflow"] = Field(
        "original",
        description="`original`: the authors' code, where each picture is normalised by its own statistics; "
        "`tensorflow`: TensorFlow's tutorial, where moving statistics of the training are used when it is applied",
    )
    discriminator_channels: int = Field(64, ge=1, description="channels of the discriminator's first layer")
    temporal: bool = Field(
        False,
        description="the network also sees the frame before, when it is applied: its own output before; "
        "published: `false`",
    )
    references: int = Field(
        0,
        ge=0,
        le=32,
        description="training frames that the network holds and warps onto the landmarks that are drawn, to show their "
        "detail where it fits; published: 0. A checkpoint then contains these pictures of the person",
    )
    l1: float = Field(100.0, ge=0, description="weight of the mean absolute difference (pictures in -1..1)")
    adversarial: float = Field(
        0.1, ge=0, description="weight of the conditional discriminator's verdict; published: 1; 0: none"
    )
    perceptual: Literal["none", "efficientnet_lite0", "vgg19"] = Field(
        "efficientnet_lite0", description="network whose features are compared; published: `none`"
    )
    perceptual_weight: float = Field(2.0, ge=0, description="weight of the mean absolute difference of its features")
    training: Training = Training(
        epochs=50,
        batch_size=4,
        learning_rate=2e-4,
        betas=(0.5, 0.999),
        schedule="cosine",
        ema=0.999,
        move=0.05,
    )

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for crops that reflection cannot pad, and for a batch that leaves nothing to normalise."""
        self.check_padding(where, size)
        if self.training.batch_size == 1 and not self.normalises_one(size):
            raise ValueError(
                f"{where}.training.batch_size: {self.halvings} halvings leave one pixel of crops of {size}, "
                "which batch normalisation cannot normalise alone; write `batch_size: 2` or `variant: original`"
            )

    def normalises_one(self, size: int) -> bool:
        """Return whether one picture of `size` pixels can be normalised by its own statistics in every block."""
        return self.variant == "original" or not self.ends_in_one(size)


class Experiment(ReenactmentExperiment):
    """Learn one person's face from a video, and drive it with the landmarks of others."""

    system: Literal["reenact"]
    render: RenderNetwork = RenderNetwork()

    @property
    def networks(self) -> tuple[str, ...]:
        """Return the networks' names in the order of training."""
        return ("render",)

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kinds of shards that a network is trained on."""
        return ("drawings",)

    def weights_of(self, network: str) -> tuple[str, ...]:
        """Return the pretrained networks that a network's training needs."""
        return compared(self.render.perceptual, self.render.perceptual_weight)

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Refuse to learn more than one person, and sources without time or with crops that hold a head still."""
        if len(self.train) != 1:
            raise ValueError(f"{where}.train: one person is learned; write one source, as `train: [{self.train[0]}]`")
        for key in ("train", "test", "apply"):
            for name in getattr(self, key):
                if sources[name].type not in VIDEOS:
                    raise ValueError(
                        f"{where}.{key}: {name!r} is no source of type {' or '.join(VIDEOS)}; frames need their order"
                    )
                if sources[name].crop.frame not in HEADS:
                    raise ValueError(
                        f"sources.{name}.crop.frame: `{sources[name].crop.frame}` turns and moves a face so that it "
                        "stands still, and nothing is left to be driven; write `crop: {frame: head}`"
                    )
        if self.inference == "published" and not self.render.normalises_one(sources[self.train[0]].crop.size):
            raise ValueError(
                f"{where}.inference: {self.render.halvings} halvings leave one pixel, which has no statistics of its "
                f"own; write `inference: deterministic` or `halvings: {self.render.halvings - 1}`"
            )
        if self.render.training.jitter:
            raise ValueError(
                f"{where}.render.training.jitter: the colours of the face are what is learned; write `jitter: 0`"
            )
