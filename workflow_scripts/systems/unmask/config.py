"""Configuration of `unmask`: take the mask off a face (after Din et al. 2020, IEEE Access 8:44276)."""

from typing import Literal

from pydantic import Field, model_validator

from workflow_scripts.config.base import Model
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import UNetConfig
from workflow_scripts.systems._removal.config import Fill, Painter, RemovalExperiment


class EditLosses(Model):
    """What the editing network minimises: the weighted sum of these."""

    reconstruction: float = Field(100.0, ge=0, description="weight of l1, ssim and perceptual together")
    l1: float = Field(1.0, ge=0, description="share of the mean absolute difference (pictures in -1..1)")
    ssim: float = Field(1.0, ge=0, description="share of one minus structural similarity")
    perceptual: float = Field(
        1.0,
        ge=0,
        description="share of the mean absolute difference of features; published: 1; those of EfficientNet-Lite0 "
        "differ ten times as much as pictures, hence 0.1 in `edit`",
    )
    whole: float = Field(0.3, ge=0, description="weight of the discriminator of the whole picture; 0: none")
    mask: float = Field(0.7, ge=0, description="weight of the discriminator of the mask region; 0: none")
    hole: float = Field(
        1.0, ge=1, description="weight of a pixel inside the map in l1 and ssim, beside 1 outside; published: 1"
    )
    composite: bool = Field(
        False,
        description="`true`: perceptual network and whole discriminator see the output inside the map and the input "
        "outside it, which is what the result will be; published: the output",
    )
    adversarial: Literal["non_saturating", "minimax"] = Field(
        "non_saturating", description="the generator's side of the game; the discriminators play minimax"
    )


class EditNetwork(Painter):
    """The network that paints the face below the occluder."""

    unet: UNetConfig = UNetConfig(max_channels=512, squeeze_excitation=[1, 2], atrous=True)
    fill: Fill = Field(
        "none",
        description="what the predicted map's region is filled with before the network sees it, as in `moustache`: "
        "`around` hides the occluder's colour, which a short training would copy into the face; published: `none`",
    )
    residual: bool = Field(
        False, description="the network adds to its input instead of painting all anew; published: `false`"
    )
    perceptual: Literal["none", "efficientnet_lite0", "vgg19"] = Field(
        "efficientnet_lite0", description="network whose features are compared; published: `vgg19`"
    )
    discriminator_channels: int = Field(64, ge=1, description="channels of the discriminators' first layer")
    mask_start: float = Field(
        0.5, ge=0, le=1, description="fraction of the training after which the mask discriminator joins"
    )
    losses: EditLosses = EditLosses(perceptual=0.1, hole=6, composite=True)
    training: Training = Training(
        epochs=100, learning_rate=2e-4, betas=(0.5, 0.999), schedule="cosine", ema=0.999, clip=100.0, flip=True
    )

    def check_painter_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for crops of `size` pixels that are too small for the network's depth."""
        self.unet.check_size(f"{where}.unet", size)


class Experiment(RemovalExperiment):
    """Put masks on faces, learn to find them and to take them off; score on faces never seen."""

    system: Literal["unmask"]
    edit: EditNetwork = EditNetwork()

    @model_validator(mode="after")
    def _squeeze_excitation_has_its_block(self):
        for name in self.networks:
            unet = getattr(self, name).unet
            halves = unet.blocks // 2
            if max(unet.squeeze_excitation, default=0) > halves:
                raise ValueError(
                    f"{name}.unet.squeeze_excitation: {unet.blocks} blocks have {halves} encoder blocks; "
                    f"write for example `squeeze_excitation: {list(range(1, halves + 1))}`"
                )
        return self
