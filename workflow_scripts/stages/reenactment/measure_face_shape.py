"""Stage: measure the neutral shape of the face that is learned, from its training items."""

import numpy as np
import pandas as pd

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import FACE_SHAPE, read_table, write_table
from workflow_scripts.faces.shape_transfer import neutral_shape
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command


def measure_face_shape(training: Input, crops: Inputs, output: Output) -> None:
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


main = stage_command(measure_face_shape)


if __name__ == "__main__":
    cli.run(main)
