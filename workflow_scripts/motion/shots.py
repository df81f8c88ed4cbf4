"""Where the shots of a clip begin, by the colours of its frames."""

from itertools import pairwise

import cv2
import numpy as np
import pandas as pd

BINS = 40  # of the histogram of each of six colour channels
SHORTEST = 10  # frames; in fewer, consensus means nothing
PENALTY = 1.0  # of the criterion by which the number of shots is chosen


def clips_of(index: pd.DataFrame) -> pd.Series:
    """Return the clip of each row of an index: a video's file, or the group of pictures."""
    return index["file"].where(index["frame"].notna(), index["group"])


def colours(frame: np.ndarray) -> np.ndarray:
    """Return the square roots of the shares of a frame's colours, float32 (240,) of length 1.

    They are 40 bins of each channel of RGB and Lab.

    Args:
        frame: RGB uint8 (H, W, 3).
    """
    channels = np.concatenate([frame, cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)], 2).reshape(-1, 6)
    bins = channels.astype(np.int32) * BINS // 256 + BINS * np.arange(6)
    counts = np.bincount(bins.ravel(), minlength=6 * BINS)
    return np.sqrt(counts / counts.sum()).astype(np.float32)


def first_frames(features: np.ndarray, most: int) -> list[int]:
    """Return the first frame of each shot, at least 0, by kernel temporal segmentation (Potapov et al., ECCV 2014).

    The frames are divided so that within the shots the features vary least; one more shot must lower the mean variance
    by more than the criterion's penalty. No shot has less than `SHORTEST` frames, unless it is the only one.

    Args:
        features: of each frame, float32 (n, d), of length 1.
        most: shots at most.
    """
    frames = len(features)
    scatter = _scatter(features)
    cost = scatter[0]
    costs, origins = [cost], []
    for _ in range(1, min(most, frames // SHORTEST)):
        options = cost[:, None] + scatter
        origins.append(options.argmin(axis=0))
        cost = options.min(axis=0)
        costs.append(cost)
    counts = np.arange(1, len(costs) + 1)
    penalties = PENALTY * counts / (2 * frames) * (np.log(frames / counts) + 1)
    chosen = int(np.argmin([cost[-1] / frames for cost in costs] + penalties))
    ends = [frames]
    for origin in reversed(origins[:chosen]):
        ends.append(int(origin[ends[-1]]))
    return [0, *reversed(ends[1:])]


def _scatter(features: np.ndarray) -> np.ndarray:
    """Return the scatter of the features from each frame to before each other, float64 (n + 1, n + 1).

    It is infinite for runs that are too short, but for that of all frames.
    """
    frames = len(features)
    kernel = features.astype(np.float64) @ features.T.astype(np.float64)
    sums = np.zeros((frames + 1, frames + 1))
    sums[1:, 1:] = kernel.cumsum(axis=0).cumsum(axis=1)
    squares = np.concatenate([[0.0], np.diag(kernel).cumsum()])
    ends = np.arange(frames + 1)
    lengths = ends - ends[:, None]
    inner = np.diag(sums) + np.diag(sums)[:, None] - sums - sums.T
    scatter = squares - squares[:, None] - inner / np.maximum(lengths, 1)
    allowed = (lengths >= SHORTEST) | (lengths == frames)
    return np.where(allowed, scatter, np.inf)


def even_parts(length: int, most: int) -> list[slice]:
    """Divide a length into as few parts of at most `most` as possible, of nearly the same size."""
    borders = np.linspace(0, length, -(-length // most) + 1).round().astype(int)
    return [slice(int(begin), int(end)) for begin, end in pairwise(borders)]
