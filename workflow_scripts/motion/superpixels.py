"""Superpixels, and what each of them looks like."""

import cv2
import numpy as np
from skimage.segmentation import slic

PATCH, CELLS, ORIENTATIONS = 15, 3, 6  # pixels of the patch of the gradients, its cells on a side, bins of each
GRADIENTS, COLOURS, PLACE = 0.3, 1.0, 0.5  # weights of the three parts of a descriptor
EVEN = 10  # grey levels; gradients around a place that are smaller than this count for less
BINS = 20  # of the histogram of each of six colour channels


def find_superpixels(frame: np.ndarray, count: int) -> np.ndarray:
    """Return the superpixel of each pixel, counted from 0 without a gap: int32 (H, W).

    Args:
        frame: RGB uint8 (H, W, 3).
        count: about how many there are to be.
    """
    labels = slic(frame, count, compactness=10, max_num_iter=5, sigma=1, start_label=0)
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def describe(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return descriptors of superpixels, float32 (n, 176), whose squared distances compare.

    They are 54 numbers of gradients on a patch of 15 pixels around the centre (3 x 3 cells of 6 orientations, Dalal and
    Triggs 2005), 120 of colours (20 bins of each channel of RGB and Lab, square roots of shares, so that distances are
    those of Hellinger), and the place in shares of the picture.

    Args:
        frame: RGB uint8 (H, W, 3).
        labels: int32 (H, W).
    """
    n = int(labels.max()) + 1
    sizes = np.bincount(labels.ravel(), minlength=n)
    y, x = (np.bincount(labels.ravel(), place.ravel(), n) / sizes for place in np.indices(labels.shape))
    place = np.stack([y / labels.shape[0], x / labels.shape[1]], 1)
    parts = GRADIENTS * _gradients(frame, y, x), COLOURS * _colours(frame, labels, sizes), PLACE * place
    return np.hstack(parts).astype(np.float32)


def _gradients(frame: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the histograms of gradients around places, float32 (n, 54) of length 1, or 0 where nothing is."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    right, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    turn = np.mod(np.arctan2(down, right), np.pi) * (ORIENTATIONS / np.pi)
    strength = np.hypot(right, down)
    lower, cell = np.floor(turn), PATCH // CELLS
    share = turn - lower
    rows, columns = (np.round(centre).astype(int)[:, None, None] for centre in (y, x))
    offsets = (np.arange(CELLS) - CELLS // 2) * cell
    rows = np.clip(rows + offsets[:, None], 0, grey.shape[0] - 1)
    columns = np.clip(columns + offsets, 0, grey.shape[1] - 1)
    found = np.empty((len(y), CELLS, CELLS, ORIENTATIONS), np.float32)
    for orientation in range(ORIENTATIONS):
        part = (lower % ORIENTATIONS == orientation) * (1 - share) + ((lower + 1) % ORIENTATIONS == orientation) * share
        found[..., orientation] = cv2.blur(strength * part, (cell, cell))[rows, columns]
    found = found.reshape(len(y), -1)
    return found / (np.linalg.norm(found, axis=1, keepdims=True) + EVEN)


def _colours(frame: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the square roots of the shares of colours, float32 (n, 120), of length 1."""
    channels = np.concatenate([frame, cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)], 2).astype(np.int32)
    bins = channels * BINS // 256 + BINS * np.arange(6)
    places = labels[..., None] * (6 * BINS) + bins
    counts = np.bincount(places.ravel(), minlength=len(sizes) * 6 * BINS).reshape(len(sizes), -1)
    return np.sqrt(counts / (6 * sizes[:, None])).astype(np.float32)


def average(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean of a picture (H, W) over each superpixel, float64 (n,)."""
    flat = labels.ravel()
    return np.bincount(flat, values.ravel()) / np.bincount(flat)


def mean_colours(frame: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean Lab colour of each superpixel, (n, 3), and which of them touch the border, bool (n,).

    Args:
        frame: RGB uint8 (H, W, 3).
        labels: int (H, W).
    """
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
    at_border = np.zeros(labels.max() + 1, bool)
    at_border[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    return np.stack([average(lab[..., channel], labels) for channel in range(3)], axis=1), at_border
