"""A smooth guess of what is hidden in a picture, from the colours around it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def continue_colours(pictures: Tensor, known: Tensor) -> Tensor:
    """Return pictures whose unknown pixels continue smoothly what is around them: pull-push (Gortler et al. 1996).

    Known pixels are averaged on ever coarser grids, until every cell has a colour. Then, grid by grid, unknown cells
    of the finer one take the colour of the coarser one.

    Args:
        pictures: (N, C, H, W).
        known: (N, 1, H, W) in 0..1. A picture of which nothing is known becomes black.
    """
    height, width = pictures.shape[-2:]
    if max(height, width) == 1:
        return pictures * known
    weight = F.avg_pool2d(known, 2, ceil_mode=True)
    mean = F.avg_pool2d(pictures * known, 2, ceil_mode=True) / weight.clamp(min=1e-6)
    coarse = continue_colours(mean, (2 * weight).clamp(max=1))
    smooth = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return torch.lerp(smooth, pictures, known)
