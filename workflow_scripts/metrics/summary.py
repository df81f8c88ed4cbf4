"""Numbers that the summaries of all systems have: means over rows, gaps between training and test, lost items."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import QUARANTINE, read_table

EXPERIMENT_QUARANTINE = pa.schema([("source", pa.string()), *QUARANTINE])


def merge_quarantine(paths: list[Path]) -> pd.DataFrame:
    """Return the rows of all quarantine tables with their `source`, which is None for stages that see all sources."""
    tables = [read_table(path).assign(source=_source_of(path)) for path in paths]
    rows = pd.concat(tables, ignore_index=True)[EXPERIMENT_QUARANTINE.names]
    return rows.sort_values(["source", "item", "stage"], ignore_index=True)


def count_paired_and_scored(rows: pd.DataFrame, pairs: list[Path]) -> dict[str, dict[str, int]]:
    """Return for each source the numbers of items that are `paired` and `scored`.

    Args:
        rows: the metrics table, with `source` and `item`.
        pairs: the shards `…/{source}/{shard}.arrow` of the items that could be scored.
    """
    paired: dict[str, set[str]] = {}
    for path in pairs:
        paired.setdefault(path.parent.name, set()).update(Shard(path).items)
    scored = rows.groupby("source")["item"].nunique()
    return {source: {"paired": len(items), "scored": int(scored.get(source, 0))} for source, items in paired.items()}


def count_reasons(lost: pd.DataFrame) -> list[dict]:
    """Return the number of lost items for each stage, source and reason."""
    counts = lost.groupby(["stage", "source", "reason"], dropna=False).size()
    return [
        {"stage": stage, "source": source if isinstance(source, str) else None, "reason": reason, "items": int(items)}
        for (stage, source, reason), items in counts.items()
    ]


def summarize_groups(rows: pd.DataFrame, scores: Sequence[str], splits: Sequence[str]) -> list[dict]:
    """Return the `summarize_group` of each split, source and kind, and of all sources and all kinds of each together.

    Args:
        rows: the metrics table, with `split`, `source` and perhaps `kind`.
        scores: the columns to summarise.
        splits: the splits to summarise, in this order.

    Returns:
        A dictionary for each group that has rows; its `source` or `kind` is None for all of them.
    """
    summaries = []
    for split in splits:
        of_split = rows[rows["split"] == split]
        for source in [None, *sorted(of_split["source"].unique())]:
            of_source = of_split if source is None else of_split[of_split["source"] == source]
            kinds = sorted(of_source["kind"].dropna().unique()) if "kind" in rows else []
            for kind in [None, *kinds]:
                group = of_source if kind is None else of_source[of_source["kind"] == kind]
                if len(group):
                    entry = {"split": split, "source": source, "kind": kind}
                    summaries.append(entry | summarize_group(group, scores))
    return summaries


def summarize_group(rows: pd.DataFrame, scores: Sequence[str]) -> dict:
    """Return the number of `items`, and by column `mean`, `median` and `count`; without values the means are None."""
    values = rows[list(scores)]
    return {
        "items": len(rows),
        "mean": _plain(values.mean()),
        "median": _plain(values.median()),
        "count": {name: int(count) for name, count in values.count().items()},
    }


def training_gaps(rows: pd.DataFrame, scores: Sequence[str]) -> list[dict]:
    """Return the mean of training items minus that of test items, for all sources (source None) and for each.

    Sources that have only one of the two are left out.
    """
    gaps = []
    for source in [None, *sorted(rows["source"].unique())]:
        of_source = rows if source is None else rows[rows["source"] == source]
        means = of_source.groupby("split")[list(scores)].mean()
        if {"train", "test"} <= set(means.index):
            gaps.append({"source": source, "gap": _plain(means.loc["train"] - means.loc["test"])})
    return gaps


def _source_of(path: Path) -> str | None:
    """Return the source of `quarantine/{stage}/{source}/{shard}.parquet`, None for `quarantine/{stage}.parquet`."""
    return path.parent.name if path.parents[2].name == "quarantine" else None


def _plain(values: pd.Series) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}
