"""The generator of DE-GAN (Zhang et al. 2022): latents of the face's mask, part and landmarks, and a U-Net.

Two encoders see what is left of the picture. Landmarks are drawn from the latent of the one, the face's mask and the
face itself from both: a hierarchical variational autoencoder. The same latents join the bottleneck of the U-Net.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.critics import RELU_GAIN, initialised, strided_layers
from workflow_scripts.systems.diverse.vae_gan_config import DeNetwork

HALVINGS = 4  # of the U-Net; its bottleneck and the decoders' first layers have side / 16


class Embedding(NamedTuple):
    """The latents of one face: `face` and `landmarks`, (N, latent) each."""

    face: Tensor
    landmarks: Tensor

    @property
    def both(self) -> Tensor:
        """Return the joint latent (N, 2 * latent)."""
        return torch.cat(self, dim=1)


class FaceEncoder(nn.Module):
    """Five 4x4 convolutions of stride 2, then mean and standard deviation of the latent.

    Args:
        inputs: channels of the input.
        channels: of the first layer, doubled from layer to layer; 32 as published.
        side: pixels of the input.
        latent: numbers of the latent; 256 as published.
    """

    def __init__(self, inputs: int, channels: int, side: int, latent: int):
        super().__init__()
        self.layers = strided_layers([inputs, *(channels * 2**level for level in range(5))], 4)
        features = 16 * channels * (side // 32) ** 2
        self.mean = nn.Linear(features, latent)
        self.deviation = nn.Linear(features, latent)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the latent float32 (N, latent) of pictures (N, inputs, side, side), with normal noise (N, latent)."""
        features = self.layers(x).flatten(1)
        with torch.autocast(x.device.type, enabled=False):
            return self.mean(features.float()) + F.softplus(self.deviation(features.float())) * noise


class EmbeddingDecoder(nn.Sequential):
    """Four transposed 4x4 convolutions from a latent, laid out over side / 16 places, to logits of a picture.

    Args:
        inputs: numbers of the latent over the number of places.
        channels: of the first layer, halved from layer to layer; 128 as published.
        outputs: channels of the picture.
    """

    def __init__(self, inputs: int, channels: int, outputs: int):
        widths = [inputs, *(max(channels >> level, 1) for level in range(4))]
        layers: list[nn.Module] = []
        for before, width in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, width, 4, 2, 1), nn.ReLU(), nn.BatchNorm2d(width)]
        initialised(nn.Sequential(*layers), RELU_GAIN)
        super().__init__(*layers, nn.Conv2d(widths[-1], outputs, 1))


class LatentUNet(nn.Module):
    """A U-Net of 3x3 convolutions without normalisation; a latent joins its bottleneck.

    Args:
        inputs: channels of the input.
        channels: of the first level, doubled from level to level; 32 as published.
        joined: channels of the latent at the bottleneck.
        up: `transposed_conv` as published, or `nearest`, which enlarges and then convolves.
    """

    def __init__(self, inputs: int, channels: int, joined: int, up: str):
        super().__init__()
        widths = [channels * 2**level for level in range(HALVINGS + 1)]
        self.downs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, width, 3, 2 if level else 1, 1),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, 1, 1),
                nn.ReLU(),
            )
            for level, (before, width) in enumerate(zip([inputs, *widths], widths, strict=False))
        )
        belows = [widths[-1] + joined, *widths[-2:0:-1]]
        self.ups = nn.ModuleList(
            nn.Sequential(doubling(below, width, up), nn.ReLU())
            for below, width in zip(belows, widths[-2::-1], strict=True)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * width, width, 3, 1, 1), nn.ReLU()) for width in widths[-2::-1]
        )
        for layers in (self.downs, self.ups, self.blocks):
            initialised(layers, RELU_GAIN)
        self.head = nn.Conv2d(channels, 3, 3, 1, 1)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Map (N, inputs, S, S) and a latent (N, joined, S / 16, S / 16) to float32 (N, 3, S, S) in -1..1."""
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = torch.cat([skips.pop(), latent], dim=1)
        for up, block in zip(self.ups, self.blocks, strict=True):
            x = block(torch.cat([skips.pop(), up(x)], dim=1))
        with torch.autocast(x.device.type, enabled=False):
            return torch.tanh(self.head(x.float()))


class DeCompleter(Completer):
    """Embedding network and U-Net; both see what is left, the hole and, if `guided`, the drawing of the keypoints."""

    def __init__(self, config: DeNetwork):
        super().__init__()
        self.guided = config.guided
        self.latent, self.style, self.bottom = config.latent, config.style, config.side // 2**HALVINGS
        inputs, places = 7 if config.guided else 4, self.bottom**2
        per_place, of_style = config.latent // places, config.style // places
        self.face_encoder = FaceEncoder(inputs + of_style, config.channels, config.side, config.latent)
        self.landmark_encoder = FaceEncoder(inputs + of_style, config.channels, config.side, config.latent)
        self.mask_decoder = EmbeddingDecoder(2 * per_place, 4 * config.channels, 1)
        self.part_decoder = EmbeddingDecoder(2 * per_place, 4 * config.channels, 3)
        self.landmark_decoder = EmbeddingDecoder(per_place, 4 * config.channels, 3)
        self.unet = LatentUNet(inputs, config.channels, 2 * per_place + of_style, config.up)

    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of the noise of both encoders, and of the style."""
        return (2 * self.latent + self.style,)

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return one completion of each picture; see `Completer.complete`."""
        noise, style = latent.split([2 * self.latent, self.style], dim=1)
        embedding = self.embed(holed, hole, guide, noise, style)
        return self.paint(holed, hole, guide, embedding.both, style)

    def embed(self, holed: Tensor, hole: Tensor, guide: Tensor, noise: Tensor, style: Tensor) -> Embedding:
        """Return the latents of faces.

        Args:
            holed: (N, 3, S, S), as of `complete`, as are `hole` and `guide`.
            hole: (N, 1, S, S).
            guide: (N, 3, S, S).
            noise: normal numbers (N, 2 * latent), scaled by the diversity knob.
            style: (N, style), seen by the encoders as planes.
        """
        planes = [F.interpolate(self._laid_out(style), scale_factor=2**HALVINGS)] if self.style else []
        shown = torch.cat([*self._given(holed, hole, guide), *planes], dim=1)
        of_face, of_landmarks = noise.chunk(2, dim=1)
        return Embedding(self.face_encoder(shown, of_face), self.landmark_encoder(shown, of_landmarks))

    def draw(self, embedding: Embedding) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (N, 1 or 3, S, S) of the face's mask, of the face on black, and of the landmarks' drawing."""
        both, landmarks = self._laid_out(embedding.both), self._laid_out(embedding.landmarks)
        return self.mask_decoder(both), self.part_decoder(both), self.landmark_decoder(landmarks)

    def paint(self, holed: Tensor, hole: Tensor, guide: Tensor, both: Tensor, style: Tensor) -> Tensor:
        """Return pictures (N, 3, S, S) from a joint latent (N, 2 * latent) and a style (N, style)."""
        given = torch.cat(self._given(holed, hole, guide), dim=1)
        latents = [both, style] if self.style else [both]
        return self.unet(given, torch.cat([self._laid_out(latent) for latent in latents], dim=1))

    def _given(self, holed: Tensor, hole: Tensor, guide: Tensor) -> list[Tensor]:
        return [holed, hole, guide] if self.guided else [holed, hole]

    def _laid_out(self, latent: Tensor) -> Tensor:
        return latent.reshape(latent.shape[0], latent.shape[1] // self.bottom**2, self.bottom, self.bottom)


def doubling(inputs: int, outputs: int, up: str) -> nn.Module:
    """Return a 3x3 convolution that doubles the side, in one of two ways with as many weights."""
    if up == "transposed_conv":
        return nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1))
