"""The U-Net of the systems that turn a picture into a picture.

It follows Ronneberger et al. 2015, with the choices of Din et al. 2020 (IEEE Access 8:44276): leaky ReLU,
squeeze-and-excitation after early encoder blocks, and an atrous bottleneck.
"""

import math

import torch
from torch import Tensor, nn

from workflow_scripts.models.config import UNetConfig
from workflow_scripts.models.norms import GroupNorm, InstanceNorm2d

ATROUS_RATES = (2, 4, 8, 16)
REDUCTION = 16  # channels over hidden channels of squeeze-and-excitation
NORM_GROUPS = 8  # largest number of groups of group normalisation


class UNet(nn.Module):
    """Encoder, bottleneck, decoder with skip connections, and a 1x1 convolution.

    The output is not squashed. The caller applies sigmoid or tanh, because cross entropy is computed from logits.

    Args:
        config: the shape.
        inputs: channels of the input.
        outputs: channels of the output.
    """

    def __init__(self, config: UNetConfig, inputs: int, outputs: int):
        super().__init__()
        depth = config.blocks // 2
        widths = [min(config.channels * 2**level, config.max_channels) for level in range(depth + 1)]
        self.multiple = 2**depth
        self.inputs = inputs

        self.encoder = nn.ModuleList()
        self.downs = nn.ModuleList()
        before = inputs
        for level, width in enumerate(widths[:-1]):
            layers = [convolution_block(before, width, config, plain=config.plain_first and level == 0)]
            if level + 1 in config.squeeze_excitation:
                layers.append(SqueezeExcitation(width))
            if rate := config.dropout[min(level, len(config.dropout) - 1)]:
                layers.append(nn.Dropout(rate))
            self.encoder.append(nn.Sequential(*layers))
            self.downs.append(downsampling(width, config.down))
            before = width

        bottleneck = atrous_block if config.atrous else convolution_block
        self.bottleneck = bottleneck(before, widths[-1], config)

        self.ups = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for below, width in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True):
            self.ups.append(upsampling(below, width, config.up))
            self.decoder.append(convolution_block(2 * width, width, config))

        self.head = nn.Conv2d(widths[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to float32 (N, outputs, H, W).

        Raises:
            ValueError: H or W is no multiple of `self.multiple`.
        """
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            height, width = x.shape[-2:]
            raise ValueError(
                f"a U-Net that halves its input {len(self.downs)} times needs sides divisible by {self.multiple}, "
                f"got {width}x{height}; choose another crop size or fewer blocks"
            )
        skips = []
        for block, down in zip(self.encoder, self.downs, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = block(torch.cat([up(x), skips.pop()], dim=1))
        # The 8 bits of bf16's mantissa are too few for the grey levels of the last layer.
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x.float())


class SqueezeExcitation(nn.Module):
    """Weighs channels by their means over the whole picture (Hu et al. 2017)."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(channels // REDUCTION, 1)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale each channel of (N, C, H, W) by a number in 0..1."""
        return x * self.weigh(x)


def convolution_block(inputs: int, outputs: int, config: UNetConfig, plain: bool = False) -> nn.Sequential:
    """Return 3x3 convolutions, each followed by normalisation and leaky ReLU, or if `plain` by ReLU alone."""
    layers: list[nn.Module] = []
    for index in range(config.convolutions):
        layers += _convolution(inputs if index == 0 else outputs, outputs, "none" if plain else config.norm)
        layers.append(nn.ReLU(inplace=True) if plain else nn.LeakyReLU(config.slope, inplace=True))
    return nn.Sequential(*layers)


def atrous_block(inputs: int, outputs: int, config: UNetConfig) -> nn.Sequential:
    """Return four dilated convolutions in a row, so that a hole is filled from all of the face."""
    layers: list[nn.Module] = []
    for index, rate in enumerate(ATROUS_RATES):
        layers += _convolution(inputs if index == 0 else outputs, outputs, config.norm, rate)
        layers.append(nn.LeakyReLU(config.slope, inplace=True))
    return nn.Sequential(*layers)


def downsampling(channels: int, kind: str) -> nn.Module:
    """Return a layer that halves height and width."""
    return nn.MaxPool2d(2) if kind == "max_pool" else nn.Conv2d(channels, channels, 4, stride=2, padding=1)


def upsampling(inputs: int, outputs: int, kind: str) -> nn.Module:
    """Return a layer that doubles height and width.

    A 1x1 convolution and an interpolation commute, so the convolution comes first, at a quarter of the cost.
    """
    if kind == "transposed_conv":
        return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2, mode=kind))


def _convolution(inputs: int, outputs: int, norm: str, rate: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=norm != "batch")
    if norm == "none":
        return [convolution]
    if norm == "group":
        return [convolution, GroupNorm(math.gcd(NORM_GROUPS, outputs), outputs)]
    return [convolution, (nn.BatchNorm2d if norm == "batch" else InstanceNorm2d)(outputs)]
