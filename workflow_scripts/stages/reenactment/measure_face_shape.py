"""Stage: measure the face that is learned on its training items: its neutral shape, and how it turns and moves."""

import numpy as np
import pandas as pd

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import FACE_LIMITS, FACE_SHAPE, read_table, write_table
from workflow_scripts.faces.heads import TURNS
from workflow_scripts.faces.shape_transfer import measure_target
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command


def measure_face_shape(training: Input, crops: Inputs, shape: Output, limits: Output) -> None:
    """Write the tables `face_shape`, 68 points in pixels of the crop, and `face_limits`.

    Args:
        training: the experiment's training table, of which the `train` rows count.
        crops: `…/{source}/crops/{shard}.arrow`, all shards of the source that is trained on.
        shape: the table of points, sorted by `point`: x, y, and z towards the viewer.
        limits: the table of measures: least and largest yaw, pitch and roll in degrees.
    """
    rows = read_table(training)
    wanted = set(rows[rows["split"] == "train"][["source", "item"]].itertuples(index=False, name=None))
    found = []
    for path in crops:
        shard = Shard(path)
        source = path.parent.parent.name
        found += [shard.tensor("landmarks", row) for row, item in enumerate(shard.items) if (source, item) in wanted]
    target = measure_target(np.array(found))
    points = pd.DataFrame(target.shape, columns=list("xyz"))
    points.insert(0, "point", points.index)
    write_table(shape, points, FACE_SHAPE)
    measures = pd.DataFrame(target.turns, columns=["least", "most"])
    measures.insert(0, "measure", TURNS)
    write_table(limits, measures, FACE_LIMITS)


main = stage_command(measure_face_shape)


if __name__ == "__main__":
    cli.run(main)
