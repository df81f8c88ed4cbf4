"""Votes of superpixels to votes of pixels, by the colours of foreground and background of the whole shot."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

BINS = 16  # of each channel of Lab
FOREGROUND, BACKGROUND = 0.5, 0.35  # votes from which, and up to which, a pixel's colour counts as theirs
WEIGHT = 0.5  # of colour against votes
MOST = 4.0  # the largest logarithm of a ratio of colours' shares
SURE = 0.02  # no vote is surer than this
BLUR = 2.0  # pixels
RARE = 1e-5  # added to each share


def refine(frames: np.ndarray, labels: Sequence[np.ndarray], votes: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the votes of the pixels of each frame, float32 (H, W) of 0..1.

    The logarithm of how much more common a pixel's colour is in the foreground than in the background, averaged over
    the pixels near it, is added to the logit of its superpixel's vote. So a mask follows contours that superpixels do
    not. Without a foreground, the votes stay as they are.

    Args:
        frames: of one shot, RGB uint8 (n, H, W, 3).
        labels: superpixels of each frame, int (H, W).
        votes: of the superpixels of each frame, of 0..1.
    """
    colours = [_colour_bins(frame) for frame in frames]
    foreground, background = np.zeros(BINS**3), np.zeros(BINS**3)
    for colour, own, part in zip(colours, labels, votes, strict=True):
        sure = np.where(part > FOREGROUND, part, 0), np.where(part < BACKGROUND, 1 - part, 0)
        foreground += np.bincount(colour.ravel(), sure[0][own].ravel(), BINS**3)
        background += np.bincount(colour.ravel(), sure[1][own].ravel(), BINS**3)
    if not foreground.any() or not background.any():
        yield from (part[own] for own, part in zip(labels, votes, strict=True))
        return
    ratios = np.log((foreground / foreground.sum() + RARE) / (background / background.sum() + RARE))
    ratios = WEIGHT * np.clip(ratios, -MOST, MOST).astype(np.float32)
    for colour, own, part in zip(colours, labels, votes, strict=True):
        odds = np.clip(part, SURE, 1 - SURE).astype(np.float32)
        logit = np.log(odds / (1 - odds))[own] + cv2.GaussianBlur(ratios[colour], (0, 0), BLUR)
        yield 1 / (1 + np.exp(-logit))


def _colour_bins(frame: np.ndarray) -> np.ndarray:
    """Return the bin of each pixel's colour, uint16 (H, W)."""
    first, second, third = np.moveaxis(cv2.cvtColor(frame, cv2.COLOR_RGB2LAB).astype(np.uint16) * BINS // 256, -1, 0)
    return (first * BINS + second) * BINS + third
