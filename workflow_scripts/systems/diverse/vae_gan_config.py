"""Keys of the published family: a variational encoder of styles, a generator, and discriminators."""

from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Model
from workflow_scripts.config.training import Training

Side = Literal[64, 128, 256]


class PiiLosses(Model):
    """Weights of the losses of PII-GAN; 0: none."""

    adversarial: float = Field(0.001, ge=0, description="what both critics say of completions of random latents")
    kl: float = Field(
        0.1, ge=0, description="divergence of the extractor's latents from standard normal ones, summed over the latent"
    )
    reconstruction: float = Field(
        1.2, ge=0, description="L1 in the hole, when the latent is the extractor's, of the true picture"
    )
    context: float = Field(1.2, ge=0, description="L1 outside the hole, whichever latent it is")
    coarse: float = Field(1.2, ge=0, description="of the coarse picture's L1, relative to the fine one's")
    latent: float = Field(
        1.2, ge=0, description="L1 between a random latent and the extractor's mean of its completion"
    )
    penalty: float = Field(10.0, ge=0, description="gradient penalty of the critics")


class PiiNetwork(Model):
    """PII-GAN (Cai and Wei 2020): a style extractor, a generator of two stages, two Wasserstein critics."""

    side: Side = Field(128, description="pixels of the pictures, which the dense layers are made for; published: 128")
    channels: int = Field(32, ge=2, multiple_of=2, description="of the generator's first layer")
    latent: int = Field(
        64, ge=2, description="side of the map of random numbers that is laid over the square around the hole"
    )
    extractor_channels: int = Field(64, ge=1, description="of the style extractor's first layer")
    critic_channels: int = Field(64, ge=1, description="of each critic's first layer")
    critic_steps: int = Field(5, ge=1, description="updates of the critics for each one of the generator")
    guided: bool = Field(
        True,
        description="the generator sees the drawing of the keypoints, and the extractor drawing, hole and face part",
    )
    losses: PiiLosses = PiiLosses()
    training: Training = Training(epochs=40, learning_rate=1e-4, betas=(0.5, 0.9), keep="last", flip=True)

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for pictures of `size` pixels when the network is made for others."""
        check_side(where, self.side, size)


class DeLosses(Model):
    """Weights of the losses of DE-GAN, for pictures and drawings in 0..1; 0: none."""

    image: float = Field(4000.0, ge=0, description="L1 of the picture, half as much where there is no face")
    part: float = Field(4000.0, ge=0, description="L1 of the face alone, that the embedding network draws")
    mask: float = Field(4000.0, ge=0, description="cross entropy of the face's mask, that the embedding network draws")
    landmarks: float = Field(2000.0, ge=0, description="cross entropy of the keypoints' drawing")
    prior: float = Field(30.0, ge=0, description="what discriminators of the embedding's latents say")
    patch: float = Field(30.0, ge=0, description="what the patch discriminator says")
    whole: float = Field(20.0, ge=0, description="what the discriminator of the whole picture says")
    kl: float = Field(
        1.0, ge=0, description="divergence of the style from standard normal numbers, summed over the style; ours"
    )
    style: float = Field(
        100.0, ge=0, description="L1 between a random style and the extractor's mean of its completion; ours"
    )


class DeNetwork(Model):
    """DE-GAN (Zhang et al. 2022): a U-Net with the latents of mask, part and landmarks at its bottleneck."""

    side: Side = Field(256, description="pixels of the pictures, which the dense layers are made for; published: 256")
    channels: int = Field(32, ge=1, description="of the first layers of U-Net and encoders")
    latent: int = Field(256, ge=4, description="random numbers of each of the two encoders")
    style: int = Field(
        0,
        ge=0,
        description="random numbers of a style, that an extractor takes from the true picture and the encoders see, as "
        "in Valdivia Ramos's report; 0: as published, without extractor",
    )
    up: Literal["transposed_conv", "nearest"] = Field(
        "nearest",
        description="how the U-Net doubles its side; `transposed_conv` as published, `nearest`: no checkerboard",
    )
    extractor_channels: int = Field(64, ge=1, description="of the style extractor's first layer")
    critic_channels: int = Field(32, ge=1, description="of each discriminator's first layer")
    guided: bool = Field(
        True,
        description="encoders and U-Net see the drawing of the keypoints, and the extractor drawing, hole and part",
    )
    losses: DeLosses = DeLosses()
    training: Training = Training(epochs=40, learning_rate=2e-4, betas=(0.5, 0.999), keep="last", flip=True)

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for pictures of `size` pixels when the network is made for others, or for odd latents."""
        check_side(where, self.side, size)
        places = (self.side // 16) ** 2
        for name in ("latent", "style"):
            if getattr(self, name) % places:
                raise ValueError(
                    f"{where}.{name}: the latent is joined to {places} places, so write a multiple of {places}"
                )


def check_side(where: str, side: int, size: int) -> None:
    """Raise `ValueError` when a network for pictures of `side` pixels gets those of `size` pixels."""
    if side != size:
        raise ValueError(f"{where}.side: the pictures have {size} pixels and not {side}; write `side: {size}`")
