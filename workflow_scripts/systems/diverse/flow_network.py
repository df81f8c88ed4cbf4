"""The network of `flow`: which pictures can fill the hole, sampled by flow matching."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.models.flow_matching import follow_flow, input_scale
from workflow_scripts.models.flow_unet import FlowUNet
from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.config import FlowNetwork

SIGMA = 0.33  # standard deviation, in faces, of what differs in a hole from the continued colours around it
SPREADS = (0.02, 1.0)  # limits of the standard deviation that completions may have
# Brightness, red against green, yellow against blue: rows of length 1 at right angles. Faces differ much less in
# colours than in brightness; noise of equal parts in red, green and blue does not.
AXES = [[3**-0.5] * 3, [2**-0.5, -(2**-0.5), 0.0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]]


class Start(NamedTuple):
    """Where a flow begins.

    Attributes:
        filled: what is left of the pictures, with continued colours in their holes, (N, 3, S, S) in -1..1.
        mean: what completions have in the hole beside these colours in the mean, means over cells, (N, 3, C, C).
        spread: standard deviations of the cells along `AXES`, (N, 3, C, C).
    """

    filled: Tensor
    mean: Tensor
    spread: Tensor

    def detach(self) -> "Start":
        """Return it without gradients."""
        return Start(*(x.detach() for x in self))


class FlowCompleter(Completer):
    """It says how completions differ from their mean, as a flow from noise to pictures, on a grid of cells.

    Three networks share the work. The first gives the mean of all completions and how far they spread, in each cell.
    The second is a flow in units of this spread, which begins at the mean (data-dependent coupling, Albergo et al.
    2023): it is not busy with what all completions have in common, is calm at the border of the hole, and needs few
    steps. The third paints the picture of these cells, with all that is finer than they are. Without noise it is that
    of the mean.

    S is the side of the pictures, C = S / cell that of the grid.
    """

    def __init__(self, config: FlowNetwork):
        super().__init__()
        self.steps, self.guidance, self.cell = config.steps, config.guidance, config.cell
        shape, context = config.unet, 7 * config.cell**2
        self.register_buffer("axes", torch.tensor(AXES), persistent=False)
        self.mean = UNet(config.mean, inputs=context, outputs=6)
        self.unet = FlowUNet(
            inputs=9 + context,
            outputs=3,
            channels=shape.channels,
            blocks=shape.blocks,
            attention=shape.attention,
            dropout=shape.dropout,
            numbers=2,
        )
        self.detail = UNet(config.detail, inputs=7, outputs=3)

    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of the grid of cells: noise of each of them in three colours."""
        return (3, size // self.cell, size // self.cell)

    def begin(self, holed: Tensor, hole: Tensor, guide: Tensor) -> Start:
        """Return where the flow begins.

        Args:
            holed: as in `Completer.complete`.
            hole: as there.
            guide: as there; 0 everywhere where the keypoints are not told.
        """
        filled = continue_colours(holed, 1 - hole)
        found = self.mean(self._context(filled, hole, guide)).float()
        spread = torch.exp(found[:, 3:] + math.log(SIGMA)).clamp(*SPREADS)
        return Start(filled, found[:, :3] * self.touched(hole), spread)

    def forward(
        self, place: Tensor, times: Tensor, start: Start, hole: Tensor, guide: Tensor, uncertainty: Tensor
    ) -> Tensor:
        """Return the values that places on paths lead to on average, of unit variance in the hole.

        Args:
            place: (N, 3, C, C).
            times: (N, 1, 1, 1) in 0..1.
            start: as `begin` returns it.
            hole: (N, 1, S, S), 1 in the hole and 0 outside.
            guide: as in `Completer.complete`; 0 everywhere where the keypoints are not told.
            uncertainty: as there.

        Returns:
            float32 (N, 3, C, C).
        """
        cells = [place * input_scale(times), start.mean, start.spread]
        seen = torch.cat(
            [torch.cat(cells, dim=1) * self.touched(hole), self._context(start.filled, hole, guide)], dim=1
        )
        return self.unet(seen, times.flatten(), uncertainty.flatten())

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return the completions that the noise leads to.

        With a guidance g other than 0 and 1, the expected values are u + g (k - u), k with keypoints, u without them
        (Ho & Salimans 2022).
        """
        unguided = torch.zeros_like(guide)
        told = guide if self.guidance else unguided
        start = self.begin(holed, hole, told)

        def predict(place: Tensor, time: float) -> Tensor:
            times = torch.full((place.shape[0], 1, 1, 1), time, device=place.device)
            found = self(place, times, start, hole, told, uncertainty)
            if self.guidance in (0, 1):
                return found
            blind = self(place, times, start, hole, unguided, uncertainty)
            return blind + self.guidance * (found - blind)

        return self.paint(follow_flow(predict, latent, self.steps), start, hole, told)

    def paint(self, values: Tensor, start: Start, hole: Tensor, guide: Tensor) -> Tensor:
        """Return the pictures (N, 3, S, S) in -1..1 of values (N, 3, C, C), as `to_values` gives them."""
        cells = start.mean + torch.einsum("ac,nahw->nchw", self.axes, values * start.spread)
        smooth = F.interpolate(cells, scale_factor=self.cell, mode="bilinear", align_corners=False)
        coarse = start.filled + smooth * hole
        detail = self.detail(torch.cat([coarse, hole, guide], dim=1)).float()
        return (coarse + detail * hole).clamp(-1, 1)

    def to_values(self, pictures: Tensor, start: Start, hole: Tensor) -> Tensor:
        """Return what cells of pictures have beside the mean, along `AXES` and in units of the spread, (N, 3, C, C)."""
        beside = self.to_cells(pictures, start, hole) - start.mean
        return torch.einsum("ac,nchw->nahw", self.axes, beside) / start.spread

    def to_cells(self, pictures: Tensor, start: Start, hole: Tensor) -> Tensor:
        """Return what pictures have in the hole beside continued colours, means over cells, (N, 3, C, C)."""
        return F.avg_pool2d((pictures - start.filled) * hole, self.cell)

    def touched(self, hole: Tensor) -> Tensor:
        """Return which cells the hole touches, (N, 1, C, C), 0 or 1."""
        return F.max_pool2d(hole, self.cell)

    def _context(self, filled: Tensor, hole: Tensor, guide: Tensor) -> Tensor:
        """Return all that is known of each cell, its pixels as channels."""
        return F.pixel_unshuffle(torch.cat([filled, hole, guide], dim=1), self.cell)
