"""Parquet tables with fixed schemas; every table of the workflow is written and read here."""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import atomic_path
from workflow_scripts.core.names import readable

if TYPE_CHECKING:
    import pandas as pd

# pyarrow would import pandas for its first array, and many stages do without these 0.2 s. Until it first needs pandas,
# it then takes a series for a sequence like any other, whose NaN is no null: `write_table` gives it whole frames.
if "pandas" not in sys.modules:
    sys.modules["pandas"] = None
    with suppress(ImportError, AttributeError):
        pa.array([])
    del sys.modules["pandas"]

INDEX = pa.schema(
    [
        ("item", pa.string()),
        ("file", pa.string()),
        ("frame", pa.int32()),
        ("time", pa.float64()),
        ("shot", pa.int32()),
        ("occluded_file", pa.string()),
        ("occluded_sha256", pa.string()),
        ("kind", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("split", pa.string()),
        ("identity", pa.string()),
        ("group", pa.string()),
        ("points", pa.list_(pa.float32())),
        ("box", pa.list_(pa.float32())),
        ("attributes", pa.list_(pa.string())),
    ]
)

LANDMARKS = pa.schema(
    [
        ("item", pa.string()),
        ("face", pa.int32()),
        ("track", pa.int32()),
        ("left", pa.float32()),
        ("top", pa.float32()),
        ("right", pa.float32()),
        ("bottom", pa.float32()),
        ("score", pa.float32()),
        ("detector", pa.string()),
        *[(f"x_{i}", pa.float32()) for i in range(68)],
        *[(f"y_{i}", pa.float32()) for i in range(68)],
    ]
)

_POINTS = [name for name in LANDMARKS.names if name.startswith(("x_", "y_"))]

LANDMARK_CHECK = pa.schema(
    [
        ("item", pa.string()),
        ("detector", pa.string()),
        ("points_nme", pa.float32()),
        ("detected_nme", pa.float32()),
        ("compared_with", pa.string()),
    ]
)

QUARANTINE = pa.schema(
    [("item", pa.string()), ("stage", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
)

ANNOTATION_ENTRIES = pa.schema(
    [
        ("item", pa.string()),
        ("file", pa.string()),
        ("section", pa.string()),
        ("number", pa.int64()),
        ("repeated", pa.bool_()),
        ("text", pa.string()),
    ]
)

OBJECTS = pa.schema(
    [
        ("item", pa.string()),
        ("annotation", pa.int64()),
        ("category", pa.string()),
        ("supercategory", pa.string()),
        ("left", pa.float32()),
        ("top", pa.float32()),
        ("right", pa.float32()),
        ("bottom", pa.float32()),
        ("area", pa.int64()),
        ("crowd", pa.bool_()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("counts", pa.binary()),
        ("keypoints", pa.list_(pa.list_(pa.float32()))),
    ]
)

CAPTIONS = pa.schema([("item", pa.string()), ("annotation", pa.int64()), ("caption", pa.string())])

MOTION = pa.schema(
    [
        ("item", pa.string()),
        ("shot", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("mask", pa.binary()),
        ("camera", pa.string()),
        ("area", pa.float32()),
        ("blobs", pa.int32()),
        ("filtered", pa.bool_()),
    ]
)

_OF_FRAMES = [(f"{score}_{name}", pa.float64()) for score in "jf" for name in ("mean", "recall", "decay")]
MOTION_SCORES = pa.schema([("sequence", pa.string()), ("frames", pa.int32()), *_OF_FRAMES])

SPLITS = pa.schema(
    [
        ("source", pa.string()),
        ("item", pa.string()),
        ("split", pa.string()),
        ("seen", pa.bool_()),
        ("scored", pa.bool_()),
    ]
)

TRAINING = pa.schema([("source", pa.string()), ("item", pa.string()), ("split", pa.string())])

FACE_SHAPE = pa.schema([("point", pa.int32()), *[(axis, pa.float32()) for axis in "xyz"]])

FACE_LIMITS = pa.schema([("measure", pa.string()), ("least", pa.float32()), ("most", pa.float32())])


@contextmanager
def reading_result(path: str | Path) -> Iterator[None]:
    """Turn what pyarrow raises on a damaged file of results into one line.

    Raises:
        UserError: the file is damaged, or is not of the kind that is expected.
        OSError: it is missing or cannot be read at all.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = error.filename or str(path)
            raise
        what = " ".join(str(error).split())[:200] or type(error).__name__
        remedy = "if it is a result, delete it and start again, then it is made anew"
        raise UserError(f"{path} is damaged or of another kind ({what}); {remedy}") from error


def write_table(
    path: str | Path, rows: pd.DataFrame | Mapping[str, Sequence] | Sequence[dict], schema: pa.Schema | None = None
) -> None:
    """Write rows as Parquet, atomically; equal rows give equal bytes.

    Args:
        path: the file.
        rows: a data frame, columns by their names, or dictionaries, of which an absent key becomes null. The caller
            sorts them.
        schema: column names and types; None takes those of the data frame.
    """
    if isinstance(rows, Mapping):
        table = pa.Table.from_pydict(rows, schema=schema)
    elif isinstance(rows, Sequence):
        table = pa.Table.from_pylist(rows, schema=schema)
    else:
        table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one Parquet table; an absent value is None in text columns and NaN in numeric ones."""
    with reading_result(path):
        frame = _read_arrow(path, columns).to_pandas()
    for name in frame.select_dtypes(include=["str", "object"]).columns:
        frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    return frame


def read_rows(path: str | Path, columns: Sequence[str] | None = None) -> list:
    """Read one Parquet table, without pandas, as named tuples; an absent value is None."""
    with reading_result(path):
        table = _read_arrow(path, columns)
        row = namedtuple("Row", table.column_names)
        return list(map(row, *(column.to_pylist() for column in table.columns)))


def landmark_points(faces: pd.DataFrame) -> np.ndarray:
    """Return the points of rows of a `landmarks` table, float32 (n, 68, 2), x and y in pixels."""
    return faces[_POINTS].to_numpy(np.float32).reshape(-1, 2, 68).transpose(0, 2, 1)


def read_points(path: str | Path) -> np.ndarray:
    """Read the points of a `landmarks` table, without pandas, as `landmark_points` gives them."""
    with reading_result(path):
        batches = _read_arrow(path, _POINTS).to_batches()
        rows = [np.empty((0, len(_POINTS)), np.float32), *(batch.to_tensor().to_numpy() for batch in batches)]
        return np.concatenate(rows).reshape(-1, 2, 68).transpose(0, 2, 1)


def read_tables(paths: Iterable[str | Path], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read tables of one schema and stack them in the order given."""
    import pandas as pd  # here, because many stages do without it

    return pd.concat([read_table(path, columns) for path in paths], ignore_index=True)


def merge_tables(paths: Iterable[str | Path], output: str | Path) -> None:
    """Write the rows of tables of one schema to one table, sorted by `item`; rows of one item keep their order."""
    merged = pa.concat_tables(map(_read_arrow, paths))
    merged = merged.append_column("order", pa.array(range(merged.num_rows)))
    merged = merged.sort_by([("item", "ascending"), ("order", "ascending")]).drop_columns("order")
    with atomic_path(output) as temporary:
        pq.write_table(merged, temporary, compression="zstd")


def _read_arrow(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    with reading_result(path), pq.ParquetFile(path) as file:  # `pq.read_table` would import what reads whole folders
        table = file.read(columns)
        return table.select(columns) if columns else table


class Quarantine:
    """The inputs that one job of a stage could not use, each with its reason.

    Call `add` for each of them, and `write` at the end, also when there are none.
    """

    def __init__(self, stage: str):
        self.stage = stage
        self.rows: list[dict] = []

    def add(self, item: str, reason: str, detail: str) -> None:
        """Record an item.

        Args:
            item: its name.
            reason: a short fixed phrase to count by.
            detail: one line that says what is wrong, where, and what to do; what cannot be seen in it is escaped.
        """
        line = readable(" ".join(detail.split()))
        self.rows.append({"item": item, "stage": self.stage, "reason": reason, "detail": line})

    def write(self, path: str | Path) -> None:
        """Write the rows sorted by item."""
        write_table(path, sorted(self.rows, key=lambda row: row["item"]), QUARANTINE)
