"""What is done at random to pictures and maps of training items, before a network sees them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.config.training import Training
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.training.data import Batch, Key


def sample_moved(columns: Batch, places: Tensor) -> dict[str, Tensor]:
    """Shift, turn and scale the items of all columns (N, C, S, S); what comes in at the border is mirrored.

    Args:
        columns: of one side.
        places: (N, 2, 3), where in an item a place of the result is taken from, in coordinates of -1..1.
    """
    grid = F.affine_grid(places, list(next(iter(columns.values())).shape), align_corners=False)
    moved = {}
    for name, x in columns.items():
        sampled = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        moved[name] = sampled.contiguous(memory_format=torch.channels_last)
    return moved


def augment(
    batch: Batch,
    keys: Sequence[Key],
    seed: int,
    epoch: int,
    config: Training,
    mirror: Callable[[Batch], dict[str, Tensor]],
    move: Callable[[Batch, Tensor], dict[str, Tensor]] = sample_moved,
) -> dict[str, Tensor]:
    """Mirror half of the items, show a window of each enlarged, move and recolour it; all columns of an item alike.

    Args:
        batch: pictures (N, 3, S, S) in -1..1 and maps (N, 1, S, S) in 0..1, all of the same side.
        keys: of the items; with `seed` and `epoch` they decide what is done to each.
        seed: of the experiment.
        epoch: from 0.
        config: its keys `flip`, `enlarge`, `move` and `jitter` are used.
        mirror: returns all columns mirrored, as `System.mirror`.
        move: returns all columns moved, as `System.move`.

    Returns:
        The columns, of their old sizes; maps keep their values' range, not their values: an enlarged edge is soft.
    """
    if not (config.flip or config.enlarge > 1 or config.move or config.jitter):
        return dict(batch)
    draws = np.stack([item_rng(seed, str(key), f"augmentation {epoch}").random(12) for key in keys])
    columns = dict(batch)
    device = next(iter(columns.values())).device
    if config.flip:
        mirrored = torch.as_tensor(draws[:, 0] < 0.5, device=device)[:, None, None, None]
        flipped = mirror(columns)
        columns = {name: torch.where(mirrored, flipped[name], x) for name, x in columns.items()}
    if config.enlarge > 1:
        columns = {name: _windows(x, config.enlarge, draws[:, 6:8]) for name, x in columns.items()}
    if config.move:
        columns = move(columns, _matrices(config.move * (2 * draws[:, 8:] - 1)).to(device))
    if config.jitter:
        factors = torch.as_tensor(1 + config.jitter * (2 * draws[:, 1:6] - 1), dtype=torch.float32, device=device)
        columns = {name: _recoloured(x, factors[..., None, None]) for name, x in columns.items()}
    return columns


def _windows(x: Tensor, factor: float, draws: np.ndarray) -> Tensor:
    """Return (N, C, S, S) enlarged and cut to S again; `draws` (N, 2) in 0..1 say where."""
    side = x.shape[-1]
    larger = F.interpolate(x, size=round(side * factor), mode="bilinear", align_corners=False)
    places = (draws * (larger.shape[-1] - side + 1)).astype(int)
    cut = [
        picture[:, top : top + side, left : left + side] for picture, (top, left) in zip(larger, places, strict=True)
    ]
    return torch.stack(cut).contiguous(memory_format=torch.channels_last)


def _matrices(amounts: np.ndarray) -> Tensor:
    """Return the places (N, 2, 3) for `sample_moved` of (N, 4): shift across and along in sides, turn, growth."""
    across, along, turn, growth = amounts.T
    cosine, sine = np.cos(turn) / (1 + growth), np.sin(turn) / (1 + growth)
    # A grid's side is 2.
    matrices = np.stack([np.stack([cosine, -sine, 2 * across], 1), np.stack([sine, cosine, 2 * along], 1)], 1)
    return torch.as_tensor(matrices, dtype=torch.float32)


def _recoloured(x: Tensor, factors: Tensor) -> Tensor:
    """Change pictures in -1..1; contrast turns about middle grey, so that input and target change alike.

    Args:
        x: pictures (N, 3, S, S); maps (N, 1, S, S) are returned as they are.
        factors: (N, 5, 1, 1) for brightness, contrast and each channel.
    """
    if x.shape[1] != 3:
        return x
    brightness, contrast, channels = factors[:, :1], factors[:, 1:2], factors[:, 2:]
    return (((x + 1) * brightness * channels - 1) * contrast).clamp(-1, 1)
