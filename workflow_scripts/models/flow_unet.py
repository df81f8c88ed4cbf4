"""The U-Net of flow matching: residual blocks whose scale and shift depend on a time (after Ho et al. 2020).

Pictures are folded two by two pixels into channels first, so the largest maps, which cost most on a CPU, have half the
side of the picture.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.models.norms import GroupNorm

NORM_GROUPS = 8
FREQUENCIES = 32  # of the embedding of a number in 0..1
FOLD = 2  # pixels
HEADS = 4  # of the attention


class FlowUNet(nn.Module):
    """Residual blocks and skip connections, conditioned on numbers in 0..1, such as a time.

    Args:
        inputs: channels of the picture that is looked at.
        outputs: channels of the result.
        channels: of each level.
        blocks: residual blocks of a level, on the way down and on the way up.
        attention: whether places of the deepest level are compared with each other.
        dropout: rate in residual blocks.
        numbers: how many numbers condition it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: list[int],
        blocks: int = 1,
        attention: bool = True,
        dropout: float = 0.0,
        numbers: int = 1,
    ):
        super().__init__()
        width = 4 * channels[0]
        self.embed = nn.Sequential(
            NumberEmbedding(),
            nn.Linear(2 * FREQUENCIES * numbers, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
        )
        self.stem = nn.Conv2d(inputs * FOLD**2, channels[0], 3, padding=1)
        self.down, self.shrink, self.up, self.grow = (nn.ModuleList() for _ in range(4))
        before, skips = channels[0], []
        for level, after in enumerate(channels):
            if level:
                self.shrink.append(nn.Conv2d(before, before, 3, stride=2, padding=1))
            self.down.append(
                nn.ModuleList(ResidualBlock(before if n == 0 else after, after, width, dropout) for n in range(blocks))
            )
            before = after
            skips.append(after)
        self.attention = SelfAttention(before) if attention else nn.Identity()
        self.middle = ResidualBlock(before, before, width, dropout)
        for level, after in reversed(list(enumerate(channels))):
            self.up.append(
                nn.ModuleList(
                    ResidualBlock(before + skips[level] if n == 0 else after, after, width, dropout)
                    for n in range(blocks)
                )
            )
            before = after
            if level:
                self.grow.append(nn.Conv2d(before, channels[level - 1], 3, padding=1))
                before = channels[level - 1]
        self.norm = GroupNorm(NORM_GROUPS, before)
        self.head = nn.Conv2d(before, outputs * FOLD**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, *numbers: Tensor) -> Tensor:
        """Map (N, inputs, S, S), and numbers (N,) in 0..1, to float32 (N, outputs, S, S).

        S is a multiple of 2 to the number of levels.
        """
        condition = self.embed(torch.stack(numbers, dim=1))
        x = self.stem(F.pixel_unshuffle(x, FOLD))
        skips = []
        for level, blocks in enumerate(self.down):
            if level:
                x = self.shrink[level - 1](x)
            for block in blocks:
                x = block(x, condition)
            skips.append(x)
        x = self.middle(self.attention(x), condition)
        for level, blocks in enumerate(self.up):
            x = torch.cat([x, skips.pop()], dim=1)
            for block in blocks:
                x = block(x, condition)
            if level < len(self.grow):
                x = self.grow[level](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), FOLD).float()


class NumberEmbedding(nn.Module):
    """Sines and cosines of numbers in 0..1."""

    def forward(self, numbers: Tensor) -> Tensor:
        """Map (N, K) to (N, 2 FREQUENCIES K)."""
        rates = torch.exp(torch.linspace(0, math.log(1000), FREQUENCIES, device=numbers.device))
        angles = (numbers.float()[..., None] * rates).flatten(1)
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the condition scales and shifts what lies between them."""

    def __init__(self, before: int, after: int, condition: int, dropout: float):
        super().__init__()
        self.norm1 = GroupNorm(NORM_GROUPS, before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.modulate = nn.Linear(condition, 2 * after)
        self.norm2 = GroupNorm(NORM_GROUPS, after, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (N, before, H, W), with a condition (N, condition), to (N, after, H, W)."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = F.silu(self.norm2(hidden) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(self.dropout(hidden))


class SelfAttention(nn.Module):
    """Compares all places of a map with each other, and adds what they tell."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = GroupNorm(NORM_GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        count, channels, height, width = x.shape
        query, key, value = (
            part.reshape(count, HEADS, channels // HEADS, height * width).transpose(2, 3)
            for part in self.qkv(self.norm(x)).chunk(3, dim=1)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.out(mixed.transpose(2, 3).reshape(x.shape))
