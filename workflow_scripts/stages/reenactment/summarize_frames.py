"""Stage: gather the scores of a driven face: all rows in one table, their summary in one JSON file.

`metrics.json`, where null means not measured:

- `scores`: a list, one entry for each `split` and `source` that occurs: `test` (the target's held-out frames, painted
  from their own drawings), `train` and `apply` (another person's); null as source means all together. `items` counts
  its rows; `mean`, `median` and `count` hold a number for each score of the table (`score_frames.py`;
  `count` is the number of rows that have it). `psnr_nearest` and the like are the baseline: the target's nearest
  training frame.
- `gaps`: as in `workflow_scripts/stages/removal/summarize_metrics.py`: the mean of training less that of test items.
- `published`: empty: only pictures were published.
- `items`: for each source, how many items were drawn (`paired`, as in other systems) and are scored (`scored`).
- `quarantined`: the experiment's lost items, counted by stage, source and reason.
"""

import argparse
from pathlib import Path

from workflow_scripts.core import cli
from workflow_scripts.core.files import write_json
from workflow_scripts.core.tables import read_tables, write_table
from workflow_scripts.metrics.summary import (
    EXPERIMENT_QUARANTINE,
    count_paired_and_scored,
    count_reasons,
    merge_quarantine,
    summarize_scores,
    training_gaps,
)
from workflow_scripts.systems._reenactment.columns import FRAME_METRICS, FRAME_SCORES


def summarize_frames(
    metrics: list[Path], drawings: list[Path], quarantine: list[Path], output: Path, summary: Path, quarantined: Path
) -> None:
    """Write the table, the summary and the quarantine of one experiment.

    Args:
        metrics: `metrics/{source}/{shard}.parquet` of every source.
        drawings: `drawings/{source}/{shard}.arrow` of every source.
        quarantine: `quarantine/{stage}/{source}/{shard}.parquet`; the source is the folder's name.
        output: the table, sorted by source and item.
        summary: the JSON file described above.
        quarantined: the merged quarantine, with a column `source`.
    """
    rows = read_tables(metrics).sort_values(["source", "item"], ignore_index=True)
    write_table(output, rows, FRAME_METRICS)
    lost = merge_quarantine(quarantine)
    write_table(quarantined, lost, EXPERIMENT_QUARANTINE)
    write_json(
        summary,
        {
            "scores": summarize_scores(rows, FRAME_SCORES, ("test", "train", "apply")),
            "gaps": training_gaps(rows[rows["split"] != "apply"], FRAME_SCORES),
            "published": [],
            "items": count_paired_and_scored(rows, drawings),
            "quarantined": count_reasons(lost),
        },
    )


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("metrics", "drawings", "quarantine"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="of all sources")
    parser.add_argument("--output", type=Path, required=True, help="the table of all scores")
    parser.add_argument("--summary", type=Path, required=True, help="the JSON file")
    parser.add_argument("--quarantined", type=Path, required=True, help="the merged quarantine")
    args = parser.parse_args(argv)
    summarize_frames(args.metrics, args.drawings, args.quarantine, args.output, args.summary, args.quarantined)


if __name__ == "__main__":
    cli.run(main)
