"""The curve of quality against diversity: what each method reaches at each value of the knob."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow_scripts.metrics.summary import summarize_group
from workflow_scripts.systems._completion.columns import OURS, SCORES, VARIATIONAL, in_order

HOLE = ["source", "item", "variant"]


def plain_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at knob 1 without a move."""
    return rows[(rows["knob"] == 1) & (rows["move"] == "")]


def curve_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without a move of the holes that are completed at several knobs; of all, where none is."""
    unmoved = rows[rows["move"] == ""]
    varied = unmoved.loc[unmoved["knob"] != 1, HOLE].drop_duplicates()
    return unmoved.merge(varied, on=HOLE) if len(varied) else unmoved


def summarize_curve(rows: pd.DataFrame) -> list[dict]:
    """Return the `curve` entry of the summary, knobs in rising order."""
    rows = curve_rows(rows)
    entries = []
    for method in in_order(rows["method"]):
        for knob, group in rows[rows["method"] == method].groupby("knob"):
            entries.append({"method": method, "knob": round(float(knob), 6)} | summarize_group(group, SCORES))
    return entries


def compare_diversity(curve: Sequence[dict]) -> dict | None:
    """Return the `against_variational` entry of the summary.

    On our curve, diversity at an error is interpolated between the two knobs around it. Beyond the largest error that
    ours has, it is that of the most diverse knob, which has less error still; below the smallest, there is none.
    """
    points = {}
    for entry in curve:
        error, diversity = entry["mean"]["nme_truth"], entry["mean"]["diversity_hole"]
        if error is not None and diversity is not None:
            points.setdefault(entry["method"], []).append((error, diversity, entry["knob"]))
    if OURS not in points or not set(VARIATIONAL) & set(points):
        return None
    rows = [
        {"method": method, "knob": knob, "nme": error, "diversity": diversity}
        | {"ours": (ours := diversity_at(points[OURS], error))}
        | {"ratio": ours / diversity if ours is not None and diversity > 0 else None}
        for method in VARIATIONAL
        for error, diversity, knob in points.get(method, [])
    ]
    ratios = [row["ratio"] for row in rows if row["knob"] == 1]
    return {"points": rows, "at_one": None if None in ratios else min(ratios, default=None)}


def diversity_at(points: Sequence[tuple], error: float) -> float | None:
    """Return the diversity that a curve of (error, diversity, …) reaches with at most `error`, None if it never does.

    Points that another one beats in both are left out: nobody would choose their knobs.
    """
    reached = np.array(sorted(point[:2] for point in points))
    best = np.maximum.accumulate(reached[:, 1])
    kept = reached[:, 1] >= best
    errors, diversities = reached[kept, 0], reached[kept, 1]
    return None if error < errors[0] else float(np.interp(error, errors, diversities))
