"""Tensor shards: Arrow IPC files, uncompressed and memory-mapped, read without decoding or copying."""

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa

from workflow_scripts.core.files import atomic_path
from workflow_scripts.core.tables import reading_result

# Columns that tell the rows of a shard apart: an item's variants, and what was asked for when they were completed.
KEYS = ("item", "variant", "knob", "move")
BATCH_ROWS = 64  # rows of a record batch, which the writer holds in memory


def write_shard(path: str | Path, rows, columns: dict[str, pa.DataType | tuple[np.dtype, tuple[int, ...]]]) -> int:
    """Write rows to a shard, atomically, holding at most `BATCH_ROWS` rows in memory.

    Args:
        path: the file.
        rows: an iterable of dictionaries with exactly the keys of `columns`.
        columns: name -> Arrow type of a scalar column, or (dtype, shape) of a tensor column.

    Returns:
        The number of rows written.

    Raises:
        ValueError: a tensor does not have the declared dtype or shape.
    """
    schema = pa.schema([(name, _arrow_type(kind)) for name, kind in columns.items()])
    batch = _Batch(columns, schema)
    count = 0
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for row in rows:
            batch.add(row)
            count += 1
            if batch.length == BATCH_ROWS:
                writer.write_batch(batch.take())
        if batch.length:
            writer.write_batch(batch.take())
    return count


class Shard:
    """A shard that is opened by memory map.

    Attributes:
        columns: the column names.
        items: the `item` column as a list of strings.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with reading_result(path):
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self._batches = [self._reader.get_batch(i) for i in range(self._reader.num_record_batches)]
            for batch in self._batches:
                batch.validate(full=True)  # of texts; the bytes of a tensor can have any value
            self._starts = list(accumulate((batch.num_rows for batch in self._batches), initial=0))
            self._views: dict[str, list[np.ndarray]] = {}
            self.columns = self._reader.schema.names
            self.items: list[str] = self.scalars("item")

    def __len__(self) -> int:
        return self._starts[-1]

    def scalars(self, name: str) -> list:
        """Return a scalar column as Python values."""
        return [value for batch in self._batches for value in batch.column(name).to_pylist()]

    def row_numbers(self) -> dict[tuple, int]:
        """Return the values of those of `KEYS` that are columns -> number of the row, in rising order."""
        keys = [self.scalars(name) for name in KEYS if name in self.columns]
        return {key: row for row, key in enumerate(zip(*keys, strict=True))}

    def kind(self, name: str) -> str:
        """Return what a column is: `text`, `number`, `picture` (uint8, also a plane), `array` (float32) or `other`."""
        kind = self._reader.schema.field(name).type
        if pa.types.is_string(kind) or pa.types.is_integer(kind):
            return "text" if pa.types.is_string(kind) else "number"
        if not isinstance(kind, pa.FixedShapeTensorType):
            return "other"
        if kind.value_type == pa.uint8() and len(kind.shape) in (2, 3):
            return "picture"
        return "array" if kind.value_type == pa.float32() else "other"

    def tensor(self, name: str, row: int) -> np.ndarray:
        """Return one row of a tensor column as a read-only view of the file."""
        batch = bisect(self._starts, row) - 1
        return self._column(name)[batch][row - self._starts[batch]]

    def tensors(self, name: str, rows: Sequence[int]) -> np.ndarray:
        """Return rows of a tensor column stacked in a new array (n, *shape), in the order asked for."""
        return np.stack([self.tensor(name, int(row)) for row in rows])

    def _column(self, name: str) -> list[np.ndarray]:
        if name not in self._views:
            with reading_result(self.path):
                self._views[name] = [batch.column(name).to_numpy_ndarray() for batch in self._batches]
        return self._views[name]


def paths_by_kind(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return kind -> paths of shards `…/{kind}/{source}/{shard}.arrow`, in the order given."""
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault(path.parent.parent.name, []).append(path)
    return kinds


class ShardedTensors:
    """Tensors of the items of several sources, in whichever shard they are.

    Args:
        shards: kind (`pairs`, `maps`, …) -> paths `…/{source}/{shard}.arrow`.
    """

    def __init__(self, shards: Mapping[str, Sequence[Path]]):
        self._shards = {
            (kind, path.parent.name, path.stem): Shard(path) for kind, paths in shards.items() for path in paths
        }
        self._places = {
            (kind, source, *key): (shard, row)
            for (kind, source, _), shard in self._shards.items()
            for key, row in shard.row_numbers().items()
        }

    def shard(self, kind: str, source: str, name: str = "00000") -> Shard:
        """Return one shard of a kind and source."""
        return self._shards[kind, source, name]

    def get(self, kind: str, column: str, source: str, *key) -> np.ndarray:
        """Return one row of a tensor column as a read-only view; `key` is one of `Shard.row_numbers`."""
        shard, row = self._places[kind, source, *key]
        return shard.tensor(column, row)


def _arrow_type(kind) -> pa.DataType:
    if isinstance(kind, pa.DataType):
        return kind
    dtype, shape = kind
    return pa.fixed_shape_tensor(pa.from_numpy_dtype(dtype), shape)


class _Batch:
    """Collects rows in arrays that all batches of a shard share, because fresh memory would cost more than the copy.

    Attributes:
        length: the number of rows collected.
    """

    def __init__(self, columns: dict, schema: pa.Schema):
        self.length = 0
        self._schema = schema
        self._scalars = {name: [] for name, kind in columns.items() if isinstance(kind, pa.DataType)}
        self._tensors = {
            name: np.empty((BATCH_ROWS, *columns[name][1]), columns[name][0])
            for name in columns.keys() - self._scalars.keys()
        }

    def add(self, row: dict) -> None:
        for name, values in self._scalars.items():
            values.append(row[name])
        for name, stacked in self._tensors.items():
            tensor = row[name]
            if tensor.dtype != stacked.dtype or tensor.shape != stacked.shape[1:]:
                raise ValueError(
                    f"column {name}: expected {stacked.dtype} {stacked.shape[1:]}, got {tensor.dtype} {tensor.shape}"
                )
            stacked[self.length] = tensor
        self.length += 1

    def take(self) -> pa.RecordBatch:
        """Return the collected rows, which are valid until the next row is added, and begin anew."""
        arrays = [
            pa.array(self._scalars[field.name], field.type)
            if field.name in self._scalars
            else pa.FixedShapeTensorArray.from_numpy_ndarray(self._tensors[field.name][: self.length])
            for field in self._schema
        ]
        self.length = 0
        for values in self._scalars.values():
            values.clear()
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)
