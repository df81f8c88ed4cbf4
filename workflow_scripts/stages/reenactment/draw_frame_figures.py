"""Stage: draw what the report shows of a driven face.

| file of `figures/` | what |
|---|---|
| `gallery_{source}.png` | test items: drawing, output, the copier's frame, truth |
| `applied_{source}.png` | items of a driver: its frame, drawing, output, the copier's frame |
| `time_{source}.svg` | landmark error and temporal change, frame by frame, of output, copier and driver |
| `curves_render.svg` | losses and scores during training |

Gallery items are chosen by rank: at equal distances from the best to the worst, by PSNR or, without a truth, by the
landmark error, an output without a face last.
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
from workflow_scripts.systems._reenactment.charts import draw_time

COPIED = None  # in place of a kind and column: the training frame that the copier shows
PAINTED = {"drawing": ("drawings", "input"), "output": ("driven", "output"), "nearest": COPIED}
GALLERY = PAINTED | {"truth": ("drawings", "target")}
APPLIED = {"driver": ("drawings", "target"), **PAINTED}


def draw_frame_figures(
    experiment: BaseExperiment,
    metrics: Path,
    curves: Path,
    index: Sequence[Path],
    drawings: Sequence[Path],
    driven: Sequence[Path],
    output: Path,
    digests: Path,
) -> None:
    """Write the folder of figures, what was there is replaced, and the digests of the files in it.

    Args:
        experiment: its keys `gallery` and `train` are used.
        metrics: the experiment's `metrics` table.
        curves: `curves/render.parquet`.
        index: `{source}/index.parquet` of every source.
        drawings: `drawings/{source}/{shard}.arrow` of every source.
        driven: the `driven` shards.
        output: the folder.
        digests: JSON, file name -> SHA-256.
    """
    times = [read_table(path, ["item", "file", "time", "shot"]).assign(source=path.parent.name) for path in index]
    rows = read_table(metrics).merge(pd.concat(times), "left", ["source", "item"])
    pictures = ShardedTensors({"drawings": drawings, "driven": driven})
    rows["target"] = experiment.train[0]
    with atomic_folder(output) as folder:
        for (source, split), group in rows[rows["split"] != "train"].groupby(["source", "split"]):
            if split == "test":
                draw_test_gallery(group, pictures, experiment.gallery, folder / f"gallery_{source}.png")
            else:
                draw_applied_gallery(group, pictures, experiment.gallery, folder / f"applied_{source}.png")
            draw_time(group, folder / f"time_{source}.svg")
        draw_curves(read_table(curves), curves.stem, folder / f"curves_{curves.stem}.svg")
    write_digests(output, digests)


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


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    from workflow_scripts.config.load import Experiment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="the experiment as JSON")
    parser.add_argument("--metrics", type=Path, required=True, help="the experiment's table")
    parser.add_argument("--curves", type=Path, required=True, help="table of the network's training")
    for name in ("index", "drawings", "driven"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="of all sources")
    parser.add_argument("--output", type=Path, required=True, help="the folder")
    parser.add_argument("--digests", type=Path, required=True, help="JSON: SHA-256 of each file in the folder")
    args = parser.parse_args(argv)
    paths = (args.metrics, args.curves, args.index, args.drawings, args.driven, args.output, args.digests)
    draw_frame_figures(TypeAdapter(Experiment).validate_json(args.config), *paths)


if __name__ == "__main__":
    cli.run(main)
