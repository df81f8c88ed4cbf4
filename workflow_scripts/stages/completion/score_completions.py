"""Stage: score the completions that one method made of the faces of one shard.

Columns of the `metrics` table, one row for each completed hole: item, variant, method, knob and move.

| column | type | meaning |
|---|---|---|
| `source`, `item` | string | |
| `variant` | int32 | which of the item's holes |
| `split` | string | `test`, `train` or `apply` |
| `seen` | bool | an applied item whose person or picture was trained on |
| `kind`, `shape` | string | size class of the hole, as `20-30` or `parts`; what was cut out, as `mouth` or `strokes` |
| `area` | float64 | fraction of the picture in the hole |
| `method` | string | the network, `nearest` (nearest training faces pasted in), or `keypoints`, see below |
| `knob` | float32 | the diversity that was asked for; 1 is what networks are trained with |
| `move` | string | the change of the keypoints that was asked for; empty: none |
| `samples` | int32 | number of completions |
| `psnr_{w}_{r}`, `ssim_{w}_{r}` | float64 | likeness to the truth in dB and up to 1: mean and best of all samples |
| `diversity_{r}` | float64 | mean distance over all pairs of samples (`metrics/perceptual.py`); 0 for a single one |
| `found` | float64 | share of the samples in which a face is found (`metrics/found_faces.py`) |
| `nme_truth` | float64 | landmarks found in the samples against the truth: mean over those in which a face is found |
| `nme_asked` | float64 | the same against the keypoints that the completion was given |
| `nme_unmoved` | float64 | of a move: distance of the samples without it from the moved keypoints |
| `found_truth`, `nme_floor` | float64 | `found` and `nme_truth` of the true picture: the best that can be measured |
| `identity_truth` | float64 | mean cosine of dlib's face descriptors of samples and truth |
| `identity_spread` | float64 | mean over pairs of samples of 1 less the cosine of their descriptors |

`{r}` is `hole` or `whole`; `{w}` is `best`, the highest among the samples of each score by itself, or `mean`. Errors of
landmarks (NME) are means over the points that lie in the hole, over the distance of the true outer eye corners; null
where the hole holds none, or no face is found. Where a move is asked for, they are those over the points in the hole
that it moves by more than `MOVED` of that distance.

Rows of the method `keypoints` have other scores, see `score_keypoints.py`, and nulls here. What is not needed is not
computed, since it takes long: identity is that of the first `DESCRIBED` samples at knob 1 (a descriptor takes 61 ms of
one core, a search for a face 15 ms and 90 ms where there is none, a picture's features 4 ms, PSNR and SSIM 3 ms, all at
128 pixels), and of moves only the landmarks are scored.
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import combinations

import cv2
import numpy as np
import torch
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.faces.descriptors import face_descriptors
from workflow_scripts.faces.landmark_groups import OUTER_EYE_CORNERS
from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.metrics.found_faces import find_face
from workflow_scripts.metrics.identity import cosine
from workflow_scripts.metrics.landmarks import normalised_mean_error
from workflow_scripts.metrics.overlap import area
from workflow_scripts.metrics.perceptual import PerceptualDistance
from workflow_scripts.metrics.pictures import compare_pictures
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.systems._completion.columns import METRICS
from workflow_scripts.systems._completion.guides import hidden_points

DESCRIBED = 3  # samples whose identity is measured
MOVED = 0.02  # of the distance of the outer eye corners; two searches for the same landmarks differ by this


def score_completions(
    source: str,
    method: str,
    distance: str,
    splits: Input,
    holes: Input,
    completed: Input,
    model: Input,
    weights: Inputs,
    output: Output,
) -> None:
    """Write the `metrics` rows of one `completed_{method}` shard, sorted by item, variant, knob and move.

    Args:
        source: the source's name.
        method: the network's name, or `nearest`.
        distance: key of `metrics.perceptual.NAMES`.
        splits: the experiment's `splits` table.
        holes: shard with targets, holes and true landmarks.
        completed: shard with the samples.
        model: `LandmarkModel`'s file.
        weights: files of the networks that the distance needs; a file's stem is the network's name.
        output: the table.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    places = read_table(splits, ["source", "item", "split", "seen"])
    places = places[places["source"] == source].set_index("item")
    holed, made = Shard(holes), Shard(completed)
    hole_rows, numbers = holed.row_numbers(), made.row_numbers()
    kinds, shapes = holed.scalars("kind"), holed.scalars("shape")
    judge = Judge(PerceptualDistance(distance, {path.stem: path for path in weights}), LandmarkModel(model))
    rows, face = [], None
    for key in tqdm(sorted(numbers), f"score {method} {source}", unit="hole", mininterval=2):
        item, variant, knob, move = key
        number = hole_rows[item, variant]
        if face is None or face.number != number:
            face = HoledFace(judge, holed, number)
        row = {"source": source, "item": item, "variant": variant, "kind": kinds[number], "shape": shapes[number]}
        row |= {"split": places.loc[item, "split"], "seen": bool(places.loc[item, "seen"]), "area": area(face.hole)}
        row |= {"method": method, "knob": knob, "move": move, "samples": len(made.tensor("samples", numbers[key]))}
        rows.append(row | face.score(made, numbers, key))
    write_table(output, rows, METRICS)


class Judge:
    """What looks at pictures."""

    def __init__(self, distance: PerceptualDistance, model: LandmarkModel):
        self.distance, self._model = distance, model

    def find(self, picture: np.ndarray) -> np.ndarray | None:
        """Return the landmarks that are found in a picture."""
        return find_face(picture, self._model)


class HoledFace:
    """A face with a hole: its truth, and what its completions score.

    Attributes:
        number: its row in the `holes` shard.
        hole: bool (S, S).
    """

    def __init__(self, judge: Judge, shard: Shard, number: int):
        self.number = number
        self.hole = shard.tensor("hole", number) > 0
        self._judge = judge
        self._target, self._landmarks = shard.tensor("target", number), shard.tensor("landmarks", number)
        self._inside = hidden_points(self._landmarks, self.hole)
        self._found: dict[int, list[np.ndarray | None]] = {}  # by the row of the samples

    def score(self, made: Shard, numbers: Mapping[tuple, int], key: tuple) -> dict[str, float | None]:
        """Return the scores of one row of completions.

        Args:
            made: shard with `samples` and `asked`.
            numbers: its `row_numbers`.
            key: (item, variant, knob, move) of the row.
        """
        *place, knob, move = key
        row = numbers[key]
        if move:
            unmoved = numbers[*place, knob, ""]
            return self._score_move(made, row, unmoved)
        samples, asked = made.tensor("samples", row), made.tensor("asked", row)
        scores = self._score_likeness(samples)
        found = self._find(made, row)
        scores["found"] = float(np.mean([points is not None for points in found]))
        scores["nme_truth"] = self._error(found, self._landmarks, self._inside)
        scores["nme_asked"] = self._error(found, asked, self._inside)
        scores["found_truth"] = float(self._found_truth is not None)
        scores["nme_floor"] = self._error([self._found_truth], self._landmarks, self._inside)
        return scores | (self._score_identity(samples[:DESCRIBED]) if knob == 1 else {})

    def _score_likeness(self, samples: np.ndarray) -> dict[str, float | None]:
        likeness = [compare_pictures(sample, self._target, self.hole) for sample in samples]
        scores = {}
        for field in ("psnr_hole", "psnr_whole", "ssim_hole", "ssim_whole"):
            metric, region = field.split("_")
            values = [value for row in likeness if (value := getattr(row, field)) is not None]
            scores[f"{metric}_best_{region}"] = max(values, default=None)
            scores[f"{metric}_mean_{region}"] = float(np.mean(values)) if values else None
        whole, hole = self._judge.distance.diversity(samples, self.hole)
        return scores | {"diversity_whole": whole, "diversity_hole": hole}

    def _score_move(self, made: Shard, row: int, unmoved: int) -> dict[str, float | None]:
        """Return how far the landmarks of a moved row, and of the unmoved one, are from those asked for."""
        asked = made.tensor("asked", row)
        right, left = self._landmarks[OUTER_EYE_CORNERS]
        moves = np.linalg.norm(asked - made.tensor("asked", unmoved), axis=1)
        points = self._inside & (moves > MOVED * np.linalg.norm(left - right))
        found, before = self._find(made, row), self._find(made, unmoved)
        return {
            "found": float(np.mean([points is not None for points in found])),
            "nme_asked": self._error(found, asked, points),
            "nme_unmoved": self._error(before, asked, points),
        }

    def _score_identity(self, samples: np.ndarray) -> dict[str, float]:
        described = face_descriptors(list(samples), self._landmarks)
        scores = {"identity_truth": float(np.mean([cosine(sample, self._descriptor) for sample in described]))}
        if len(described) > 1:
            pairs = [1 - cosine(a, b) for a, b in combinations(described, 2)]
            scores["identity_spread"] = float(np.mean(pairs))
        return scores

    def _error(self, found: list[np.ndarray | None], wanted: np.ndarray, points: np.ndarray) -> float | None:
        """Return the mean error over the samples in which a face is found, None without such a sample or point."""
        errors = [
            normalised_mean_error(landmarks[points], wanted[points], self._landmarks)
            for landmarks in found
            if landmarks is not None and points.any()
        ]
        return float(np.mean(errors)) if errors else None

    def _find(self, made: Shard, row: int) -> list[np.ndarray | None]:
        """Return the landmarks found in each sample of a row, searched for once."""
        if row not in self._found:
            self._found[row] = [self._judge.find(sample) for sample in made.tensor("samples", row)]
        return self._found[row]

    @cached_property
    def _found_truth(self) -> np.ndarray | None:
        return self._judge.find(self._target)

    @cached_property
    def _descriptor(self) -> np.ndarray:
        return face_descriptors([self._target], self._landmarks)[0]


main = stage_command(score_completions)


if __name__ == "__main__":
    cli.run(main)
