"""Rows of tensor shards as samples that other programs can be given, by split."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table

PART = 1000  # samples of one file
SPLITS = ("train", "val", "test")  # no person is in two of them; items of no split are left out


class Layout(NamedTuple):
    """Which columns shards have, in their order; others, such as fingerprints, are of use here alone.

    Attributes:
        texts: scalars that are text, `item` first.
        numbers: scalars that are integers.
        pictures: RGB pictures, and planes, as masks are.
        arrays: float32 tensors.
    """

    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    pictures: tuple[str, ...]
    arrays: tuple[str, ...]


class Sample(NamedTuple):
    """One row.

    Attributes:
        values: scalars by name; `source` and `identity`, which may be None, among them.
        pictures: RGB uint8 (H, W, 3), and planes uint8 (H, W), by name.
        arrays: float32, by name.
    """

    values: dict[str, object]
    pictures: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]


class Samples:
    """The rows of shards of one kind whose items are in one of `SPLITS`.

    Args:
        items: the `splits` table of an experiment, which knows no persons, or the index of a source.
        shards: of one kind, `…/{kind}/{source}/{shard}.arrow` of an experiment, `…/{source}/{kind}/{shard}.arrow` of a
            source.

    Attributes:
        layout: the columns that all of these shards have.

    Raises:
        UserError: there is no such row.
    """

    def __init__(self, items: Path, shards: Sequence[Path]):
        table = read_table(items)
        table = table[table["split"].isin(SPLITS)]
        of_experiment = "source" in table
        opened = [(path.parents[0 if of_experiment else 1].name, Shard(path)) for path in shards]
        table = table.assign(identity=None) if of_experiment else table.assign(source=opened[0][0])
        keys = zip(table["source"], table["item"], strict=True)
        self._places = dict(zip(keys, zip(table["split"], table["identity"], strict=True), strict=True))
        self._shards = [
            (name, shard) for name, shard in opened if any((name, item) in self._places for item in shard.items)
        ]
        if not self._shards:
            raise UserError(f"{items}: there is nothing to export, no item of {', '.join(SPLITS)} is in the shards")
        self.layout = self._common_layout()

    def _common_layout(self) -> Layout:
        first, *others = (shard for _, shard in self._shards)
        common = [name for name in first.columns if all(name in other.columns for other in others)]
        kinds = ("text", "number", "picture", "array")
        return Layout(*(tuple(name for name in common if first.kind(name) == kind) for kind in kinds))

    def of(self, split: str) -> Iterator[Sample]:
        """Yield the samples of one split, in the order of the shards."""
        layout = self.layout
        for source, shard in self._shards:
            scalars = {column: shard.scalars(column) for column in (*layout.texts, *layout.numbers)}
            for row, item in enumerate(shard.items):
                place, person = self._places.get((source, item), (None, None))
                if place == split:
                    yield Sample(
                        {"source": source, "identity": person} | {name: scalars[name][row] for name in scalars},
                        {name: shard.tensor(name, row) for name in layout.pictures},
                        {name: shard.tensor(name, row) for name in layout.arrays},
                    )


def parts(samples: Iterator[Sample], size: int = PART) -> Iterator[Iterator[Sample]]:
    """Yield the samples of one file after the other, each of which must be used up before the next is asked for."""
    while (first := next(samples, None)) is not None:
        yield chain([first], islice(samples, size - 1))


def png(picture: np.ndarray) -> bytes:
    """Return RGB uint8 (H, W, 3) or uint8 (H, W) as a PNG file."""
    cv2.setNumThreads(1)
    shown = picture[..., ::-1] if picture.ndim == 3 else picture
    return cv2.imencode(".png", shown)[1].tobytes()
