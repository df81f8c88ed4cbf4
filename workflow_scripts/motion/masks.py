"""Masks of moving objects as the tables hold them."""

import cv2
import numpy as np


def encode_mask(mask: np.ndarray) -> bytes:
    """Return a mask, uint8 (H, W) of 0..100, as a grey PNG."""
    return cv2.imencode(".png", mask)[1].tobytes()


def decode_mask(data: bytes) -> np.ndarray:
    """Return the mask, uint8 (H, W) of 0..100, that a PNG holds."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
