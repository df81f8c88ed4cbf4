"""Configuration of `moustache`: take the moustache off a face.

After the student report of J. Carrasco, I. López and I. Perdomo (2023), whose networks follow TensorFlow's tutorials.
"""

from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Model
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import Pix2PixConfig
from workflow_scripts.occluders._config import Occluders
from workflow_scripts.systems._removal.config import Difference, Fill, MapNetwork, Painter, RemovalExperiment

STYLES = ("chevron", "handlebar", "pencil", "toothbrush", "walrus")


class PaintLosses(Model):
    """What the editing network minimises: the weighted sum of these."""

    l1: float = Field(100.0, ge=0, description="weight of the mean absolute difference (pictures in -1..1)")
    adversarial: float = Field(1.0, ge=0, description="weight of the conditional discriminator's verdict; 0: none")
    perceptual: float = Field(
        10.0, ge=0, description="weight of the mean absolute difference of features; published: 0"
    )
    hole: float = Field(
        10.0, ge=1, description="weight of a pixel inside the map in l1, beside 1 outside; published: 1"
    )


class PaintNetwork(Painter):
    """The network that paints the skin below the moustache."""

    fill: Fill = Field(
        "around",
        description="what the predicted map's region is filled with before the network sees it: random colours drawn "
        "by the item's name (published), grey, the picture's mean colour outside the map, the colours around it "
        "continued smoothly, or nothing",
    )
    residual: bool = Field(
        True, description="the network paints what the filled picture lacks, not all anew; published: `false`"
    )
    sees_map: bool = Field(True, description="the network is also shown the map; published: `false`")
    generator: Pix2PixConfig = Pix2PixConfig(halvings=5)
    discriminator_channels: int = Field(64, ge=1, description="channels of the discriminator's first layer")
    perceptual: Literal["none", "efficientnet_lite0", "vgg19"] = Field(
        "efficientnet_lite0", description="network whose features are compared; published: `none`"
    )
    losses: PaintLosses = PaintLosses()
    training: Training = Training(
        epochs=30, learning_rate=2e-4, betas=(0.5, 0.999), schedule="cosine", ema=0.999, flip=True, save_every=200
    )

    def check_painter_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for crops that reflection cannot pad, and for a batch that leaves nothing to normalise."""
        self.generator.check_padding(f"{where}.generator", size)
        if self.generator.ends_in_one(size) and self.training.batch_size == 1:
            raise ValueError(
                f"{where}.training.batch_size: {self.generator.halvings} halvings leave one pixel of crops of {size}, "
                "which batch normalisation cannot normalise alone; write `batch_size: 2`"
            )


class Experiment(RemovalExperiment):
    """Put moustaches on faces, learn to find them and to take them off; score on faces never seen."""

    system: Literal["moustache"]
    occluders: Occluders = Occluders(mix=dict.fromkeys(STYLES, 0.2), unless=["Mustache", "Goatee"])
    difference: Difference = Difference(drawn="coverage", opening=0)
    map: MapNetwork = MapNetwork(dice=1, mirror=True)
    edit: PaintNetwork = PaintNetwork()
