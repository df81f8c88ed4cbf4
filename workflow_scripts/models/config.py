"""Keys that give the shapes of networks. This module does without torch, because the Snakefile loads it."""

from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.config.base import Fraction, Model


class UNetConfig(Model):
    """A U-Net: `blocks // 2` encoder blocks, a bottleneck, as many decoder blocks, skip connections between equals."""

    blocks: Literal[3, 5, 7, 9, 11] = Field(9, description="blocks in all: encoder, bottleneck and decoder")
    channels: int = Field(64, ge=1, description="channels of the first block; each deeper block has twice as many")
    max_channels: int = Field(1024, ge=1, description="channels of a block at most")
    convolutions: int = Field(2, ge=1, le=4, description="3x3 convolutions of a block")
    down: Literal["max_pool", "strided_conv"] = Field("max_pool", description="how an encoder block halves its size")
    up: Literal["transposed_conv", "nearest", "bilinear"] = Field(
        "nearest",
        description="how a decoder block doubles its size; `transposed_conv` as published, others: no checkerboard",
    )
    norm: Literal["batch", "instance", "group", "none"] = Field(
        "batch", description="normalisation after a convolution"
    )
    plain_first: bool = Field(True, description="as published: the first block has ReLU and no normalisation")
    dropout: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.0],
        min_length=1,
        description="rate after each encoder block, from the first on; the last one holds for all deeper",
    )
    squeeze_excitation: list[Annotated[int, Field(ge=1)]] = Field(
        [], description="encoder blocks, counted from 1, followed by squeeze-and-excitation (reduction 16)"
    )
    slope: float = Field(0.2, ge=0, lt=1, description="of leaky ReLU for negative values; 0: ReLU")
    atrous: bool = Field(False, description="bottleneck of four 3x3 convolutions with rates 2, 4, 8, 16")

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` where pictures of `size` pixels have no room for the blocks."""
        side = size >> (self.blocks // 2)
        if side < 2:
            raise ValueError(
                f"{where}.blocks: {self.blocks} blocks shrink crops of {size} pixels to {side}; "
                f"write `blocks: {self.blocks - 2}` or a larger `crop: {{size: …}}`"
            )


def compared(perceptual: str, weight: float) -> tuple[str, ...]:
    """Return the pretrained network whose features a loss of this weight compares, if there is one."""
    return () if perceptual == "none" or not weight else (perceptual,)


class FlowUNetConfig(Model):
    """A U-Net of residual blocks that also sees a time."""

    channels: list[Annotated[int, Field(ge=8, multiple_of=8)]] = Field(
        [64, 128, 128], min_length=2, description="of each level; a level has half the side of the one before"
    )
    blocks: int = Field(2, ge=1, description="residual blocks of a level, on the way down and on the way up")
    attention: bool = Field(True, description="the deepest level compares all its places with each other")
    dropout: Fraction = Field(0.0, description="rate in residual blocks")

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` where a grid of `size` by `size` cells cannot be halved for every level."""
        halvings = len(self.channels) - 1
        if size % 2**halvings or size >> halvings < 4:
            raise ValueError(
                f"{where}.channels: {halvings + 1} levels need a side that is a multiple of {2**halvings} and leave at "
                f"least 4 cells of it; {size} does not. Write fewer channels"
            )


class HoleFlowConfig(Model):
    """Conditional flow matching over the hole (rectified flow, Liu et al. 2022; Lipman et al. 2023)."""

    cell: Literal[1, 2, 4, 8] = Field(
        4,
        description="pixels; side of the cells in which `mean` and the flow say what fills the hole. What is "
        "finer is painted by `detail`, alike for the same cells",
    )
    mean: UNetConfig = Field(
        UNetConfig(blocks=7, channels=64, max_channels=128),
        description="the network that gives the mean of all completions and how far they spread, from where the flow "
        "begins",
    )
    unet: FlowUNetConfig = Field(FlowUNetConfig(), description="the flow's network")
    detail: UNetConfig = Field(
        UNetConfig(blocks=7, channels=16, max_channels=128),
        description="the network that paints the picture of cells",
    )
    perceptual: Literal["none", "efficientnet_lite0", "vgg19"] = Field(
        "efficientnet_lite0", description="network whose features of details are compared with those of the true face"
    )
    perceptual_weight: float = Field(0.1, ge=0, description="weight of the mean absolute difference of its features")
    steps: int = Field(8, ge=1, le=200, description="steps from noise to picture when it is applied")

    def check_size(self, where: str, size: int) -> None:
        """Raise `ValueError` for pictures of `size` pixels that do not fit the network's levels."""
        self.detail.check_size(f"{where}.detail", size)
        if size % self.cell:
            raise ValueError(
                f"{where}.cell: {size} pixels are no whole number of cells of {self.cell}; write `cell: 1`"
            )
        self.mean.check_size(f"{where}.mean", size // self.cell)
        self.unet.check_size(f"{where}.unet", size // self.cell)


class Pix2PixConfig(Model):
    """The U-Net generator of pix2pix."""

    halvings: int = Field(
        8,
        ge=2,
        le=8,
        description="times that a picture is halved; one whose side is no multiple of 2 to this power is padded by "
        "reflection and the output cropped; published: 8",
    )
    channels: int = Field(64, ge=1, description="channels of the first block; each deeper block has twice as many")
    max_channels: int = Field(512, ge=1, description="channels of a block at most")
    up: Literal["transposed_conv", "nearest"] = Field(
        "nearest",
        description="how a decoder block doubles its size; `transposed_conv` as published, `nearest`: no checkerboard",
    )
    dropout: Fraction = Field(0.0, description="rate in the three deepest decoder blocks; published: 0.5")

    def check_padding(self, where: str, size: int) -> None:
        """Raise `ValueError` for pictures of `size` pixels that reflection cannot pad."""
        padded = self.padded(size)
        if (padded - size + 1) // 2 >= size:
            raise ValueError(
                f"{where}.halvings: crops of {size} pixels are too small to be padded to {padded}; "
                f"write `halvings: {size.bit_length() - 1}` or a larger `crop: {{size: …}}`"
            )

    def padded(self, size: int) -> int:
        """Return the size that a picture of `size` pixels is padded to."""
        return -(-size // 2**self.halvings) * 2**self.halvings

    def ends_in_one(self, size: int) -> bool:
        """Tell whether the deepest block has only one pixel of a picture of `size` pixels, and so no statistics."""
        return self.padded(size) == 2**self.halvings
