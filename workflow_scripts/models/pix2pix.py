"""The networks of TensorFlow's pix2pix tutorial (after Isola et al. 2017), layer by layer.

All convolutions are 4x4 and, but for the last of each network, without bias; batch normalisation has Keras' momentum
.99 and epsilon 1e-3, leaky ReLU its slope .3; weights start as N(0, .02).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.3
MOMENTUM, EPSILON = 0.01, 1e-3  # PyTorch's momentum is what Keras' leaves over
DEVIATION = 0.02
DROPPED = 3  # of the deepest decoder blocks have dropout


class Pix2PixGenerator(nn.Module):
    """U-Net of strided convolutions, skips between equals; at its deepest every picture is halved `halvings` times.

    A picture whose sides are no multiple of 2**halvings (224 with 8 halvings) is padded by reflection to the next one,
    and the output is cropped: no pixel of the picture is lost or resampled.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        halvings: 8 as published, for 256x256.
        channels: of the first block; doubled up to `max_channels`.
        max_channels: 512 as published.
        up: `transposed_conv` as published, or `nearest`: enlarged, then convolved, which leaves no checkerboard.
        dropout: rate in the three deepest decoder blocks.
    """

    def __init__(
        self, inputs: int, outputs: int, halvings: int, channels: int, max_channels: int, up: str, dropout: float
    ):
        super().__init__()
        widths = [min(channels * 2**level, max_channels) for level in range(halvings)]
        self.multiple = 2**halvings
        self.downs = nn.ModuleList(
            _down(before, width, normalised=level > 0)
            for level, (before, width) in enumerate(zip([inputs, *widths], widths, strict=False))
        )
        shallower = widths[-2::-1]
        # What comes up from below is joined by the encoder's block of the same size.
        belows = [widths[-1], *(2 * width for width in shallower)]
        self.ups = nn.ModuleList(
            _up(below, width, up, dropout if level < DROPPED else 0.0)
            for level, (below, width) in enumerate(zip(belows, shallower, strict=False))
        )
        self.head = nn.Sequential(*_enlarging(belows[-1], outputs, up, bias=True))
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to float32 (N, outputs, H, W) in -1..1."""
        height, width = x.shape[-2:]
        x = self._padded(x)
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        skips.pop()
        for up in self.ups:
            x = torch.cat([up(x), skips.pop()], dim=1)
        # bf16 has 8 bits of mantissa: too few for the grey levels of the last layer.
        with torch.autocast(x.device.type, enabled=False):
            painted = torch.tanh(self.head(x.float()))
        top, left = ((painted.shape[axis] - side) // 2 for axis, side in ((-2, height), (-1, width)))
        return painted[..., top : top + height, left : left + width]

    def _padded(self, x: Tensor) -> Tensor:
        """Return the picture in the middle of one whose sides are multiples, filled by reflection."""
        lacking = [-side % self.multiple for side in x.shape[-2:]]
        if not any(lacking):
            return x
        (above, below), (before, after) = ((lack // 2, lack - lack // 2) for lack in lacking)
        return F.pad(x, (before, after, above, below), mode="reflect")


class ConditionalDiscriminator(nn.Module):
    """Is this the target of that input? For every 70x70 patch: 30x30 answers for 256x256.

    Args:
        channels: of the first layer; 64 as published.
    """

    def __init__(self, channels: int = 64):
        super().__init__()
        widths = [6, channels, 2 * channels, 4 * channels]
        layers = [_down(a, b, normalised=level > 0) for level, (a, b) in enumerate(pairwise(widths))]
        self.layers = nn.Sequential(
            *layers,
            nn.ZeroPad2d(1),
            nn.Conv2d(widths[-1], 8 * channels, 4, bias=False),
            _batch_norm(8 * channels),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.ZeroPad2d(1),
            nn.Conv2d(8 * channels, 1, 4),
        )
        self.apply(_initialise)

    def forward(self, shown: Tensor, target: Tensor) -> Tensor:
        """Map two pictures (N, 3, H, W) to logits (N, 1, H / 8 - 2, W / 8 - 2), above 0 for real."""
        return self.layers(torch.cat([shown, target], dim=1))


def _down(inputs: int, outputs: int, normalised: bool) -> nn.Sequential:
    norm = [_batch_norm(outputs)] if normalised else []
    convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, *norm, nn.LeakyReLU(SLOPE, inplace=True))


def _up(inputs: int, outputs: int, kind: str, dropout: float) -> nn.Sequential:
    """Norm, dropout, ReLU, in this order."""
    layers = [*_enlarging(inputs, outputs, kind, bias=False), _batch_norm(outputs)]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []), nn.ReLU(inplace=True))


def _enlarging(inputs: int, outputs: int, kind: str, bias: bool) -> list[nn.Module]:
    if kind == "transposed_conv":
        return [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)]
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)]


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON, momentum=MOMENTUM)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0, DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
