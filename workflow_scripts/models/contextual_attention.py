"""Contextual attention (Yu et al. 2018, section 4): a hole is filled with patches of what is left of the features."""

import torch
import torch.nn.functional as F
from torch import Tensor

RATE = 2  # features are compared at this fraction of their size
SHARPNESS = 10.0  # of the softmax over patches


def attend(features: Tensor, hole: Tensor) -> Tensor:
    """Return the features put together of patches from outside the hole, each place from those most like its own.

    Args:
        features: (N, C, H, W), of even height and width.
        hole: (N, 1, H, W), 1 in the hole.

    Returns:
        float32 (N, C, H, W); zeros where a hole leaves nothing to take patches from.
    """
    height, width = map(int, features.shape[-2:])  # numbers, not what a traced graph would compute
    small = (height // RATE, width // RATE)
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        patches = F.unfold(features, 2 * RATE, padding=RATE // 2, stride=RATE)  # N, C * 16, places
        compared = F.unfold(features[..., ::RATE, ::RATE], 3, padding=1)  # N, C * 9, places
        lengths = compared.square().sum(dim=1, keepdim=True).clamp(min=1e-8).sqrt()  # 0 has no slope
        likeness = (compared / lengths).transpose(1, 2) @ compared  # N, places to take from, places to fill
        likeness = _propagated(likeness, small)
        masked = F.unfold(hole[..., ::RATE, ::RATE].float(), 3, padding=1).amax(dim=1)
        whole = (masked == 0)[:, :, None]
        weights = torch.softmax(SHARPNESS * likeness.masked_fill(~whole, -1e4), dim=1) * whole
        taken = F.fold(patches @ weights, (height, width), 2 * RATE, padding=RATE // 2, stride=RATE)
        return taken / RATE**2  # as many patches as this lie over each place


def _propagated(likeness: Tensor, small: tuple[int, int]) -> Tensor:
    """Return likenesses summed over neighbours, first across, then down: neighbours take from neighbours.

    Args:
        likeness: (N, P, P), P = H * W places in the order of their rows.
        small: H and W.
    """
    count, places = likeness.shape[:2]
    height, width = small
    diagonal = torch.eye(3, device=likeness.device)[None, None]
    x = F.conv2d(likeness[:, None], diagonal, padding=1)
    x = x.view(count, height, width, height, width).permute(0, 2, 1, 4, 3).reshape(count, 1, places, places)
    x = F.conv2d(x, diagonal, padding=1)
    return x.view(count, width, height, width, height).permute(0, 2, 1, 4, 3).reshape(count, places, places)
