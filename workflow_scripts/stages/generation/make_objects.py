"""Stage: make small squares of the pictures or frames of one shard: RGB, mask, category, area."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import Quarantine, read_table
from workflow_scripts.motion.shots import clips_of
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.systems._generation.config import Squares
from workflow_scripts.systems._generation.moving import motion_masks, refuse_frames
from workflow_scripts.systems._generation.squares import Mask, coco_masks, make_squares

STAGE = "make_objects"
SCALARS = {
    "item": pa.string(),
    "variant": pa.int32(),
    "category": pa.string(),
    "annotation": pa.int64(),
    "area": pa.float64(),
    "objects": pa.int32(),
    "left_out": pa.int32(),
}


def make_objects(
    source: BaseSource,
    squares: Squares,
    index: Input,
    fingerprints: Input,
    masks: Input,
    output: Output,
    quarantine: Output,
) -> None:
    """Write the `squares` shard: the squares of each picture that has some, sorted by item and variant.

    Args:
        source: where its pictures are, and its keys `max_pixels` and `motion`.
        squares: how they are made.
        index: the shard's part of the index.
        fingerprints: of the same shard; it tells which pictures can be decoded.
        masks: the table of objects of the same shard; of a video, that of motion.
        output: the shard; columns as in docs/data.md.
        quarantine: pictures of which there is no square.
    """
    cv2.setNumThreads(1)
    rejected = Quarantine(STAGE)
    usable = set(Shard(fingerprints).items)
    rows = read_table(index, ["item", "file", "frame", "group"]).sort_values("item")
    rows = rows[rows["item"].isin(usable)]
    if source.has_objects:
        masks_of = _annotated(masks, squares)
    else:
        rows, masks_of = _moving(masks, rows, source.motion.foreground, squares, rejected)
        squares = squares.model_copy(update={"min_area": 0.0})  # `motion` has decided
    side = squares.size
    tensors = {"image": (np.uint8, (side, side, 3)), "mask": (np.uint8, (side, side)), "label": (np.int64, (1,))}

    def made() -> Iterator[dict]:
        with PictureReader(source) as reader:
            for row in tqdm(rows.itertuples(), STAGE, len(rows), mininterval=2, file=sys.stderr):
                try:
                    picture = reader.read(row.file, row.frame)
                    for square in make_squares(picture, masks_of(row.item), squares):
                        yield {"item": row.item} | square._asdict() | {"label": np.array([square.label])}
                except cli.BadItem as bad:
                    rejected.add(row.item, bad.reason, f"{row.item}: {bad.detail}")

    write_shard(output, made(), SCALARS | tensors)
    rejected.write(quarantine)


def _annotated(objects: Input, config: Squares) -> Callable[[str], list[Mask]]:
    """Return the function of a picture to its masks."""
    table = read_table(objects)
    found = dict(iter(table.groupby("item")))
    return lambda item: coco_masks(found.get(item, table.iloc[:0]), config)


def _moving(
    motion: Input, rows: pd.DataFrame, foreground: int, config: Squares, rejected: Quarantine
) -> tuple[pd.DataFrame, Callable[[str], list[Mask]]]:
    """Return the rows of the index that become squares, and the function of a frame to its masks.

    Frames without a mask are in the source's quarantine already.
    """
    frames = read_table(motion, ["item", "shot", "area", "filtered", "mask"]).set_index("item")
    frames = frames.join(clips_of(rows.set_index("item")).rename("clip"), how="inner")
    refused = refuse_frames(frames, config)
    for item, bad in refused.items():
        rejected.add(item, bad.reason, f"{item}: {bad.detail}")
    chosen = frames["mask"].drop(list(refused))
    return rows[rows["item"].isin(chosen.index)], lambda item: motion_masks(chosen[item], foreground, config)


main = stage_command(make_objects)


if __name__ == "__main__":
    cli.run(main)
