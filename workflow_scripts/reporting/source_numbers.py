"""The numbers of one source's summary."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow_scripts.reporting.flow import SourceFlow


def item_counts(flow: SourceFlow, items: pd.DataFrame, stages: Sequence[str], cropped: int | None) -> dict:
    """Return the counts of items by stage; `unaccounted` is 0, or a stage has lost items silently.

    Args:
        flow: from the index and the quarantine.
        items: the index, columns `file` and `frame`.
        stages: that the items went through and that may have quarantined them, in their order.
        cropped: items that have a crop; None where no faces were asked for.
    """
    remaining, left = {"found": flow.found}, flow.found
    for stage in stages:
        left -= flow.lost.get(stage, 0)
        remaining[stage] = left
    return {
        "found": flow.found,
        "files": int(items["file"].nunique()),
        "frames": int(items["frame"].notna().sum()),
        "lost": dict(flow.lost),
        "left_after": remaining,
        "cropped": cropped,
        "usable": flow.usable,
        "unaccounted": 0 if cropped is None else flow.usable - cropped,
    }


def describe_sizes(items: pd.DataFrame) -> dict | None:
    """Return the spread of widths and heights, and the most frequent size; None without items."""
    if items.empty:
        return None
    (width, height), count = Counter(zip(items["width"], items["height"], strict=True)).most_common(1)[0]
    return {
        "unit": "pixel",
        "width": spread(items["width"].to_numpy()),
        "height": spread(items["height"].to_numpy()),
        "distinct": len(items[["width", "height"]].drop_duplicates()),
        "most_frequent": {"width": int(width), "height": int(height), "items": count},
    }


def face_counts(per_picture: Counter) -> dict:
    """Return pictures by their number of faces, and the fractions of all with none and with several."""
    pictures = per_picture.total()
    several = sum(count for number, count in per_picture.items() if number > 1)
    return {
        "per_picture": {str(number): count for number, count in sorted(per_picture.items())},
        "none": round(per_picture[0] / pictures, 6) if pictures else None,
        "several": round(several / pictures, 6) if pictures else None,
    }


def spread(values: np.ndarray) -> dict[str, float] | None:
    """Return smallest and largest value, median, 5th and 95th percentile; None without finite values."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return None
    found = np.percentile(finite, [0, 5, 50, 95, 100]).round(4).tolist()
    return dict(zip(("min", "p5", "median", "p95", "max"), found, strict=True))


def spread_angles(angles: np.ndarray) -> dict[str, float] | None:
    """Return `spread` of angles, and median and 95th percentile of their size without sign."""
    sizes = spread(np.abs(angles))
    return sizes and spread(angles) | {"median_of_size": sizes["median"], "p95_of_size": sizes["p95"]}
