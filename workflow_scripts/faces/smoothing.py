"""Averages over presentation time that look as far ahead as back, so that their results do not lag behind."""

import numpy as np

REACH = 3  # standard deviations; farther neighbours have no weight


def gaussian_mean(values: np.ndarray, times: np.ndarray, deviation: float) -> np.ndarray:
    """Return the mean around each time with Gaussian weights, float64 (n, ...).

    Near the ends there are neighbours on one side only.

    Args:
        values: (n, ...).
        times: (n,), presentation times in seconds, not falling; the rate may vary and frames may be absent.
        deviation: standard deviation of the weights in seconds.
    """
    values = np.asarray(values, np.float64)
    means = np.empty_like(values)
    for row, near in enumerate(windows(times, REACH * deviation)):
        weights = np.exp(-(((times[near] - times[row]) / deviation) ** 2) / 2)
        means[row] = np.tensordot(weights / weights.sum(), values[near], 1)
    return means


def running_median(values: np.ndarray, times: np.ndarray, reach: float) -> np.ndarray:
    """Return the median of each value's neighbours of at most `reach` seconds before and after, float64 (n, ...)."""
    medians = np.array(values, np.float64)
    for row, near in enumerate(windows(times, reach)):
        medians[row] = np.median(values[near], axis=0)
    return medians


def windows(times: np.ndarray, reach: float) -> list[slice]:
    """Return for each time the rows that are at most `reach` seconds (and a rounding error) away from it."""
    first = np.searchsorted(times, times - reach - 1e-6, "left")
    last = np.searchsorted(times, times + reach + 1e-6, "right")
    return [slice(*ends) for ends in zip(first, last, strict=True)]
