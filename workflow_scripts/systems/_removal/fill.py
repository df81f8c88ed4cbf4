"""What an editing network is shown where the occluder was found: not its colours, but a guess of what is below."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.training.data import pictures_to_float


def widen(maps: Tensor, margin: int) -> Tensor:
    """Return maps (N, 1, S, S) that reach so many pixels farther on all sides, corners too."""
    return F.max_pool2d(maps, 2 * margin + 1, stride=1, padding=margin) if margin else maps


def feathered(holes: Tensor, feather: float) -> Tensor:
    """Return how much of each pixel is replaced by what was painted, as `border_weights` does for one map.

    Args:
        holes: maps (N, 1, S, S) in 0..1, already widened by the margin; what is at least a half belongs to the hole.
        feather: pixels over which the weights fall from 1 to 0 beyond the hole.
    """
    if not feather:
        return holes
    reach = math.ceil(feather)
    # The squared distance to the nearest pixel of the hole is the least over columns, then over rows. ONNX has no
    # sliding windows, so they are taken apart.
    squares = torch.where(holes >= 0.5, 0.0, float("inf"))
    for axis in (-1, -2):
        padding = (reach, reach, 0, 0) if axis == -1 else (0, 0, reach, reach)
        padded, side = F.pad(squares, padding, value=float("inf")), holes.shape[axis]
        moved = [padded.narrow(axis, step, side) + (step - reach) ** 2 for step in range(2 * reach + 1)]
        squares = torch.stack(moved).amin(dim=0)
    near = (1 - squares.sqrt() / feather).clamp(min=0)
    return torch.maximum(holes, near * near * (3 - 2 * near))


def fill_holes(pictures: Tensor, maps: Tensor, fill: str, seeds: Sequence[int]) -> Tensor:
    """Return pictures whose map region is filled.

    Args:
        pictures: RGB (N, 3, S, S) in -1..1.
        maps: (N, 1, S, S) in 0..1.
        fill: `noise` (independent uniform colours), `grey` (the middle), `mean` (of each picture outside its map),
            `around` (see `continue_colours`) or `none`.
        seeds: one for each picture; noise is drawn from it alone.
    """
    noise = None
    if fill == "noise":
        size = (*pictures.shape[-2:], pictures.shape[1])
        drawn = np.stack([np.random.default_rng(seed).integers(0, 256, size, np.uint8) for seed in seeds])
        noise = pictures_to_float(torch.from_numpy(drawn).to(pictures.device))
    return filled_with(pictures, maps, fill, noise)


def filled_with(pictures: Tensor, maps: Tensor, fill: str, noise: Tensor | None) -> Tensor:
    """Return pictures whose map region is filled; see `fill_holes`.

    Args:
        pictures: as there.
        maps: as there.
        fill: as there.
        noise: (N, 3, S, S) in -1..1, for `noise`.
    """
    if fill == "none":
        return pictures
    if fill == "noise":
        content = noise
    elif fill == "grey":
        content = torch.zeros_like(pictures)
    elif fill == "around":
        content = continue_colours(pictures, 1 - F.max_pool2d(maps, 3, stride=1, padding=1))  # hair crosses the border
    else:
        outside = 1 - maps
        shares = outside.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        content = (pictures * outside).sum(dim=(2, 3), keepdim=True) / shares
    return pictures + (content - pictures) * maps
