"""What the page shows of a system that takes something off a face.

| file of `figures/` | what |
|---|---|
| `first_look.png` | the best, the middle and the worst test picture: occluded, what was made of it, truth |
| `gallery_{source}.png` | test items with a truth: occluded, true map, predicted map, output, composite, truth |
| `applied_{source}.png` | items of a source without a truth: input, predicted map, composite |
| `samples_{source}.png` | several pictures that were made of the same item, where an editor samples |
| `scores.svg` | spread of the test items' scores by kind of occluder |
| `presence.svg` | the predicted area as a detector, where the experiment asks for it |

Gallery items are chosen by rank: at equal distances from the best to the worst of each kind, by the composite's PSNR in
the hole (without a truth: by predicted area).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.core.shards import ShardedTensors
from workflow_scripts.reporting.galleries import Row, choose_by_rank, choose_of_each, draw_first_look, draw_gallery
from workflow_scripts.systems._removal.charts import draw_presence, draw_score_boxes
from workflow_scripts.systems._removal.config import RemovalExperiment

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
SHOWN_SAMPLES = 6  # of an item at most
FIRST_LOOK = {"given": GALLERY["occluded"], "taken off": GALLERY["composite"], "truth": GALLERY["truth"]}
FIRST_LOOK_ITEMS = 3


def draw(
    experiment: RemovalExperiment, rows: pd.DataFrame, pictures: ShardedTensors, index: Sequence[Path], folder: Path
) -> None:
    """Draw the figures of an experiment.

    Args:
        experiment: its keys `gallery` and `presence` are used.
        rows: the table of scores.
        pictures: of the kinds `experiment.drawn_kinds`.
        index: not used.
        folder: where the figures go.
    """
    test = rows[rows["split"] == "test"]
    for source, of_source in test.groupby("source"):
        draw_test_gallery(of_source, pictures, experiment.gallery, folder / f"gallery_{source}.png")
    for source, of_source in rows[rows["split"] == "apply"].groupby("source"):
        draw_applied_gallery(of_source, pictures, experiment.gallery, folder / f"applied_{source}.png")
    for (split, source), of_source in rows.dropna(subset="spread").groupby(["split", "source"]):
        if split != "train":
            draw_samples(of_source, pictures, experiment.gallery, folder / f"samples_{source}.png")
    if len(test):
        draw_first_look(_first_look(test, pictures), folder / "first_look.png")
    draw_score_boxes(test, folder / "scores.svg")
    if experiment.presence is not None:
        sources = (experiment.presence.occluded, experiment.presence.bare)
        areas = [rows.loc[(rows["source"] == name) & ~rows["seen"], "predicted_area"].to_numpy() for name in sources]
        if all(map(len, areas)):
            draw_presence(*areas, sources, folder / "presence.svg")


def _first_look(rows: pd.DataFrame, pictures: ShardedTensors) -> list[dict[str, np.ndarray]]:
    """Return the best, the middle and the worst picture, by the composite's PSNR in the hole; of a clip one frame."""
    ranked = rows.sort_values(["psnr_composite_hole", "item"])
    clips = ranked.groupby(["source", ranked["item"].str.partition("#")[0]]).indices.values()
    middles = ranked.iloc[[of_clip[len(of_clip) // 2] for of_clip in clips]]
    chosen = middles.loc[choose_by_rank(middles["psnr_composite_hole"], FIRST_LOOK_ITEMS)]
    return [dict(zip(FIRST_LOOK, _panels(row, pictures, FIRST_LOOK), strict=True)) for row in chosen.itertuples()]


def draw_test_gallery(rows: pd.DataFrame, pictures: ShardedTensors, count: int, path: Path) -> None:
    """Draw about `count` test items of one source, equally many of each kind."""
    chosen = choose_of_each(rows, "kind", "psnr_composite_hole", count)
    lines = [Row([_test_label(row)], _panels(row, pictures, GALLERY)) for row in chosen.itertuples()]
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


def draw_samples(rows: pd.DataFrame, pictures: ShardedTensors, count: int, path: Path) -> None:
    """Draw `count` items of one source at equal distances from the largest to the smallest spread of their samples."""
    known, lines = rows["true_area"].notna().all(), []
    for row in rows.loc[choose_by_rank(rows["spread"], count)].itertuples():
        shown = [("pairs", "input"), *([("pairs", "target")] if known else [])]
        given, *truth = (pictures.get(*place, row.source, row.item, row.variant) for place in shown)
        samples = pictures.get("outputs", "samples", row.source, row.item, row.variant)[:SHOWN_SAMPLES]
        lines.append(Row([_samples_label(row, known)], [given, *samples, *truth]))
    numbers = [f"sample {number}" for number in range(1, len(samples) + 1)]
    draw_gallery(["occluded", *numbers, *(["truth"] if known else [])], lines, path)


def _samples_label(row, known: bool) -> list[str]:
    likeness = [f"best {row.psnr_best_hole:.1f} dB there", f"mean {row.psnr_mean_hole:.1f} dB"] if known else []
    return [row.item, f"spread {row.spread:.1f} of 255", *likeness]


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
