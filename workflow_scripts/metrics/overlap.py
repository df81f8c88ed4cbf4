"""How far two binary maps overlap."""

import numpy as np


def iou(map_a: np.ndarray, map_b: np.ndarray) -> float:
    """Return intersection over union of two bool maps (H, W), in 0..1, and 1 for two empty maps."""
    union = np.count_nonzero(map_a | map_b)
    return np.count_nonzero(map_a & map_b) / union if union else 1.0


def dice(map_a: np.ndarray, map_b: np.ndarray) -> float:
    """Return the Dice coefficient of two bool maps (H, W), in 0..1, and 1 for two empty maps."""
    total = np.count_nonzero(map_a) + np.count_nonzero(map_b)
    return 2 * np.count_nonzero(map_a & map_b) / total if total else 1.0


def area(binary: np.ndarray) -> float:
    """Return the fraction of the pixels of a bool map (H, W) that are set, in 0..1."""
    return np.count_nonzero(binary) / binary.size
