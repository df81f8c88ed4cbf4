"""Stage: score the keypoints that are predicted for the faces with holes of one shard, beside dlib's.

One row of the `metrics` table for each hole, of the method `keypoints`:

| column | type | meaning |
|---|---|---|
| `nme_in`, `nme_out` | float64 | predicted points against the truth, over those in the hole and outside it |
| `spread_in` | float64 | predicted standard deviation of the points in the hole |
| `z2_in`, `z2_out` | float64 | mean squared error of a coordinate over the predicted variance; 1 is right |
| `dlib_found` | float64 | 1 where dlib finds a face in the picture with the hole, else 0 |
| `dlib_nme_in`, `dlib_nme_out` | float64 | the same errors of dlib's landmarks; null where it finds no face |

Errors are over the distance of the true outer eye corners, and null where no point lies there. The further columns are
those of `score_completions.py`.
"""

import cv2
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import write_table
from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems._completion.columns import KEYPOINTS, METRICS
from workflow_scripts.systems._completion.keypoint_scores import keypoint_scores
from workflow_scripts.systems._completion.scored_holes import ScoredHoles


def score_keypoints(source: str, splits: Input, holes: Input, keypoints: Input, model: Input, output: Output) -> None:
    """Write the `metrics` rows of one `keypoints` shard, sorted by item and variant.

    Args:
        source: the source's name.
        splits: the experiment's `splits` table.
        holes: shard with targets, holes and true landmarks.
        keypoints: shard with the predicted landmarks and their standard deviations.
        model: `LandmarkModel`'s file.
        output: the table.
    """
    cv2.setNumThreads(1)
    scored, predicted, dlib = ScoredHoles(source, splits, holes), Shard(keypoints), LandmarkModel(model)
    rows = []
    for key, row in tqdm(sorted(predicted.row_numbers().items()), f"keypoints {source}", unit="hole", mininterval=2):
        number = scored.row(*key)
        target, truth = (scored.shard.tensor(column, number) for column in ("target", "landmarks"))
        found, spread = (predicted.tensor(column, row) for column in ("landmarks", "spread"))
        scores = keypoint_scores(target, scored.hole(number), truth, found, spread, dlib)
        rows.append(scored.describe(*key) | {"method": KEYPOINTS, "knob": 1.0, "move": ""} | scores)
    write_table(output, rows, METRICS)


main = stage_command(score_keypoints)


if __name__ == "__main__":
    cli.run(main)
