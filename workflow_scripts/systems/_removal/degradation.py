"""What bad light, cameras and files do to a picture, drawn at random for training items of the map network.

It changes what the network sees and never the map, which stays where the occluder is. All of it is computed on the
device of the batch; random numbers are drawn from the item's name alone.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.core.randomness import item_rng
from workflow_scripts.systems._removal.config import Degradation
from workflow_scripts.systems._removal.networks import LUMA
from workflow_scripts.training.data import Key

KINDS = tuple(Degradation.model_fields)  # in the order in which they come about: scene, lens, sensor, file
BLOCK = 8  # pixels; JPEG transforms squares of this side
# The quantisation tables of ITU-R T.81, annex K, of lightness and of colour.
LIGHTNESS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
TO_YCBCR = (LUMA, (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def degrade(
    columns: Mapping[str, Tensor], keys: Sequence[Key], seed: int, epoch: int, shares: Degradation
) -> dict[str, Tensor]:
    """Return pictures as a worse camera would have taken them; all columns of an item alike, but for grain.

    Args:
        columns: pictures (N, 3, S, S) in -1..1, S a multiple of 16.
        keys: of the items; with `seed` and `epoch` they decide what is done to each.
        seed: of the configuration.
        epoch: from 0.
        shares: of the items that meet each kind.
    """
    changed = dict(columns)
    if not any(getattr(shares, kind) for kind in KINDS):
        return changed
    rngs = [item_rng(seed, str(key), f"degradation {epoch}") for key in keys]
    chosen = np.array([rng.random(len(KINDS)) for rng in rngs]) < [getattr(shares, kind) for kind in KINDS]
    for kind, items in zip(KINDS, chosen.T, strict=True):
        rows = np.flatnonzero(items)
        if not len(rows):
            continue
        amounts = np.array([rngs[row].random(3) for row in rows], np.float32)
        for name, x in changed.items():
            at = torch.as_tensor(rows, device=x.device)
            amount = torch.as_tensor(amounts, device=x.device)[..., None, None, None]
            if kind == "noise":
                drawn = np.stack([rngs[row].standard_normal(x.shape[1:], np.float32) for row in rows])
                worse = x[at] + (0.03 + 0.27 * amount[:, 0]) * torch.as_tensor(drawn, device=x.device)
            else:
                worse = DONE[kind](x[at], amount)
            changed[name] = x.index_copy(0, at, worse.clamp(-1, 1).to(x.dtype))
    return changed


def step_back(
    columns: Mapping[str, Tensor], keys: Sequence[Key], seed: int, epoch: int, share: float
) -> dict[str, Tensor]:
    """Return items of which some are seen from farther away, all columns alike, the map too.

    Such an item becomes 1.5 to 4 times as small; upright copies and mirror images of it fill the place around it.

    Args:
        columns: pictures and maps (N, C, S, S).
        keys: of the items; with `seed` and `epoch` they decide which are seen from where.
        seed: of the configuration.
        epoch: from 0.
        share: of the items that this is done to.
    """
    changed = dict(columns)
    if not share:
        return changed
    for row, key in enumerate(keys):
        chance, distance, *shift = item_rng(seed, str(key), f"distance {epoch}").random(4)
        if chance >= share:
            continue
        for name, x in changed.items():
            side = x.shape[-1]
            size = round(side / (1.5 + 2.5 * distance))
            down, across = ((torch.arange(side, device=x.device) + int(2 * size * part)) % (2 * size) for part in shift)
            small = F.interpolate(x[row : row + 1], size=size, mode="area")[0]
            if changed[name] is columns[name]:
                changed[name] = x.clone()
            changed[name][row] = small[:, (down % size)[:, None], torch.minimum(across, 2 * size - 1 - across)]
    return changed


def _grey(x: Tensor, amount: Tensor) -> Tensor:
    """Return shades of grey, or of brown and blue as old prints have them."""
    grey = torch.einsum("nchw,c->nhw", x, x.new_tensor(LUMA))[:, None]
    tone = (amount[:, 0] - 0.5).clamp(min=0) * (2 * amount[:, 1] - 1)
    return grey + 0.4 * tone * x.new_tensor([1, 0, -1])[:, None, None] * (1 - grey * grey)


def _tint(x: Tensor, amount: Tensor) -> Tensor:
    """Return the scene under a lamp of one hue, which leaves little of the other colours."""
    hue, depth, spill = amount.unbind(1)
    thirds = torch.arange(3, device=x.device)[:, None, None] / 3
    lamp = 1 - (0.4 + 0.55 * depth) * (0.5 - 0.5 * torch.cos(2 * torch.pi * (hue - thirds)))
    grey = torch.einsum("nchw,c->nhw", x, x.new_tensor(LUMA))[:, None]
    return ((x + (grey - x) * spill * depth) + 1) * lamp / lamp.amax(1, keepdim=True) - 1


def _expose(x: Tensor, amount: Tensor) -> Tensor:
    """Return the picture darker or lighter by a power of a quarter to four, darker more often, and less lit."""
    power = torch.exp2(3.2 * amount[:, 0] - 1.2)
    return 2 * ((x + 1) / 2).clamp(min=1e-4) ** power * (1 - 0.5 * amount[:, 1] * (power > 1)) - 1


def _blur(x: Tensor, amount: Tensor) -> Tensor:
    """Return the picture out of focus: Gaussian, up to a fiftieth of the side."""
    side = x.shape[-1]
    reach = max(1, side // 20)
    places = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernels = torch.exp(-0.5 * (places / (0.5 + side / 50 * amount[:, 0, 0, 0])) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0)[:, None]
    flat = F.pad(x, (reach,) * 4, mode="reflect").reshape(1, -1, side + 2 * reach, side + 2 * reach)
    flat = F.conv2d(F.conv2d(flat, kernels[:, :, None], groups=len(kernels)), kernels[..., None], groups=len(kernels))
    return flat.reshape(x.shape)


def _reduce(x: Tensor, amount: Tensor) -> Tensor:
    """Return pictures that were a half to a sixth as large, and were enlarged."""
    side = x.shape[-1]
    return torch.cat(
        [
            F.interpolate(
                F.interpolate(one[None], size=max(8, round(side / (2 + 4 * share))), mode="area"),
                size=side,
                mode="bilinear",
                align_corners=False,
            )
            for one, share in zip(x, amount[:, 0].flatten().tolist(), strict=True)
        ]
    )


def _jpeg(x: Tensor, amount: Tensor) -> Tensor:
    """Return pictures as a JPEG file of quality 5 to 60 keeps them: rounded frequencies, colour at half the detail."""
    quality = 5 + 55 * amount[:, 0]
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    to_ycbcr = x.new_tensor(TO_YCBCR)
    planes = torch.einsum("nchw,kc->nkhw", x * 127.5, to_ycbcr)
    lightness = _rounded(planes[:, :1], x.new_tensor(LIGHTNESS) * scale)
    colour = _rounded(F.avg_pool2d(planes[:, 1:], 2), x.new_tensor(COLOUR) * scale)
    colour = F.interpolate(colour, scale_factor=2, mode="bilinear", align_corners=False)
    planes = torch.cat([lightness, colour], 1)
    return torch.einsum("nkhw,ck->nchw", planes, torch.linalg.inv(to_ycbcr)) / 127.5


def _rounded(planes: Tensor, steps: Tensor) -> Tensor:
    """Return planes (N, C, h, w) whose frequencies in each block are multiples of steps, (N, 1, 8, 8)."""
    count, channels, height, width = planes.shape
    blocks = planes.reshape(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    basis, steps = planes.new_tensor(_cosines()), steps.clamp(min=1)[:, :, None, None]
    frequencies = torch.round(basis @ blocks @ basis.T / steps) * steps
    return (basis.T @ frequencies @ basis).transpose(3, 4).reshape(planes.shape)


@cache
def _cosines() -> np.ndarray:
    """Return the discrete cosine transform of eight values, (8, 8), orthonormal."""
    rows, columns = np.mgrid[:BLOCK, :BLOCK]
    basis = np.cos((2 * columns + 1) * rows * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return basis


DONE = {"grey": _grey, "tint": _tint, "expose": _expose, "blur": _blur, "reduce": _reduce, "jpeg": _jpeg}
