"""Stage: score the frames of a driven face, beside the frames of a copier: the target's nearest training frames.

One row per scored item, sorted by item:

| column | type | meaning |
|---|---|---|
| `source`, `item` | string | the frame that drives |
| `split` | string | `test`, `train`: the target's own frame, which is then the truth; `apply`: another person's |
| `seen` | bool | as in `splits` |
| `nearest_item` | string | the target's training frame whose landmarks are nearest to the drawn ones |
| `nearest_distance` | float64 | their mean distance in crop pixels |
| `psnr_{p}`, `ssim_{p}` | float64 | likeness to the truth, in dB and 0..1; null for `apply` |
| `identity_{p}` | float64 | cosine of the face's descriptor to the mean one of the target's training frames |
| `found_{p}` | float64 | 1 where a face is found in it, else 0 |
| `nme_{p}` | float64 | distance of found from drawn landmarks over that of the outer eye corners; null without face |
| `change_{p}` | float64 | mean difference to the frame before, in grey levels; null at a shot's start and after a gap |
| `flicker_{p}` | float64 | how far this change is from the driver's (`metrics.frames.flicker`); null likewise |
| `clamped`, `eased` | float64 | 1 where the head is turned less than the driver's, the expression is smaller, else 0 |

`{p}` is `output`, `nearest` (the copier's frame, as it is) or `driver` (the driver's own crop). The last gives the
scale: `identity_driver` is that of the person who drives (for the target's own frames, that of the truth), and
`nme_driver` is the difference of two searches for the landmarks of one picture, on the whole frame and on the crop. A
training frame is never its own nearest frame.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.faces.descriptors import face_descriptors
from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.metrics.frames import (
    find_points,
    flicker,
    nearest_face,
    temporal_change,
)
from workflow_scripts.metrics.identity import cosine
from workflow_scripts.metrics.landmarks import normalised_mean_error
from workflow_scripts.metrics.pictures import compare_whole
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.systems._reenactment.columns import CHANGES, COMPARED, FRAME_METRICS

DESCRIBED = 32  # training frames at most, chosen by hash; with more, the mean descriptor stays the same


def score_frames(
    source: str,
    splits: Input,
    crops: Input,
    drawings: Input,
    driven: Input,
    references: Inputs,
    model: Input,
    output: Output,
) -> None:
    """Write the `metrics` rows of the scored items of one shard.

    Args:
        source: the source's name.
        splits: the experiment's `splits` table.
        crops: shard with the driver's own landmarks.
        drawings: shard with the drawn landmarks and the driver's crops.
        driven: shard with the outputs, of the same items.
        references: `drawings/{source}/{shard}.arrow` of the target's source, all shards.
        model: `LandmarkModel`'s file.
        output: the table.
    """
    cv2.setNumThreads(1)
    places = read_table(splits)
    target = Target(references, set(places.loc[places["split"] == "train", "item"]), LandmarkModel(model))
    places = places[places["source"] == source].set_index("item")
    scored = set(places.index[places["scored"]])
    faces, drawn, painted = Shard(crops), Shard(drawings), Shard(driven)
    frames = Frames(faces, drawn, painted, target, source)
    numbers = [row for row, item in enumerate(drawn.items) if item in scored]
    rows = []
    for number in tqdm(numbers, f"score {source}", unit="frame", mininterval=2):
        place = places.loc[drawn.items[number]]
        row = {"source": source, "item": drawn.items[number], "split": place["split"], "seen": bool(place["seen"])}
        rows.append(row | frames.score(number, has_truth=place["split"] != "apply"))
    write_table(output, rows, FRAME_METRICS)


class Target:
    """The person whose face is driven: the training frames.

    Args:
        shards: `drawings` of the source, in which a frame's own landmarks are drawn.
        items: the training items.
        model: finds landmarks in pictures.
    """

    def __init__(self, shards: Sequence[Path], items: set[str], model: LandmarkModel):
        self._model = model
        opened = [Shard(path) for path in shards]
        self._places = [(shard, row) for shard in opened for row, item in enumerate(shard.items) if item in items]
        self.source = Path(shards[0]).parent.name
        self.items = [shard.items[row] for shard, row in self._places]
        self.rows = {item: row for row, item in enumerate(self.items)}
        self.points = np.stack([shard.tensor("landmarks", row) for shard, row in self._places]).astype(np.float64)
        self._descriptors: dict[int, np.ndarray] = {}
        self._found: dict[int, np.ndarray | None] = {}

    def picture(self, row: int) -> np.ndarray:
        """Return a training frame's crop, uint8 (S, S, 3)."""
        shard, number = self._places[row]
        return shard.tensor("target", number)

    def descriptor(self, row: int) -> np.ndarray:
        """Return the face descriptor of a training frame, computed once."""
        if row not in self._descriptors:
            self._descriptors[row] = face_descriptors([self.picture(row)], self.points[row])[0]
        return self._descriptors[row]

    def find(self, picture: np.ndarray) -> np.ndarray | None:
        """Return the landmarks that are found in a picture."""
        return find_points(picture, self._model)

    def found_points(self, row: int) -> np.ndarray | None:
        """Return the landmarks that are found in a training frame's crop, searched for once."""
        if row not in self._found:
            self._found[row] = self.find(self.picture(row))
        return self._found[row]

    @cached_property
    def mean_descriptor(self) -> np.ndarray:
        """The mean descriptor of `DESCRIBED` training frames."""
        order = sorted(range(len(self.items)), key=lambda row: stable_hash("described", self.items[row]))
        return np.mean([self.descriptor(row) for row in order[:DESCRIBED]], axis=0)


class Frames:
    """The frames of one shard, and what each of them scores."""

    def __init__(self, crops: Shard, drawings: Shard, driven: Shard, target: Target, source: str):
        if drawings.items != driven.items:
            raise cli.UserError(f"{driven.path}: its items are not those of {drawings.path}; delete both and run again")
        self._crops, self._drawings, self._driven, self._target = crops, drawings, driven, target
        self._crop_rows = {item: row for row, item in enumerate(crops.items)}
        self._follows = drawings.scalars("follows")
        self._less = {name: drawings.scalars(name) for name in ("clamped", "eased")}
        self._own = source == target.source
        self._nearest: dict[int, tuple[int, float]] = {}

    def score(self, row: int, has_truth: bool) -> dict:
        """Return the columns of one row from `nearest_item` on."""
        item, drawn = self._drawings.items[row], self._drawings.tensor("landmarks", row)
        own = self._crops.tensor("landmarks", self._crop_rows[item])
        nearest, distance = self._find_nearest(row)
        pictures = self._pictures(row)
        scores = {"nearest_item": self._target.items[nearest], "nearest_distance": distance}
        scores |= {name: float(values[row] > 0) for name, values in self._less.items()}
        if has_truth:
            for name in COMPARED:
                psnr, ssim = compare_whole(pictures[name], pictures["driver"])
                scores |= {f"psnr_{name}": psnr, f"ssim_{name}": ssim}
        descriptors = {
            "output": face_descriptors([pictures["output"]], drawn)[0],
            "nearest": self._target.descriptor(nearest),
            "driver": face_descriptors([pictures["driver"]], own)[0],
        }
        for name in CHANGES:
            scores[f"identity_{name}"] = cosine(descriptors[name], self._target.mean_descriptor)
            found = self._target.found_points(nearest) if name == "nearest" else self._target.find(pictures[name])
            scores[f"found_{name}"] = float(found is not None)
            if found is not None:
                scores[f"nme_{name}"] = normalised_mean_error(found, own if name == "driver" else drawn)
        return scores | (self._score_change(row, pictures) if self._follows[row] else {})

    def _score_change(self, row: int, pictures: dict[str, np.ndarray]) -> dict[str, float]:
        before = self._pictures(row - 1)
        change = {name: temporal_change(pictures[name], before[name]) for name in CHANGES}
        return {f"change_{name}": value for name, value in change.items()} | {
            f"flicker_{name}": flicker(change[name], change["driver"]) for name in COMPARED
        }

    def _pictures(self, row: int) -> dict[str, np.ndarray]:
        return {
            "output": self._driven.tensor("output", row),
            "nearest": self._target.picture(self._find_nearest(row)[0]),
            "driver": self._drawings.tensor("target", row),
        }

    def _find_nearest(self, row: int) -> tuple[int, float]:
        if row not in self._nearest:
            points = self._target.points
            itself = self._target.rows.get(self._drawings.items[row]) if self._own else None
            if itself is not None and len(points) > 1:
                points = points.copy()
                points[itself] = np.inf
            self._nearest[row] = nearest_face(self._drawings.tensor("landmarks", row), points)
        return self._nearest[row]


main = stage_command(score_frames)


if __name__ == "__main__":
    cli.run(main)
