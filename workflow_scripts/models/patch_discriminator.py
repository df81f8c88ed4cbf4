"""The patch discriminator of pix2pix (Isola et al. 2017), which judges whether each 70x70 patch is real."""

from torch import Tensor, nn

SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """Five 4x4 convolutions with strides 2, 2, 2, 1, 1 and batch normalisation after the inner three.

    Args:
        inputs: channels of the input.
        channels: channels of the first layer; 64 as published.
    """

    def __init__(self, inputs: int = 3, channels: int = 64):
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels, 8 * channels]
        layers: list[nn.Module] = [nn.Conv2d(inputs, widths[0], 4, 2, 1), nn.LeakyReLU(SLOPE, inplace=True)]
        for before, width, stride in zip(widths, widths[1:], (2, 2, 1), strict=False):
            layers += [
                nn.Conv2d(before, width, 4, stride, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 1, H / 8 - 2, W / 8 - 2), above 0 for real; 14x14 for a picture of 128x128."""
        return self.layers(x)
