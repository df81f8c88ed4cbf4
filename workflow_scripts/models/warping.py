"""Pictures of a face moved so that its landmarks lie where others do.

Moving least squares with similarities (Schaefer, McPhail & Warren, "Image Deformation Using Moving Least Squares",
SIGGRAPH 2006, section 2.2): each pixel is moved by the similarity that fits the landmarks best, of which near ones
weigh most. So a mouth opens while hair and neck, far from all landmarks, move as the head does.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SOFTNESS = 0.03  # of the side; landmarks that are nearer than this weigh alike, since they are not exact
COARSE = 4  # pixels between those whose movement is computed; between them it is interpolated


def warp_faces(pictures: Tensor, found: Tensor, wanted: Tensor) -> Tensor:
    """Return each of R pictures as it looks with each of N other sets of landmarks.

    Args:
        pictures: (R, C, S, S).
        found: (R, P, 2), x and y of the landmarks in the pictures, in pixels.
        wanted: (N, P, 2), where they shall be.

    Returns:
        (N, R, C, S, S); what comes in at the border is the border's own pixel.
    """
    side = pictures.shape[-1]
    places = _origins(_scaled(found, side), _scaled(wanted, side), _coarse_pixels(side, wanted.device))
    grids = _fine(places.flatten(0, 1), side).permute(0, 2, 3, 1)
    repeated = pictures.repeat(wanted.shape[0], 1, 1, 1)
    warped = F.grid_sample(repeated, grids, padding_mode="border", align_corners=False)
    return warped.unflatten(0, (-1, len(pictures)))


def nearness(landmarks: Tensor, side: int) -> Tensor:
    """Return (N, 1, S, S): 1 on faces and near them, falling to 0 where no landmark is within half the face's size.

    Args:
        landmarks: (N, P, 2), in pixels; a face's size is twice their root mean square distance from their mean.
        side: S, pixels.
    """
    points = _scaled(landmarks, side)
    size = (points - points.mean(1, keepdim=True)).square().sum(2).mean(1).sqrt()
    distances = (_coarse_pixels(side, points.device)[:, None] - points[:, None]).square().sum(3).amin(2).sqrt()
    near = (2 - 2 * distances / size[:, None].clamp(min=1e-8)).clamp(0, 1)
    return _fine(near.unflatten(1, (1, -(-side // COARSE), -1)), side)


def _scaled(points: Tensor, side: int) -> Tensor:
    """Return points in pixels as places of a picture whose side is -1..1."""
    return (2 * points.float() + 1) / side - 1


def _coarse_pixels(side: int, device: torch.device) -> Tensor:
    """Return (G G, 2), row by row, from the middle of a picture's first pixel to that of its last one."""
    middles = torch.linspace(1 / side - 1, 1 - 1 / side, -(-side // COARSE), device=device)
    return torch.stack([middles.repeat(len(middles)), middles.repeat_interleave(len(middles))], 1)


def _fine(coarse: Tensor, side: int) -> Tensor:
    """Return (N, C, G, G) at `_coarse_pixels` interpolated to all pixels, (N, C, side, side)."""
    return F.interpolate(coarse, size=side, mode="bilinear", align_corners=True)


def _origins(found: Tensor, wanted: Tensor, pixels: Tensor) -> Tensor:
    """Return (N, R, 2, G, G): from where in each picture each of `pixels` (G G, 2) is taken; a picture's side is -1..1.

    The similarity of a pixel, a complex factor and a shift, is the weighted regression of the points `found` on those
    `wanted`.
    """
    distances = (pixels[:, None] - wanted[:, None]).square().sum(3) + (2 * SOFTNESS) ** 2
    weights = distances**-2
    weights = (weights / weights.sum(2, keepdim=True))[:, None]  # (N, 1, G G, P)
    before, after = wanted[:, None], found[None]  # (N, 1, P, 2), (1, R, P, 2)
    centre, mean = weights @ before, weights @ after  # (N, 1, G G, 2), (N, R, G G, 2)
    spread = weights @ before.square().sum(3, keepdim=True) - centre.square().sum(3, keepdim=True)
    spread = spread.clamp(min=1e-8)  # of points that coincide
    real = weights @ (before * after).sum(3, keepdim=True) - (centre * mean).sum(3, keepdim=True)
    imaginary = weights @ _cross(before, after) - _cross(centre, mean)
    x, y = ((pixels - centre) / spread).unbind(3)
    real, imaginary = real[..., 0], imaginary[..., 0]
    moved = torch.stack([real * x - imaginary * y, imaginary * x + real * y], 3) + mean
    side = round(len(pixels) ** 0.5)
    return moved.transpose(2, 3).unflatten(3, (side, side))


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """Return (..., 1) of (..., 2): the imaginary part of conj(first) second."""
    return first[..., :1] * second[..., 1:] - first[..., 1:] * second[..., :1]
