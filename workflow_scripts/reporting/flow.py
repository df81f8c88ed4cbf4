"""What became of every item: counts from the files themselves, for the report and for whoever checks conservation."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core.tables import read_table


class Reason(NamedTuple):
    """How many items one stage quarantined for one reason; `where` is the source, or the experiment and the source."""

    where: str
    stage: str
    reason: str
    items: int


class SourceFlow(NamedTuple):
    """The way of one source's items to their crops.

    Attributes:
        source: its name.
        found: items that the source holds.
        lost: stage -> items quarantined there.
        usable: items that are left.
        reasons: most frequent first.
    """

    source: str
    found: int
    lost: Mapping[str, int]
    usable: int
    reasons: list[Reason]


def source_flow(source: str, index: Path, quarantine: Path) -> SourceFlow:
    """Count the items of a source that were found, quarantined and left.

    Args:
        source: its name.
        index: its `index.parquet`.
        quarantine: its `quarantine.parquet`.
    """
    indexed = set(read_table(index, ["item"])["item"])
    quarantine = read_table(quarantine, ["item", "stage", "reason"])
    lost = set(quarantine["item"])
    counts = quarantine.groupby(["stage", "reason"])["item"].nunique().sort_values(ascending=False, kind="stable")
    return SourceFlow(
        source=source,
        found=len(indexed | lost),
        lost=quarantine.groupby("stage")["item"].nunique().to_dict(),
        usable=len(indexed - lost),
        reasons=[Reason(source, stage, reason, int(count)) for (stage, reason), count in counts.items()],
    )


def experiment_flow(
    splits: Path, flows: Mapping[str, SourceFlow], stage: str, summary: dict
) -> dict[str, dict[str, int]]:
    """Count, for each source of an experiment, what became of its usable items.

    Args:
        splits: the experiment's `splits.parquet`.
        flows: source -> what became of its items.
        stage: the stage that makes the experiment's items of those of its sources.
        summary: its `metrics.json`.

    Returns:
        source -> `usable`, `lost` in `stage`, `paired`, `scored`, `unaccounted` (0, or a stage has lost items
        silently), and the number of items of each split.
    """
    counts = read_table(splits, ["source", "split"]).groupby(["source", "split"]).size()
    flow = {}
    for source, items in summary["items"].items():
        usable = flows[source].usable
        lost = sum(row["items"] for row in summary["quarantined"] if (row["stage"], row["source"]) == (stage, source))
        of_splits = {split: int(count) for (name, split), count in counts.items() if name == source}
        flow[source] = {
            "usable": usable,
            "lost": lost,
            **items,
            "unaccounted": usable - lost - items["paired"],
            **of_splits,
        }
    return flow


def experiment_reasons(experiment: str, summary: dict) -> list[Reason]:
    """Return what the stages of an experiment quarantined, from its `metrics.json`."""
    return [
        Reason(" / ".join(filter(None, [experiment, row["source"]])), row["stage"], row["reason"], row["items"])
        for row in summary["quarantined"]
    ]
