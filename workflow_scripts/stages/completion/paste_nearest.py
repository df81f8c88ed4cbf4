"""Stage: fill the holes of one shard from the nearest training faces: a baseline without a network."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.systems._completion.config import Evaluation
from workflow_scripts.systems._completion.selection import PLAIN, completed_items

SIDE = 16  # pixels of the thumbnails that are compared


def paste_nearest(
    evaluation: Evaluation, source: str, splits: Input, holes: Input, training: Inputs, output: Output
) -> None:
    """Write one `completed_nearest` shard: the holes filled from the faces that look most alike outside the hole.

    Args:
        evaluation: which items, and how many completions: the nearest face, the second nearest and so on.
        source: the source that the shard belongs to.
        splits: the experiment's splits.
        holes: the shard of pictures and holes.
        training: shards `holes/{source}/{shard}.arrow` whose training items are pasted.
        output: the shard; columns as those of `complete_faces`.
    """
    table = read_table(splits)
    chosen = completed_items(table, evaluation)
    faces = _TrainingFaces(training, table)
    shard = Shard(holes)
    size = shard.tensor("target", 0).shape[0] if len(shard) else 1
    variants = shard.scalars("variant")
    count = min(evaluation.samples, max(1, len(faces) - 1))

    def completions() -> Iterator[dict]:
        rows = [row for row, item in enumerate(shard.items) if (source, item) in chosen]
        for row in tqdm(rows, "paste_nearest", unit="hole", mininterval=2):
            image, hole = shard.tensor("target", row), shard.tensor("hole", row)
            others = faces.nearest(image, hole, count, (source, shard.items[row]))
            yield {
                "item": shard.items[row],
                "variant": variants[row],
                **PLAIN._asdict(),
                "asked": shard.tensor("landmarks", row),
                "samples": np.where(hole[..., None] > 0, others, image),
            }

    columns = {"item": pa.string(), "variant": pa.int32(), "knob": pa.float32(), "move": pa.string()}
    columns |= {"asked": (np.float32, (68, 2)), "samples": (np.uint8, (count, size, size, 3))}
    write_shard(output, completions(), columns)


class _TrainingFaces:
    """Training faces, found by their looks outside a hole."""

    def __init__(self, shards: Sequence[Path], splits):
        train = splits[splits["split"] == "train"]
        wanted = set(zip(train["source"], train["item"], strict=True))
        self._places, thumbnails = [], []
        for path in shards:
            shard, source = Shard(path), path.parent.name
            for row, (item, variant) in enumerate(zip(shard.items, shard.scalars("variant"), strict=True)):
                if variant == 0 and (source, item) in wanted:
                    self._places.append((source, item, shard, row))
                    thumbnails.append(_thumbnail(shard.tensor("target", row)))
        self._thumbnails = np.stack(thumbnails).astype(np.float32)

    def __len__(self) -> int:
        return len(self._places)

    def nearest(self, image: np.ndarray, hole: np.ndarray, count: int, but: tuple[str, str]) -> np.ndarray:
        """Return the `count` nearest faces, uint8 (count, S, S, 3), the nearest first; never the face `but` itself."""
        outside = 1 - cv2.resize(hole, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
        distances = ((self._thumbnails - _thumbnail(image)) ** 2 * outside).sum(axis=(1, 2, 3))
        order = [n for n in np.argsort(distances, kind="stable") if self._places[n][:2] != but]
        return np.stack([shard.tensor("target", row) for *_, shard, row in (self._places[n] for n in order[:count])])


def _thumbnail(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


main = stage_command(paste_nearest)


if __name__ == "__main__":
    cli.run(main)
