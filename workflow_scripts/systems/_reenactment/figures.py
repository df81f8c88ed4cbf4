"""What the page shows of a driven face.

| file of `figures/` | what |
|---|---|
| `first_look.png` | frames of a driver (where none drives, held-out frames) and the face that is driven by them |
| `gallery_{source}.png` | test items: drawing, output, the copier's frame, truth |
| `applied_{source}.png` | items of a driver: its frame, drawing, output, the copier's frame |
| `time_{source}.svg` | landmark error and temporal change, frame by frame, of output, copier and driver |

Gallery items are chosen by rank: at equal distances from the best to the worst, by PSNR or, without a truth, by the
landmark error, an output without a face last.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.core.shards import ShardedTensors
from workflow_scripts.core.tables import read_table
from workflow_scripts.reporting.galleries import Row, choose_by_rank, draw_first_look, draw_gallery
from workflow_scripts.systems._reenactment.charts import draw_time
from workflow_scripts.systems._reenactment.config import ReenactmentExperiment

FIRST_LOOK_ITEMS = 4
COPIED = None  # in place of a kind and column: the training frame that the copier shows
PAINTED = {"drawing": ("drawings", "input"), "output": ("driven", "output"), "nearest": COPIED}
GALLERY = PAINTED | {"truth": ("drawings", "target")}
APPLIED = {"driver": ("drawings", "target"), **PAINTED}


def draw(
    experiment: ReenactmentExperiment, rows: pd.DataFrame, pictures: ShardedTensors, index: Sequence[Path], folder: Path
) -> None:
    """Draw the figures of an experiment.

    Args:
        experiment: its keys `gallery` and `train` are used.
        rows: the table of scores.
        pictures: of the kinds `experiment.drawn_kinds`.
        index: `{source}/index.parquet` of every source.
        folder: where the figures go.
    """
    times = [read_table(path, ["item", "file", "time", "shot"]).assign(source=path.parent.name) for path in index]
    rows = rows.merge(pd.concat(times), "left", ["source", "item"]).assign(target=experiment.train[0])
    shown = rows[rows["split"] == "apply"] if (rows["split"] == "apply").any() else rows[rows["split"] == "test"]
    if len(shown):
        draw_first_look(_first_look(shown, pictures), folder / "first_look.png")
    for (source, split), group in rows[rows["split"] != "train"].groupby(["source", "split"]):
        if split == "test":
            draw_test_gallery(group, pictures, experiment.gallery, folder / f"gallery_{source}.png")
        else:
            draw_applied_gallery(group, pictures, experiment.gallery, folder / f"applied_{source}.png")
        draw_time(group, folder / f"time_{source}.svg")


def _first_look(rows: pd.DataFrame, pictures: ShardedTensors) -> list[dict[str, np.ndarray]]:
    """Return frames at equal distances in time, each with the face that it drives."""
    ordered = rows.sort_values(["source", "file", "time"])
    chosen = ordered.iloc[np.linspace(0, len(ordered) - 1, min(FIRST_LOOK_ITEMS, len(ordered))).round().astype(int)]
    return [
        {
            "driver": pictures.get("drawings", "target", row.source, row.item),
            "driven": pictures.get("driven", "output", row.source, row.item),
        }
        for row in chosen.itertuples()
    ]


def draw_test_gallery(rows: pd.DataFrame, pictures: ShardedTensors, count: int, path: Path) -> None:
    """Draw `count` of the target's own held-out frames."""
    chosen = rows.loc[choose_by_rank(rows["psnr_output"], count)]
    lines = [Row([_test_label(row)], _panels(row, pictures, GALLERY)) for row in chosen.itertuples()]
    draw_gallery(list(GALLERY), lines, path)


def draw_applied_gallery(rows: pd.DataFrame, pictures: ShardedTensors, count: int, path: Path) -> None:
    """Draw `count` frames of a driver."""
    chosen = rows.loc[choose_by_rank(-rows["nme_output"].fillna(np.inf), count)]
    lines = [Row([_applied_label(row)], _panels(row, pictures, APPLIED)) for row in chosen.itertuples()]
    draw_gallery(list(APPLIED), lines, path)


def _panels(row, pictures: ShardedTensors, columns: dict[str, tuple[str, str] | None]) -> list[np.ndarray]:
    copied = pictures.get("drawings", "target", row.target, row.nearest_item)
    return [copied if place is COPIED else pictures.get(*place, row.source, row.item) for place in columns.values()]


def _test_label(row) -> list[str]:
    likeness = [f"PSNR {row.psnr_output:.1f} dB", f"nearest {row.psnr_nearest:.1f} dB"]
    return [row.item, *likeness, f"NME {_percent(row.nme_output)}", f"nearest {_percent(row.nme_nearest)}"]


def _applied_label(row) -> list[str]:
    errors = [f"NME {_percent(row.nme_output)}", f"nearest {_percent(row.nme_nearest)}"]
    return [row.item, *errors, f"identity {row.identity_output:.3f}"]


def _percent(value: float) -> str:
    return "no face" if np.isnan(value) else f"{value:.1%}"
