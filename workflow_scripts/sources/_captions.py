"""Captions of the pictures in a folder: `metadata` tables, as the `imagefolder` convention has them, and `.txt` files.

A table `metadata.csv`, `.jsonl` or `.parquet` may lie in the folder and in any folder below it. Its column `file_name`
holds a picture's path from where the table lies, `text` or `caption` the words about it: a text, or in JSON and Parquet
also a list of them; several rows may name one picture. `name.txt` beside `name.jpg` has a caption on each line.
"""

import csv
import io
import json
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core import guard
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.core.files import open_regular
from workflow_scripts.core.names import is_utf8
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.sources._listing import PICTURE_SUFFIXES, is_clutter

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
TEXTS = ("text", "caption")  # names of the column that holds the words
LONGEST = 10_000  # characters of a caption; what is longer is no caption


class Entry(NamedTuple):
    """A row of a table, or a line of a text file.

    Attributes:
        place: what names it in messages, as `metadata.csv#/3`.
        picture: path of the picture below the root; empty where the row names none.
        captions: the words.
        bad: why it cannot be used, if so.
    """

    place: str
    picture: str
    captions: Sequence[str]
    bad: BadItem | None = None


def is_caption_file(path: str, pictures: set[str]) -> bool:
    """Tell whether a file belongs to the pictures beside it: a table, or a text of the name of a picture.

    Args:
        path: below the root.
        pictures: paths of pictures without their endings.
    """
    name = posixpath.basename(path).lower()
    return name in TABLES or (name.endswith(".txt") and path[:-4] in pictures)


@cache
def caption_files(root: str) -> tuple[str, ...]:
    """Return the paths below `root` of all tables and text files, sorted."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not is_clutter(name)]
        below = posixpath.relpath(folder.replace(os.sep, "/"), root.replace(os.sep, "/"))
        wanted = [name for name in names if name.lower() in TABLES or name.lower().endswith(".txt")]
        found += [posixpath.normpath(posixpath.join(below, name)) for name in wanted if not is_clutter(name)]
    return tuple(sorted(found))


def captions_digest(root: str | Path) -> str:
    """Return what changes whenever a file of captions may have: a digest of their names, sizes and times."""
    infos = ((path, os.stat(Path(root) / path)) for path in caption_files(str(root)))
    return f"{stable_hash(*((path, info.st_size, info.st_mtime_ns) for path, info in infos)):016x}"


def read_captions_of(root: Path, pictures: Iterable[str]) -> Iterator[Entry]:
    """Yield all rows of all tables, and what stands in the text files of these pictures.

    Raises:
        UserError: a table cannot be read at all.
    """
    files = caption_files(str(root))
    for table in files:
        if posixpath.basename(table).lower() in TABLES:
            yield from _read_rows(root, table)
    texts = set(files)
    for picture in pictures:
        path = f"{posixpath.splitext(picture)[0]}.txt"
        if path in texts:
            yield _read_text(root, path, picture)


def _read_rows(root: Path, table: str) -> Iterator[Entry]:
    read = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}[posixpath.splitext(table.lower())[1]]
    try:
        with guard.reading_whole(root / table):
            rows = list(read(root / table))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{root / table} is no table of captions ({reason}); mend it or take it away") from error
    for number, row in enumerate(rows):
        place, picture = f"{table}#/{number}", ""
        try:
            name = row.get("file_name") if isinstance(row, dict) else None
            if not isinstance(name, str) or not name or not is_utf8(name):
                raise BadItem("no file_name", "it names no picture; write its path into the column `file_name`")
            picture = posixpath.normpath(posixpath.join(posixpath.dirname(table), name))
            yield Entry(place, picture, _checked(next((row[key] for key in TEXTS if row.get(key)), None)))
        except BadItem as bad:
            yield Entry(place, picture, (), bad)


def _read_csv(path: Path) -> Iterator[dict]:
    csv.field_size_limit(1 << 24)
    with open_regular(path) as file:
        return csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"), newline=""))


def _read_jsonl(path: Path) -> Iterator[object]:
    with open_regular(path) as file:
        for number, line in enumerate(file.read().decode("utf-8-sig").split("\n"), 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None


def _read_parquet(path: Path) -> list[dict]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    wanted = [name for name in ("file_name", *TEXTS) if name in file.schema_arrow.names]
    return file.read(columns=wanted).to_pylist()


def _read_text(root: Path, path: str, picture: str) -> Entry:
    try:
        with guard.reading(path), open_regular(root / path) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
        return Entry(path, picture, _checked([line for line in lines if line.strip()]))
    except (OSError, UnicodeDecodeError) as error:
        what = "no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        return Entry(path, picture, (), BadItem("caption unreadable", f"{what}; mend the file"))
    except BadItem as bad:
        return Entry(path, picture, (), bad)


def _checked(value: object) -> list[str]:
    """Return a text, or a list of them, as captions without blanks around them.

    Raises:
        BadItem: there is none, or one is no caption.
    """
    given = value if isinstance(value, list) else [value]
    texts = [" ".join(text.split()) for text in given if isinstance(text, str)]
    if len(texts) < len(given) or not all(texts) or not texts:
        raise BadItem("no words", f"it has no words; write them into the column `{TEXTS[0]}`, or a line of the text")
    if not all(map(is_utf8, texts)):
        raise BadItem("not a Unicode text", "half a letter stands in it; write it anew")
    if any(len(text) > LONGEST for text in texts):
        raise BadItem("caption too long", f"it has over {LONGEST:,} characters; shorten it")
    return texts


def without_suffixes(paths: Iterable[str]) -> set[str]:
    """Return paths of pictures without their endings."""
    return {posixpath.splitext(path)[0] for path in paths if path.lower().endswith(PICTURE_SUFFIXES)}
