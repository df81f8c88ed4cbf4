"""How well a number tells two kinds of cases apart: the receiver operating characteristic and the area under it."""

import numpy as np


def roc_curve(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve of a detector that fires at or above a threshold, for every threshold that changes it.

    Args:
        positive: (n,), scores of the cases to detect.
        negative: (m,), scores of the other cases.

    Returns:
        False positive rate and true positive rate, each float64 rising from 0 to 1. Equal scores fire together.
    """
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    rates = [
        1 - np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores) for scores in (negative, positive)
    ]
    false_rate, true_rate = (np.concatenate([[0.0], rate]) for rate in rates)
    return false_rate, true_rate


def roc_area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the area under the curve: the chance that a positive case scores above a negative one, ties counting half.

    This is the Mann-Whitney U over n m.

    Args:
        positive: (n,), scores of the cases to detect.
        negative: (m,), scores of the other cases.
    """
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive, side="left")
    not_above = np.searchsorted(negative, positive, side="right")
    return float((below + not_above).mean() / 2 / len(negative))
