"""Stage: put the annotations of all shards that cannot be used into one table, and count those that can."""

from collections import Counter

import pandas as pd

from workflow_scripts.core import cli
from workflow_scripts.core.files import read_json, write_json
from workflow_scripts.core.tables import merge_tables, read_tables
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.stages.objects.split_annotations import CATEGORIES


def collect_rejected_annotations(
    annotations: Input, objects: Inputs, captions: Inputs, rejected: Inputs, output: Output, counts: Output
) -> None:
    """Write the rejected annotations of a source, and how many there are of each kind.

    Args:
        annotations: the folder that `split_annotations` made.
        objects: `objects/{shard}.parquet`, all shards.
        captions: `captions/{shard}.parquet` likewise.
        rejected: `quarantine/read_objects/{shard}.parquet` likewise.
        output: the table, sorted by item.
        counts: JSON: `objects`, `objects_without_mask`, `captions`, and `rejected`, reason -> entries, the most first.

    Raises:
        UserError: there are objects or captions, and none of them can be used.
    """
    areas = read_tables(objects, ["area"])["area"]
    words = len(read_tables(captions, ["item"]))
    lost = read_tables(rejected, ["item", "reason", "detail"])
    lost = lost[
        lost["item"].str.fullmatch(r".*#/\w+/\d+")
    ]  # without fields that were left out of objects that are kept
    categories = read_json(annotations / CATEGORIES)
    is_caption = lost["item"].map(lambda place: not categories[place.rpartition("#/")[0]])
    entries = lost["item"].str.contains("#/annotations/", regex=False)
    for kind, used, unused in (
        ("objects", len(areas), lost[entries & ~is_caption]),
        ("captions", words, lost[entries & is_caption]),
    ):
        if not used and len(unused):
            raise cli.UserError(f"none of the {len(unused):,} {kind} can be used: {_reasons(unused)}")
    merge_tables(rejected, output)
    write_json(
        counts,
        {
            "objects": len(areas),
            "objects_without_mask": int(areas.isna().sum()),
            "captions": words,
            "rejected": [list(entry) for entry in Counter(read_tables(rejected, ["reason"])["reason"]).most_common()],
        },
    )


def _reasons(unused: pd.DataFrame) -> str:
    """Return how often each reason occurs, and the most frequent one in full."""
    reasons = Counter(unused["reason"]).most_common()
    example = unused.loc[unused["reason"] == reasons[0][0], "detail"].iloc[0]
    return f"{', '.join(f'{count:,} {reason}' for reason, count in reasons)}; for example {example}"


main = stage_command(collect_rejected_annotations)


if __name__ == "__main__":
    cli.run(main)
