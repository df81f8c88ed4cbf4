"""The holes of one shard that are scored, and what every row of the table of scores says of them."""

from pathlib import Path

import numpy as np

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.overlap import area


class ScoredHoles:
    """A `holes` shard with the splits of its items.

    Attributes:
        shard: the shard.

    Args:
        source: the source's name.
        splits: the experiment's `splits` table.
        holes: the shard's file.
    """

    def __init__(self, source: str, splits: Path, holes: Path):
        self.shard = Shard(holes)
        self._source, self._rows = source, self.shard.row_numbers()
        self._kinds, self._shapes = self.shard.scalars("kind"), self.shard.scalars("shape")
        table = read_table(splits, ["source", "item", "split", "seen"])
        self._places = table[table["source"] == source].set_index("item")

    def row(self, item: str, variant: int) -> int:
        """Return the number of a hole's row in the shard."""
        return self._rows[item, variant]

    def hole(self, row: int) -> np.ndarray:
        """Return the pixels of a hole, bool (S, S)."""
        return self.shard.tensor("hole", row) > 0

    def describe(self, item: str, variant: int) -> dict:
        """Return the columns from `source` to `area` of a row of scores."""
        place, row = self._places.loc[item], self.row(item, variant)
        return {
            "source": self._source,
            "item": item,
            "variant": variant,
            "split": place["split"],
            "seen": bool(place["seen"]),
            "kind": self._kinds[row],
            "shape": self._shapes[row],
            "area": area(self.hole(row)),
        }
