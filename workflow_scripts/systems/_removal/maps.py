"""Maps of an occluder, from two pictures or from a network's answer, both cleaned by the same opening."""

import cv2
import numpy as np

from workflow_scripts.systems._removal.config import Border


def difference_map(occluded: np.ndarray, bare: np.ndarray, threshold: int = 6, opening: int = 3) -> np.ndarray:
    """Return where two pictures of the same face differ: absolute difference, grey, threshold, opening.

    Args:
        occluded: RGB uint8 (H, W, 3).
        bare: RGB uint8 (H, W, 3).
        threshold: a grey difference above this, of 255, counts.
        opening: as in `clean_map`.

    Returns:
        uint8 (H, W), 0 or 255.
    """
    grey = cv2.cvtColor(cv2.absdiff(occluded, bare), cv2.COLOR_RGB2GRAY)
    return _opened(cv2.threshold(grey, threshold, 255, cv2.THRESH_BINARY)[1], opening)


def coverage_map(coverage: np.ndarray) -> np.ndarray:
    """Return where an occluder hides at least a sixteenth of what is below it.

    That includes its soft rim, which would stay as a shadow around what is painted.

    Args:
        coverage: uint8 (H, W), its alpha.

    Returns:
        uint8 (H, W), 0 or 255.
    """
    return cv2.threshold(coverage, 15, 255, cv2.THRESH_BINARY)[1]


def clean_map(probability: np.ndarray, opening: int = 3) -> np.ndarray:
    """Return a predicted map cleaned as published: binarised at one half, then opened.

    Args:
        probability: uint8 (H, W), 0..255.
        opening: side of the square structuring element in pixels; 0 and 1 change nothing.

    Returns:
        uint8 (H, W), 0 or 255.
    """
    return _opened(cv2.threshold(probability, 127, 255, cv2.THRESH_BINARY)[1], opening)


def border_weights(found: np.ndarray, border: Border) -> np.ndarray:
    """Return how much of each pixel is replaced by what was painted.

    Args:
        found: a cleaned map, uint8 (H, W), 0 or 255.
        border: of the network that painted.

    Returns:
        float32 (H, W): 1 in the map and its margin, then falling to 0 over the feather.
    """
    inside = cv2.dilate(found, np.ones((2 * border.margin + 1,) * 2, np.uint8))
    if not border.feather:
        return (inside > 0).astype(np.float32)
    distance = cv2.distanceTransform((inside == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = np.clip(1 - distance / border.feather, 0, 1)
    return (near * near * (3 - 2 * near)).astype(np.float32)


def mix(picture: np.ndarray, painted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W, 3): `painted` where the weights, float32 (H, W), are 1, `picture` where they are 0."""
    return np.rint(picture + weights[..., None] * (painted.astype(np.float32) - picture)).astype(np.uint8)


def _opened(binary: np.ndarray, side: int) -> np.ndarray:
    if side < 2:
        return binary
    return cv2.morphologyEx(binary, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
