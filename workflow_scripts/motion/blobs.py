"""Connected parts of masks: which stand for objects."""

import cv2
import numpy as np


def weak_blobs(votes: np.ndarray, threshold: float, share: float) -> np.ndarray:
    """Return where the blobs lie whose votes together are less than a share of those of the strongest: bool (H, W).

    Args:
        votes: float32 (H, W).
        threshold: a blob is where votes are above this.
        share: of the sum of the votes of the strongest blob.
    """
    count, blobs = cv2.connectedComponents((votes > threshold).astype(np.uint8), connectivity=4)
    energy = np.bincount(blobs.ravel(), votes.ravel(), count)
    energy[0] = 0
    weak = energy < share * energy.max()
    weak[0] = False
    return weak[blobs]


def clean(votes: np.ndarray, foreground: int, share: float) -> tuple[np.ndarray, int]:
    """Return the mask of a frame, uint8 (H, W) of 0..100, and how many blobs it keeps.

    The mask is 0 in blobs of the foreground that are smaller than a share of the largest.

    Args:
        votes: float32 (H, W) of 0..1.
        foreground: from which value of 100 a pixel is foreground.
        share: of the area of the largest blob.
    """
    mask = np.rint(100 * votes).astype(np.uint8)
    count, blobs = cv2.connectedComponents((mask >= foreground).astype(np.uint8), connectivity=4)
    areas = np.bincount(blobs.ravel(), minlength=count)
    areas[0] = 0
    small = areas < share * areas.max()
    small[0] = False
    mask[small[blobs]] = 0
    return mask, int(count - 1 - small.sum())
