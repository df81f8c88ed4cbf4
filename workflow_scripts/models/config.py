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
