"""Stage: measure the neutral shape of the face that is learned, from its training items."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import FACE_SHAPE, read_table, write_table
from workflow_scripts.faces.shape_transfer import neutral_shape


def measure_face_shape(training: Path, crops: Sequence[Path], output: Path) -> None:
    """Write the `face_shape` table: 68 points in pixels of the crop.

    Args:
        training: the experiment's training table, of which the `train` rows count.
        crops: `…/{source}/crops/{shard}.arrow`, all shards of the source that is trained on.
        output: the table, sorted by `point`.
    """
    rows = read_table(training)
    wanted = set(rows[rows["split"] == "train"][["source", "item"]].itertuples(index=False, name=None))
    found = []
    for path in crops:
        shard = Shard(path)
        source = path.parent.parent.name
        found += [shard.tensor("landmarks", row) for row, item in enumerate(shard.items) if (source, item) in wanted]
    shape = neutral_shape(np.array(found))
    points = pd.DataFrame({"point": range(len(shape)), "x": shape[:, 0], "y": shape[:, 1]})
    write_table(output, points, FACE_SHAPE)


def main(argv: list[str] | None = None) -> None:
    """Run the stage from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=Path, required=True, help="the experiment's training table")
    parser.add_argument("--crops", type=Path, nargs="+", required=True, help="all shards of the source trained on")
    parser.add_argument("--output", type=Path, required=True, help="the table to write")
    args = parser.parse_args(argv)
    measure_face_shape(args.training, args.crops, args.output)


if __name__ == "__main__":
    cli.run(main)
