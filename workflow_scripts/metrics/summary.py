"""What the summaries of all systems share: means over rows, gaps between training and test, lost items."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import QUARANTINE, read_table

EXPERIMENT_QUARANTINE = pa.schema([("source", pa.string()), *QUARANTINE])


def merge_quarantine(paths: list[Path]) -> pd.DataFrame:
    """Return the rows of all quarantine tables with their `source`, None where a stage works on all sources at once."""
    tables = [read_table(path).assign(source=_source_of(path)) for path in paths]
    rows = pd.concat(tables, ignore_index=True)[EXPERIMENT_QUARANTINE.names]
    return rows.sort_values(["source", "item", "stage"], ignore_index=True)


def count_paired_and_scored(rows: pd.DataFrame, pairs: list[Path]) -> dict[str, dict[str, int]]:
    """Return `paired` and `scored`, the number of items, for each source."""
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


def summarize_scores(rows: pd.DataFrame, scores: Sequence[str], splits: Sequence[str]) -> list[dict]:
    """Return `summarize_group` for each split, source and, where rows have one, kind, and for all of them together."""
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
    """Return `items`, and `mean`, `median` and `count` by column; a column without values has null means."""
    values = rows[list(scores)]
    return {
        "items": len(rows),
        "mean": _plain(values.mean()),
        "median": _plain(values.median()),
        "count": {name: int(count) for name, count in values.count().items()},
    }


def training_gaps(rows: pd.DataFrame, scores: Sequence[str]) -> list[dict]:
    """Return mean of training less mean of test items, for each source that has both and for all (source None)."""
    gaps = []
    for source in [None, *sorted(rows["source"].unique())]:
        of_source = rows if source is None else rows[rows["source"] == source]
        means = of_source.groupby("split")[list(scores)].mean()
        if {"train", "test"} <= set(means.index):
            gaps.append({"source": source, "gap": _plain(means.loc["train"] - means.loc["test"])})
    return gaps


def _source_of(path: Path) -> str | None:
    """Return the source in `quarantine/{stage}/{source}/{shard}.parquet`, None for `quarantine/{stage}.parquet`."""
    return path.parent.name if path.parents[2].name == "quarantine" else None


def _plain(values: pd.Series) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}
