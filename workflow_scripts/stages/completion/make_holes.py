"""Stage: cut holes into the faces of one shard, and make all that networks see of a face with a hole.

Every method meets the same holes: they are drawn once, by the items' names, and stored.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
import pyarrow as pa

from workflow_scripts.core import cli
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import Quarantine, read_table
from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.provenance.stage import Input, OptionalInput, Output, stage_command
from workflow_scripts.systems._completion.config import Holes
from workflow_scripts.systems._completion.holes import GivenHoles, Hole, class_hole, face_area, training_hole


def make_holes(
    holes: Holes,
    size: int,
    role: Literal["train", "apply"],
    seed: int,
    index: Input,
    crops: Input,
    output: Output,
    quarantine: Output,
    given: OptionalInput = None,
) -> None:
    """Write one `holes` shard.

    Args:
        holes: what holes there are.
        size: pixels of each side; crops of another size are resized. 0: they stay as they are.
        role: `train`: items that are trained on or watched get the holes of training; `apply`: all items get those of
            the evaluation.
        seed: of the configuration.
        index: the source's index of the same shard, for the splits.
        crops: the crops.
        output: the shard; columns as in docs/data.md.
        quarantine: items of which no face part lies in the crop, or whose given hole cannot be used.
        given: folder of the user's own holes, where `holes.given` names one.
    """
    cv2.setNumThreads(1)
    shard = Shard(crops)
    table = read_table(index, ["item", "split"])
    learned = set(table.loc[table["split"].isin(["train", "val"]), "item"]) if role == "train" else set()
    own = GivenHoles(given, seed) if given else None
    side = size or (shard.tensor("image", 0).shape[0] if len(shard) else 1)
    rejected = Quarantine("make_holes")

    def rows() -> Iterator[dict]:
        for row, item in enumerate(shard.items):
            image, landmarks = resized(shard.tensor("image", row), shard.tensor("landmarks", row), side)
            try:
                if item in learned:
                    found = _learned_holes(item, holes, landmarks, side, seed)
                else:
                    found = _evaluated_holes(item, holes, landmarks, side, seed)
                    found += [("given", own.read(own.choose(item), side))] if own else []
            except cli.BadItem as bad:
                rejected.add(item, bad.reason, f"{item}: {bad.detail}")
                continue
            drawing, face = draw_face(landmarks, side), face_area(landmarks, side)
            for variant, (kind, hole) in enumerate(found):
                yield {
                    "item": item,
                    "variant": variant,
                    "kind": kind,
                    "shape": hole.shape,
                    "target": image,
                    "hole": np.where(hole.mask, np.uint8(255), np.uint8(0)),
                    "drawing": drawing,
                    "part": image * (face & ~hole.mask)[:, :, None],
                    "landmarks": landmarks,
                }

    picture, plane = (np.uint8, (side, side, 3)), (np.uint8, (side, side))
    columns = {"item": pa.string(), "variant": pa.int32(), "kind": pa.string(), "shape": pa.string()}
    columns |= {"target": picture, "hole": plane, "drawing": picture, "part": picture}
    write_shard(output, rows(), columns | {"landmarks": (np.float32, (68, 2))})
    rejected.write(quarantine)


def resized(image: np.ndarray, landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a square picture, uint8 (S, S, 3), and its landmarks, float32 (68, 2), resized to `size` pixels."""
    scale = size / image.shape[0]
    if scale == 1:
        return image, landmarks
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    # Integers are the centres of pixels, so the picture's corner is at -0.5.
    return cv2.resize(image, (size, size), interpolation=smooth), ((landmarks + 0.5) * scale - 0.5).astype(np.float32)


def _learned_holes(item: str, holes: Holes, landmarks: np.ndarray, size: int, seed: int) -> list[tuple[str, Hole]]:
    """Return the holes of a training item with their kinds: `parts`, `box` or `strokes`."""
    found = [
        training_hole(holes, landmarks, size, item_rng(seed, item, f"hole {variant}"))
        for variant in range(holes.variants)
    ]
    return [(hole.shape if hole.shape in holes.mix else "parts", hole) for hole in found]


def _evaluated_holes(item: str, holes: Holes, landmarks: np.ndarray, size: int, seed: int) -> list[tuple[str, Hole]]:
    """Return a hole of each class; a hole does not depend on which other classes there are."""
    return [
        (name, class_hole(name, holes, landmarks, size, item_rng(seed, item, f"hole {name}"))) for name in holes.classes
    ]


main = stage_command(make_holes)


if __name__ == "__main__":
    cli.run(main)
