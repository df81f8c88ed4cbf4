"""Stage: draw what the report shows of one experiment.

| file of `figures/` | what |
|---|---|
| `gallery_{source}.png` | test items with a truth: occluded, true map, predicted map, output, composite, truth |
| `applied_{source}.png` | items of a source without a truth: input, predicted map, composite |
| `scores.svg` | spread of the test items' scores by kind of occluder |
| `curves_{network}.svg` | losses and scores during training |
| `presence.svg` | the predicted area as a detector, where the experiment asks for it |

Gallery items are chosen by rank: at equal distances from the best to the worst of each kind, by the composite's PSNR in
the hole (without a truth: by predicted area).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder, write_digests
from workflow_scripts.core.shards import ShardedTensors
from workflow_scripts.core.tables import read_table
from workflow_scripts.reporting.charts import draw_curves
from workflow_scripts.reporting.galleries import Row, choose_by_rank, draw_gallery
from workflow_scripts.systems._removal.charts import draw_presence, draw_score_boxes

GALLERY = {
    "occluded": ("pairs", "input"),
    "true map": ("pairs", "map"),
    "predicted map": ("maps", "map"),
    "output": ("outputs", "output"),
    "composite": ("outputs", "composite"),
    "truth": ("pairs", "target"),
}
APPLIED = {name: GALLERY[name] for name in ("occluded", "predicted map", "composite")}
APPLIED_PER_LINE = 2


def draw_figures(
    experiment: BaseExperiment,
    metrics: Path,
    curves: Sequence[Path],
    pairs: Sequence[Path],
    maps: Sequence[Path],
    outputs: Sequence[Path],
    output: Path,
    digests: Path,
) -> None:
    """Write the folder of figures, what was there is replaced, and the digests of the files in it.

    Args:
        experiment: its keys `evaluation` and, where the system has it, `presence` are used.
        metrics: the experiment's `metrics` table.
        curves: `curves/{network}.parquet` of every network.
        pairs: `pairs/{source}/{shard}.arrow` of every source.
        maps: the `maps` shards.
        outputs: the `outputs` shards.
        output: the folder.
        digests: JSON, file name -> SHA-256: what depends on the figures can tell whether any changed.
    """
    rows = read_table(metrics)
    pictures = ShardedTensors({"pairs": pairs, "maps": maps, "outputs": outputs})
    with atomic_folder(output) as folder:
        _draw_all(experiment, rows, curves, pictures, folder)
    write_digests(output, digests)


def _draw_all(
    experiment: BaseExperiment, rows: pd.DataFrame, curves: Sequence[Path], pictures: ShardedTensors, folder: Path
) -> None:
    count = experiment.gallery
    test = rows[rows["split"] == "test"]
    for source, of_source in test.groupby("source"):
        draw_test_gallery(of_source, pictures, count, folder / f"gallery_{source}.png")
    for source, of_source in rows[rows["split"] == "apply"].groupby("source"):
        draw_applied_gallery(of_source, pictures, count, folder / f"applied_{source}.png")
    draw_score_boxes(test, folder / "scores.svg")
    for path in curves:
        draw_curves(read_table(path), path.stem, folder / f"curves_{path.stem}.svg")
    presence = getattr(experiment, "presence", None)
    if presence is not None:
        sources = (presence.occluded, presence.bare)
        areas = [rows.loc[(rows["source"] == name) & ~rows["seen"], "predicted_area"].to_numpy() for name in sources]
        if all(map(len, areas)):
            draw_presence(*areas, sources, folder / "presence.svg")


def draw_test_gallery(rows: pd.DataFrame, pictures: ShardedTensors, count: int, path: Path) -> None:
    """Draw about `count` test items of one source, equally many of each kind."""
    kinds = list(rows.groupby("kind", dropna=False))
    per_kind = max(1, count // len(kinds))
    chosen = [label for _, of_kind in kinds for label in choose_by_rank(of_kind["psnr_composite_hole"], per_kind)]
    lines = [Row([_test_label(row)], _panels(row, pictures, GALLERY)) for row in rows.loc[chosen].itertuples()]
    draw_gallery(list(GALLERY), lines, path)


def draw_applied_gallery(rows: pd.DataFrame, pictures: ShardedTensors, count: int, path: Path) -> None:
    """Draw `count` items of a source without truth, two on a line."""
    chosen = rows.loc[choose_by_rank(rows["predicted_area"], count)]
    lines = []
    for start in range(0, len(chosen), APPLIED_PER_LINE):
        of_line = list(chosen.iloc[start : start + APPLIED_PER_LINE].itertuples())
        labels = [(row.item, f"map {row.predicted_area:.1%}") for row in of_line]
        lines.append(Row(labels, [panel for row in of_line for panel in _panels(row, pictures, APPLIED)]))
    draw_gallery(["input", "predicted map", "composite"] * APPLIED_PER_LINE, lines, path)


def _panels(row, pictures: ShardedTensors, columns: dict[str, tuple[str, str]]) -> list[np.ndarray]:
    return [pictures.get(*place, row.source, row.item, row.variant) for place in columns.values()]


def _test_label(row) -> list[str]:
    return [
        row.item,
        row.kind or "occluder",
        f"hole {row.psnr_composite_hole:.1f} dB",
        f"copy there {row.psnr_copy_hole:.1f} dB",
        f"map IoU {row.map_iou:.2f}",
    ]


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    from workflow_scripts.config.load import Experiment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="the experiment as JSON")
    parser.add_argument("--metrics", type=Path, required=True, help="the experiment's table")
    parser.add_argument("--curves", type=Path, nargs="+", required=True, help="tables of all networks")
    for name in ("pairs", "maps", "outputs"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="shards of all sources")
    parser.add_argument("--output", type=Path, required=True, help="the folder")
    parser.add_argument("--digests", type=Path, required=True, help="JSON: SHA-256 of each file in the folder")
    args = parser.parse_args(argv)
    experiment = TypeAdapter(Experiment).validate_json(args.config)
    draw_figures(experiment, args.metrics, args.curves, args.pairs, args.maps, args.outputs, args.output, args.digests)


if __name__ == "__main__":
    cli.run(main)
