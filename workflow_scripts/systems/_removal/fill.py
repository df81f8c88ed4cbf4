"""What an editing network is shown where the occluder was found: not its colours, but a guess of what is below."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.training.data import pictures_to_float


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
