"""Stage: make small squares of the annotated pictures of one shard: RGB, mask, category, area."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import Quarantine, read_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.systems._generation.config import Squares
from workflow_scripts.systems._generation.squares import coco_masks, make_squares

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
    objects: Input,
    output: Output,
    quarantine: Output,
) -> None:
    """Write the `squares` shard: the squares of each picture that has some, sorted by item and variant.

    Args:
        source: where its pictures are, and its key `max_pixels`.
        squares: how they are made.
        index: the shard's part of the index.
        fingerprints: of the same shard; it tells which pictures can be decoded.
        objects: the table of objects of the same shard.
        output: the shard; columns as in docs/data.md.
        quarantine: pictures of which there is no square.
    """
    cv2.setNumThreads(1)
    rejected = Quarantine(STAGE)
    usable = set(Shard(fingerprints).items)
    rows = read_table(index, ["item", "file", "frame"]).sort_values("item")
    rows = rows[rows["item"].isin(usable)]
    table = read_table(objects)
    found = dict(iter(table.groupby("item")))
    side = squares.size
    tensors = {"image": (np.uint8, (side, side, 3)), "mask": (np.uint8, (side, side)), "label": (np.int64, (1,))}

    def made() -> Iterator[dict]:
        with PictureReader(source) as reader:
            for row in tqdm(rows.itertuples(), STAGE, len(rows), mininterval=2, file=sys.stderr):
                try:
                    picture = reader.read(row.file, row.frame)
                    yield from _rows(row.item, picture, found.get(row.item, table.iloc[:0]), squares)
                except cli.BadItem as bad:
                    rejected.add(row.item, bad.reason, f"{row.item}: {bad.detail}")

    write_shard(output, made(), SCALARS | tensors)
    rejected.write(quarantine)


def _rows(item: str, picture: np.ndarray, objects: pd.DataFrame, config: Squares) -> list[dict]:
    squares = make_squares(picture, coco_masks(objects, config), config)
    return [{"item": item} | square._asdict() | {"label": np.array([square.label])} for square in squares]


main = stage_command(make_objects)


if __name__ == "__main__":
    cli.run(main)
