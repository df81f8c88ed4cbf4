"""Stage: score the keypoints that are predicted for the faces with holes of one shard, beside dlib's.

One row of the `metrics` table for each hole, of the method `keypoints`:

| column | type | meaning |
|---|---|---|
| `nme_in`, `nme_out` | float64 | predicted points against the truth, over those in the hole and outside it |
| `spread_in` | float64 | predicted standard deviation of those in the hole |
| `z2_in`, `z2_out` | float64 | mean squared error of a coordinate over its predicted variance: 1 if it is right |
| `dlib_found` | float64 | 1 where dlib finds a face in the picture with the hole, else 0 |
| `dlib_nme_in`, `dlib_nme_out` | float64 | the same errors of dlib's landmarks; null where it finds no face |

Errors are over the distance of the true outer eye corners, and null where no point lies there. The further columns are
those of `score_completions.py`.
"""

import cv2
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.metrics.overlap import area
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems._completion.columns import KEYPOINTS, METRICS
from workflow_scripts.systems._completion.keypoint_scores import keypoint_scores


def score_keypoints(source: str, splits: Input, holes: Input, keypoints: Input, model: Input, output: Output) -> None:
    """Write the `metrics` rows of one `keypoints` shard, sorted by item and variant.

    Args:
        source: the source's name.
        splits: the experiment's `splits` table.
        holes: shard with targets, holes and true landmarks.
        keypoints: shard with the predicted landmarks.
        model: `LandmarkModel`'s file.
        output: the table.
    """
    cv2.setNumThreads(1)
    places = read_table(splits, ["source", "item", "split", "seen"])
    places = places[places["source"] == source].set_index("item")
    holed, predicted = Shard(holes), Shard(keypoints)
    hole_rows, kinds, shapes = holed.row_numbers(), holed.scalars("kind"), holed.scalars("shape")
    rows, dlib68 = [], LandmarkModel(model)
    for key, row in tqdm(sorted(predicted.row_numbers().items()), f"keypoints {source}", unit="hole", mininterval=2):
        item, variant = key
        number = hole_rows[key]
        hole = holed.tensor("hole", number) > 0
        picture, truth = holed.tensor("target", number), holed.tensor("landmarks", number)
        points, spread = predicted.tensor("landmarks", row), predicted.tensor("spread", row)
        scores = keypoint_scores(picture, hole, truth, points, spread, dlib68)
        place = {"source": source, "item": item, "variant": variant, "kind": kinds[number], "shape": shapes[number]}
        place |= {"split": places.loc[item, "split"], "seen": bool(places.loc[item, "seen"]), "area": area(hole)}
        rows.append(place | {"method": KEYPOINTS, "knob": 1.0, "move": ""} | scores)
    write_table(output, rows, METRICS)


main = stage_command(score_keypoints)


if __name__ == "__main__":
    cli.run(main)
