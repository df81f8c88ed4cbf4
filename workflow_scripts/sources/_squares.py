"""Pictures of any shape as squares."""

import cv2
import numpy as np


def middle_square(picture: np.ndarray) -> np.ndarray:
    """Return the largest square from the middle of a picture (H, W, 3), a view of it."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def fit_square(array: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 (H, W) or (H, W, 3) until it fits into a square of `size` pixels, with black bars where it does not.

    Smaller, by the mean of the pixels; larger, bilinear.
    """
    height, width = array.shape[:2]
    scale = size / max(height, width)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    shrunk = cv2.resize(array, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.zeros((size, size, *array.shape[2:]), np.uint8)
    top, left = (size - shape[1]) // 2, (size - shape[0]) // 2
    square[top : top + shape[1], left : left + shape[0]] = shrunk
    return square
