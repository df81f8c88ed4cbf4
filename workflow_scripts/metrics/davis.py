"""Scores of the masks of a video as DAVIS defines them (Perazzi et al., CVPR 2016): J is `overlap.iou`, F is here."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

TOLERANCE = 0.008  # of the picture's diagonal; contours so near each other match
QUARTERS = 4


class Statistics(NamedTuple):
    """The scores of the frames of one sequence, each in 0..1.

    Attributes:
        mean: over the frames.
        recall: the share of the frames whose score is above 0.5.
        decay: by how much the mean of the first quarter of the frames is above that of the last; below 0 where scores
            grow.
    """

    mean: float
    recall: float
    decay: float


def contour(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a bool mask (H, W) that differ from the one right of, below, or right below them."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])


def contour_f(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the F-measure of the contours of two bool masks (H, W), in 0..1.

    Precision is the share of the mask's contour that lies near that of the truth, recall the reverse; near is within
    0.8 % of the picture's diagonal, rounded up. Of two masks without contours the score is 1, of one without it 0.
    """
    found, wanted = contour(mask), contour(truth)
    counts = np.count_nonzero(found), np.count_nonzero(wanted)
    if 0 in counts:
        return float(counts == (0, 0))
    disk = _disk(math.ceil(TOLERANCE * math.hypot(*mask.shape)))
    precision, recall = (
        np.count_nonzero(own & (cv2.dilate(other.astype(np.uint8), disk) > 0)) / count
        for own, other, count in ((found, wanted, counts[0]), (wanted, found, counts[1]))
    )
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _disk(radius: int) -> np.ndarray:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def statistics(scores: Sequence[float]) -> Statistics:
    """Return mean, recall and decay of the scores of a sequence's frames, in their order, at least one.

    Quarters share the frame at their border, as in the evaluation that DAVIS distributes.
    """
    values = np.asarray(scores, float)
    borders = np.floor(np.linspace(0, len(values) - 1, QUARTERS + 1) + 0.5).astype(int)
    first, last = values[borders[0] : borders[1] + 1], values[borders[-2] : borders[-1] + 1]
    return Statistics(values.mean(), (values > 0.5).mean(), first.mean() - last.mean())
