"""Means over few repetitions of an experiment, and whether two ways of doing it differ."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def mean_interval(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return `mean`, `low` and `high` of the 95 % interval of Student's t, and `count`; no interval of one value."""
    values = np.asarray(values, float)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return {"mean": mean, "low": None, "high": None, "count": count}
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "count": count}


def paired_difference(first: Sequence[float], second: Sequence[float]) -> dict[str, float | int | None]:
    """Return the `mean_interval` of second minus first, `p` of the paired t test (two-sided), and the effect size `d`.

    `d` is Cohen's d of paired values: the mean difference over the standard deviation of the differences. With one
    pair, or differences that are all equal, `p` and `d` are None.
    """
    differences = np.asarray(second, float) - np.asarray(first, float)
    found = mean_interval(differences)
    deviation = differences.std(ddof=1) if len(differences) > 1 else 0.0
    if not deviation:
        return found | {"p": None, "d": None}
    p = stats.ttest_rel(second, first).pvalue
    return found | {"p": float(p), "d": float(differences.mean() / deviation)}
