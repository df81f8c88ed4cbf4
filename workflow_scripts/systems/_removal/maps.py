"""Maps of an occluder, from two pictures or from a network's answer, both cleaned by the same opening."""

import cv2
import numpy as np


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


def _opened(binary: np.ndarray, side: int) -> np.ndarray:
    if side < 2:
        return binary
    return cv2.morphologyEx(binary, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
