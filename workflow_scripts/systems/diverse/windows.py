"""The square around a hole: what lies in it is cut out, and what is made for it is laid over the picture."""

import torch
import torch.nn.functional as F
from torch import Tensor

NUDGE = 1e-4  # of half a side: more than float32 rounds by, and less than a hundredth of a map's cell


def hole_windows(hole: Tensor) -> Tensor:
    """Return for each hole the smallest square around it that lies in the picture; the whole picture without a hole.

    Args:
        hole: (N, 1, S, S), 0 outside.

    Returns:
        float32 (N, 3): centre across, centre down, and half side, where the picture spans -1..1.
    """
    side = hole.shape[-1]
    filled = hole[:, 0] > 0
    spans = []
    for lines in (filled.any(dim=1), filled.any(dim=2)):  # columns, rows
        numbers = torch.arange(side, device=hole.device)
        first = torch.where(lines, numbers, side).amin(dim=1)
        last = torch.where(lines, numbers + 1, 0).amax(dim=1)
        empty = last <= first
        spans.append((first.masked_fill(empty, 0), last.masked_fill(empty, side)))
    half = torch.stack([last - first for first, last in spans]).amax(dim=0).float() / side
    centres = [(first + last).float() / side - 1 for first, last in spans]
    # A square as wide as a long hole can reach beyond the border: it is pushed back.
    return torch.stack([*(centre.clamp(half - 1, 1 - half) for centre in centres), half], dim=1)


def cut_windows(x: Tensor, windows: Tensor, side: int) -> Tensor:
    """Return what lies in the windows, (N, C, side, side), of (N, C, S, S), interpolated."""
    across, down, half = windows.unbind(dim=1)
    return _sample(x, half, across, down, side, "bilinear", "border")


def lay_windows(maps: Tensor, windows: Tensor, side: int) -> Tensor:
    """Return maps (N, C, L, L) laid over their windows of pictures of `side` pixels, 0 elsewhere.

    Each pixel takes the nearest number, so that the variance of random numbers stays what it is; half-way between two,
    as the middle of a window often is, the one below or on the right, however the machine rounds.
    """
    across, down, half = windows.unbind(dim=1)
    return _sample(maps, 1 / half, NUDGE - across / half, NUDGE - down / half, side, "nearest", "zeros")


def _sample(x: Tensor, scale: Tensor, across: Tensor, down: Tensor, side: int, mode: str, padding: str) -> Tensor:
    """Return (N, C, side, side): at place p of -1..1 what `x` has at scale * p + (across, down)."""
    nothing = torch.zeros_like(scale)
    theta = torch.stack([scale, nothing, across, nothing, scale, down], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [x.shape[0], 1, side, side], align_corners=False)
    return F.grid_sample(x.float(), grid, mode=mode, padding_mode=padding, align_corners=False)
