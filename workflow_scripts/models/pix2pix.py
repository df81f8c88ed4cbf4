"""The networks of pix2pix (Isola et al. 2017), layer by layer, in two variants.

All convolutions are 4x4, and weights start as N(0, .02). `Variant` lists what differs:

|                 | `original`, the authors' Torch code            | `tensorflow`, TensorFlow's tutorial          |
|-----------------|------------------------------------------------|----------------------------------------------|
| leaky ReLU      | slope .2                                       | slope .3                                     |
| norm, training  | by each picture's own statistics, epsilon 1e-5 | by the batch's, epsilon 1e-3                 |
| norm, applied   | the same                                       | by their moving average, momentum .99        |
| its scale       | starts as N(1, .02)                            | starts as 1                                  |
| innermost block | no norm, ReLU                                  | norm, leaky ReLU                             |
| bias            | where no norm follows                          | of each network's last convolution alone     |
| decoder         | ReLU of what comes up and of the skip          | ReLU of what comes up alone                  |

The original has batch normalisation with batches of one picture, in training and when applied. This is the same as
normalising each picture by its own statistics, so that a picture's output depends on no other picture of a batch.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.models.norms import InstanceNorm2d

WEIGHT_DEVIATION = 0.02
DROPPED = 3  # number of the deepest decoder blocks, which have dropout


@dataclass(frozen=True)
class Variant:
    """What differs between the two published implementations, as the table at the head of this module explains.

    Attributes:
        slope: slope of leaky ReLU for negative values.
        own_statistics: whether each picture is normalised by its own statistics, and not by those of the batch.
        epsilon: constant that is added to the variance.
        scale_deviation: standard deviation of the normalisation's scale at the start.
        plain_innermost: whether the innermost block has no normalisation.
        bias: whether convolutions that no normalisation follows have a bias.
        active_skips: whether skips pass through ReLU.
    """

    slope: float
    own_statistics: bool
    epsilon: float
    scale_deviation: float
    plain_innermost: bool
    bias: bool
    active_skips: bool

    def norm(self, channels: int) -> nn.Module:
        """Return a normalisation with a learned scale and shift."""
        if self.own_statistics:
            layer = InstanceNorm2d(channels, eps=self.epsilon, affine=True)
        else:
            layer = nn.BatchNorm2d(channels, eps=self.epsilon, momentum=0.01)  # 1 - .99, as Keras counts the other way
        nn.init.normal_(layer.weight, 1, self.scale_deviation)
        return layer

    def down(self, inputs: int, outputs: int, normalised: bool, stride: int = 2) -> nn.Sequential:
        """Return an encoder's block: convolution, norm, leaky ReLU."""
        convolution = nn.Conv2d(inputs, outputs, 4, stride, padding=1, bias=self.bias and not normalised)
        norm = [self.norm(outputs)] if normalised else []
        return nn.Sequential(convolution, *norm, nn.LeakyReLU(self.slope, inplace=True))

    def up(self, inputs: int, outputs: int, kind: str, dropout: float) -> nn.Sequential:
        """Return a decoder's block: norm, dropout, ReLU, in this order."""
        layers = [*_enlarging(inputs, outputs, kind, bias=False), self.norm(outputs)]
        return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []), nn.ReLU(inplace=True))


VARIANTS = {
    "original": Variant(
        slope=0.2,
        own_statistics=True,
        epsilon=1e-5,
        scale_deviation=WEIGHT_DEVIATION,
        plain_innermost=True,
        bias=True,
        active_skips=True,
    ),
    "tensorflow": Variant(
        slope=0.3,
        own_statistics=False,
        epsilon=1e-3,
        scale_deviation=0.0,
        plain_innermost=False,
        bias=False,
        active_skips=False,
    ),
}


class Pix2PixGenerator(nn.Module):
    """U-Net of strided convolutions with skips between blocks of equal size.

    A picture whose sides are no multiples of 2**halvings (224 with 8 halvings) is padded by reflection to the next
    multiple, and the output is cropped, so that no pixel of the picture is lost or resampled.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        halvings: how often a picture is halved; 8 as published, for 256x256.
        channels: channels of the first block, which are doubled from block to block.
        max_channels: largest number of channels of a block; 512 as published.
        up: `transposed_conv` as published, or `nearest`, which enlarges and then convolves and leaves no checkerboard.
        dropout: rate in the three deepest decoder blocks.
        variant: `original` or `tensorflow`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        halvings: int,
        channels: int,
        max_channels: int,
        up: str,
        dropout: float,
        variant: str = "tensorflow",
    ):
        super().__init__()
        chosen = VARIANTS[variant]
        widths = [min(channels * 2**level, max_channels) for level in range(halvings)]
        self.multiple = 2**halvings
        self.active_skips = chosen.active_skips
        plain = {0, halvings - 1} if chosen.plain_innermost else {0}
        self.downs = nn.ModuleList(
            chosen.down(before, width, normalised=level not in plain)
            for level, (before, width) in enumerate(zip([inputs, *widths], widths, strict=False))
        )
        shallower = widths[-2::-1]
        # The output of the block below is joined by that of the encoder's block of the same size.
        belows = [widths[-1], *(2 * width for width in shallower)]
        self.ups = nn.ModuleList(
            chosen.up(below, width, up, dropout if level < DROPPED else 0.0)
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
        if self.active_skips:
            skips = [F.relu(skip) for skip in skips]
        x = skips.pop()
        for up in self.ups:
            x = torch.cat([up(x), skips.pop()], dim=1)
        # The 8 bits of bf16's mantissa are too few for the grey levels of the last layer.
        with torch.autocast(x.device.type, enabled=False):
            painted = torch.tanh(self.head(x.float()))
        top, left = ((painted.shape[axis] - side) // 2 for axis, side in ((-2, height), (-1, width)))
        return painted[..., top : top + height, left : left + width]

    def _padded(self, x: Tensor) -> Tensor:
        """Return pictures padded by reflection on all sides, so that the sides are multiples of 2**halvings."""
        lacking = [-side % self.multiple for side in x.shape[-2:]]
        if not any(lacking):
            return x
        (above, below), (before, after) = ((lack // 2, lack - lack // 2) for lack in lacking)
        return F.pad(x, (before, after, above, below), mode="reflect")


class ConditionalDiscriminator(nn.Module):
    """Judges for every 70x70 patch whether a picture is the true target of an input: 30x30 answers for 256x256.

    Args:
        channels: channels of the first layer; 64 as published.
        variant: `original` or `tensorflow`.
    """

    def __init__(self, channels: int = 64, variant: str = "tensorflow"):
        super().__init__()
        widths = [6, channels, 2 * channels, 4 * channels, 8 * channels]
        strides = [2, 2, 2, 1]
        self.layers = nn.Sequential(
            *(
                VARIANTS[variant].down(before, width, level > 0, stride)
                for level, ((before, width), stride) in enumerate(zip(pairwise(widths), strides, strict=True))
            ),
            nn.Conv2d(widths[-1], 1, 4, padding=1),
        )
        self.apply(_initialise)

    def forward(self, shown: Tensor, target: Tensor) -> Tensor:
        """Map two pictures (N, 3, H, W) to logits (N, 1, H / 8 - 2, W / 8 - 2), above 0 for real."""
        return self.layers(torch.cat([shown, target], dim=1))


def _enlarging(inputs: int, outputs: int, kind: str, bias: bool) -> list[nn.Module]:
    if kind == "transposed_conv":
        return [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)]
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0, WEIGHT_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
