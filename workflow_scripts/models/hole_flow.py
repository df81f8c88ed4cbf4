"""Which pictures can fill a hole, sampled by flow matching on a grid of cells."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.models.config import HoleFlowConfig
from workflow_scripts.models.flow_matching import input_scale
from workflow_scripts.models.flow_unet import FlowUNet
from workflow_scripts.models.unet import UNet

SIGMA = 0.33  # standard deviation, in faces, of what differs in a hole from the continued colours around it
SPREADS = (0.02, 1.0)  # limits of the standard deviation that completions may have
# Brightness, red against green, yellow against blue: rows of length 1 at right angles. Faces differ much less in
# colours than in brightness; noise of equal parts in red, green and blue does not.
AXES = [[3**-0.5] * 3, [2**-0.5, -(2**-0.5), 0.0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]]


class Start(NamedTuple):
    """What is given, and where a flow begins.

    Attributes:
        filled: what is left of the pictures, with continued colours in their holes, (N, 3, S, S) in -1..1.
        hole: (N, 1, S, S), 1 in the hole and 0 outside.
        guide: what else the completions depend on, (N, G, S, S); 0 everywhere where it is not told.
        mean: what completions have in the hole beside these colours in the mean, means over cells, (N, 3, C, C).
        spread: standard deviations of the cells along `AXES`, (N, 3, C, C).
    """

    filled: Tensor
    hole: Tensor
    guide: Tensor
    mean: Tensor
    spread: Tensor

    def detach(self) -> "Start":
        """Return it without gradients."""
        return Start(*(x.detach() for x in self))


class HoleFlow(nn.Module):
    """It says how completions differ from their mean, as a flow from noise to pictures, on a grid of cells.

    Three networks share the work. The first gives the mean of all completions and how far they spread, in each cell.
    The second is a flow in units of this spread, which begins at the mean (data-dependent coupling, Albergo et al.
    2023): it is not busy with what all completions have in common, is calm at the border of the hole, and needs few
    steps. The third paints the picture of these cells, with all that is finer than they are. Without noise it is that
    of the mean.

    S is the side of the pictures, C = S / cell that of the grid.

    Args:
        config: the shape.
        guides: G, channels of the guide.
        numbers: how many numbers in 0..1 the flow depends on, beside the time.
    """

    def __init__(self, config: HoleFlowConfig, guides: int, numbers: int = 0):
        super().__init__()
        self.steps, self.cell = config.steps, config.cell
        shape = config.unet
        self.register_buffer("axes", torch.tensor(AXES), persistent=False)
        self.mean = UNet(config.mean, inputs=(4 + guides) * config.cell**2, outputs=6)
        self.unet = FlowUNet(
            inputs=9 + 4 + guides,
            outputs=3,
            channels=shape.channels,
            blocks=shape.blocks,
            attention=shape.attention,
            dropout=shape.dropout,
            numbers=1 + numbers,
        )
        self.detail = UNet(config.detail, inputs=4 + guides, outputs=3)

    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of the grid of cells: noise of each of them in three colours."""
        return (3, size // self.cell, size // self.cell)

    def begin(self, filled: Tensor, hole: Tensor, guide: Tensor) -> Start:
        """Return where the flow begins; the arguments are as in `Start`."""
        pixels = F.pixel_unshuffle(torch.cat([filled, hole, guide], dim=1), self.cell)
        found = self.mean(pixels).float()
        spread = torch.exp(found[:, 3:] + math.log(SIGMA)).clamp(*SPREADS)
        return Start(filled, hole, guide, found[:, :3] * self.touched(hole), spread)

    def forward(self, place: Tensor, times: Tensor, start: Start, *numbers: Tensor) -> Tensor:
        """Return the values that places on paths lead to on average, of unit variance in the hole.

        Args:
            place: (N, 3, C, C).
            times: (N, 1, 1, 1) in 0..1.
            start: as `begin` returns it.
            numbers: (N, 1, 1, 1) each, in 0..1.

        Returns:
            float32 (N, 3, C, C).
        """
        cells = [place * input_scale(times), start.mean, start.spread]
        # Means of what is known: all pixels of the cells, as many more channels, would drown the place.
        known = F.avg_pool2d(torch.cat([start.filled, start.hole, start.guide], dim=1), self.cell)
        seen = torch.cat([torch.cat(cells, dim=1) * self.touched(start.hole), known], dim=1)
        return self.unet(seen, *(x.flatten() for x in (times, *numbers)))

    def paint(self, values: Tensor, start: Start) -> Tensor:
        """Return the pictures (N, 3, S, S) in -1..1 of values (N, 3, C, C), as `to_values` gives them."""
        cells = start.mean + torch.einsum("ac,nahw->nchw", self.axes, values * start.spread)
        smooth = F.interpolate(cells, scale_factor=self.cell, mode="bilinear", align_corners=False)
        coarse = start.filled + smooth * start.hole
        detail = self.detail(torch.cat([coarse, start.hole, start.guide], dim=1)).float()
        return (coarse + detail * start.hole).clamp(-1, 1)

    def to_values(self, pictures: Tensor, start: Start) -> Tensor:
        """Return what cells of pictures have beside the mean, along `AXES` and in units of the spread, (N, 3, C, C)."""
        beside = self.to_cells(pictures, start) - start.mean
        return torch.einsum("ac,nchw->nahw", self.axes, beside) / start.spread

    def to_cells(self, pictures: Tensor, start: Start) -> Tensor:
        """Return what pictures have in the hole beside continued colours, means over cells, (N, 3, C, C)."""
        return F.avg_pool2d((pictures - start.filled) * start.hole, self.cell)

    def touched(self, hole: Tensor) -> Tensor:
        """Return which cells the hole touches, (N, 1, C, C), 0 or 1."""
        return F.max_pool2d(hole, self.cell)
