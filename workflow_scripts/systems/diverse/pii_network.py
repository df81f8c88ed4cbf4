"""The generator of PII-GAN (Cai and Wei 2020): the two stages of DeepFill v1 (Yu et al. 2018) with a latent map.

Its layers see the latent beside their input. ELU follows each of them but the last, and none is normalised.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.models.contextual_attention import attend
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.critics import ELU_GAIN, initialised
from workflow_scripts.systems.diverse.vae_gan_config import PiiNetwork
from workflow_scripts.systems.diverse.windows import hole_windows, lay_windows

# Of each layer: channels over those of the first, kernel, stride, dilation.
COARSE = [(1, 5, 1, 1), (2, 3, 2, 1), (2, 3, 1, 1), (4, 3, 2, 1), (4, 3, 1, 1), (4, 3, 1, 1)]
DILATED = [(4, 3, 1, 2), (4, 3, 1, 4), (4, 3, 1, 8), (4, 3, 1, 16)]
FLAT = [(4, 3, 1, 1), (4, 3, 1, 1)]
FINE = [(1, 5, 1, 1), (1, 3, 2, 1), (2, 3, 1, 1), (2, 3, 2, 1), (4, 3, 1, 1), (4, 3, 1, 1)]
ATTENDING = [(1, 5, 1, 1), (1, 3, 2, 1), (2, 3, 1, 1), (4, 3, 2, 1), (4, 3, 1, 1), (4, 3, 1, 1)]


class PiiCompleter(Completer):
    """Coarse stage, then a fine one with a dilated and an attending branch.

    Both see what is left of the picture, a plane of ones, the hole and, if `guided`, the drawing of the keypoints.
    """

    def __init__(self, config: PiiNetwork):
        super().__init__()
        self.guided = config.guided
        self.latent = config.latent
        channels, inputs = config.channels, 8 if config.guided else 5
        self.coarse = LatentLayers(inputs, channels, [*COARSE, *DILATED, *FLAT])
        self.coarse_head = enlarging(4 * channels, channels)
        self.fine = LatentLayers(inputs, channels, [*FINE, *DILATED])
        self.attending = LatentLayers(inputs, channels, ATTENDING)
        self.attended = LatentLayers(4 * channels, channels, FLAT)
        self.joined = LatentLayers(8 * channels, channels, FLAT)
        self.fine_head = enlarging(4 * channels, channels)

    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of the map that is laid over the square around the hole."""
        return (1, self.latent, self.latent)

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return the fine completion; see `Completer.complete`."""
        return self(holed, hole, guide, latent)[1]

    def forward(self, holed: Tensor, hole: Tensor, guide: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coarse and the fine picture, float32 (N, 3, S, S) in -1..1; arguments as of `complete`."""
        random = lay_windows(latent, hole_windows(hole), hole.shape[-1]) * hole
        given = [torch.ones_like(hole), hole, *([guide] if self.guided else [])]
        coarse = painted(self.coarse_head, self.coarse(torch.cat([holed, *given], dim=1), random))
        shown = torch.cat([torch.lerp(holed, coarse, hole), *given], dim=1)
        features = self.attending(shown, random)
        features = attend(features, F.interpolate(hole, size=features.shape[-2:], mode="nearest"))
        features = torch.cat([self.fine(shown, random), self.attended(features, random)], dim=1)
        return coarse, painted(self.fine_head, self.joined(features, random))


class LatentLayers(nn.Module):
    """Convolutions that each see the latent map, thinned out to the side of their input, beside it."""

    def __init__(self, inputs: int, channels: int, layers: list[tuple[int, int, int, int]]):
        super().__init__()
        self.convolutions = nn.ModuleList()
        for factor, kernel, stride, dilation in layers:
            padding = dilation * (kernel // 2)
            self.convolutions.append(nn.Conv2d(inputs + 1, factor * channels, kernel, stride, padding, dilation))
            inputs = factor * channels
        initialised(self.convolutions, ELU_GAIN)

    def forward(self, x: Tensor, random: Tensor) -> Tensor:
        """Map (N, inputs, H, W) with the latent map (N, 1, S, S)."""
        for convolution in self.convolutions:
            every = random.shape[-1] // x.shape[-1]
            thinned = random[..., ::every, ::every]  # and not averaged, so that its variance stays what it is
            x = torch.cat([x, thinned], dim=1)
            if convolution.dilation == (1, 1):
                x = F.elu(convolution(x))
                continue
            # oneDNN's gradient of dilated bf16 convolutions is NaN when channels are no multiple of 16.
            with torch.autocast(x.device.type, enabled=False):
                x = F.elu(convolution(x.float()))
        return x


def enlarging(inputs: int, channels: int) -> nn.Sequential:
    """Return the layers from a quarter of the side to the picture."""
    layers = nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(inputs, 2 * channels, 3, padding=1),
        nn.ELU(),
        nn.Conv2d(2 * channels, 2 * channels, 3, padding=1),
        nn.ELU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(2 * channels, channels, 3, padding=1),
        nn.ELU(),
        nn.Conv2d(channels, channels // 2, 3, padding=1),
        nn.ELU(),
    )
    return nn.Sequential(*initialised(layers, ELU_GAIN), nn.Conv2d(channels // 2, 3, 3, padding=1))


def painted(head: nn.Sequential, features: Tensor) -> Tensor:
    """Return the picture, clipped to -1..1; its last layer is computed in float32."""
    x = head[:-1](features)
    with torch.autocast(x.device.type, enabled=False):
        return head[-1](x.float()).clamp(-1, 1)
