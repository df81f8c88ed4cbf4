"""Masks of moving objects as the tables hold them."""

import cv2
import numpy as np

LINE = (230, 30, 30)  # RGB


def encode_mask(mask: np.ndarray) -> bytes:
    """Return a mask, uint8 (H, W) of 0..100, as a grey PNG."""
    return cv2.imencode(".png", mask)[1].tobytes()


def decode_mask(data: bytes) -> np.ndarray:
    """Return the mask, uint8 (H, W) of 0..100, that a PNG holds."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def outlined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a picture, RGB uint8 (H, W, 3), with a red line around where a mask, bool (H, W), is set.

    The line is as wide as one hundredth of the longer side, so that it is seen when the picture is made small.
    """
    width = max(max(mask.shape) // 100, 1)
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    return np.where((grown > mask)[..., None], np.array(LINE, np.uint8), picture)
