"""CelebA's text files: partition, landmarks, attributes and identities, as the authors or Kaggle distribute them."""

import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, TextIO

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import open_regular
from workflow_scripts.sources._archives.members import whole_archive
from workflow_scripts.sources._archives.zips import open_archive
from workflow_scripts.sources._listing import PICTURE_SUFFIXES

STEMS = (
    "list_eval_partition",
    "list_landmarks_align_celeba",
    "list_landmarks_celeba",
    "list_bbox_celeba",
    "list_attr_celeba",
    "identity_CelebA",
)
# Points and boxes in pixels belong either to the aligned pictures or to those in the wild, which lie in another folder.
OF_WILD_PICTURES = ("list_landmarks_celeba", "list_bbox_celeba")
OF_ALIGNED_PICTURES = ("list_landmarks_align_celeba",)
FILE_NAMES = frozenset(f"{stem}{suffix}" for stem in STEMS for suffix in (".txt", ".csv"))
SPLIT_NAMES = {"0": "train", "1": "val", "2": "test"}
PRESENT = {"1": True, "-1": False, "0": False}
# x and y of both eyes, the nose and both corners of the mouth. CelebA names them by the viewer: its left eye is the one
# at the left of the picture, see `faces/landmark_groups.py`.
COORDINATES = 10
MOST_BYTES = 1 << 28  # of a text file


class Text(NamedTuple):
    """One of CelebA's text files.

    Attributes:
        path: the file, or the archive that holds it.
        member: its name in the archive; None for a file of its own.
    """

    path: Path
    member: str | None = None

    @property
    def stem(self) -> str:
        """The name without its suffix, which tells what the file holds."""
        return PurePosixPath(self.member or self.path.name).stem

    def open(self) -> TextIO:
        """Open it for reading; bytes that are no UTF-8 become replacement characters, which the parser refuses."""
        with whole_archive(self.path, "zip") if self.member else nullcontext():
            return io.TextIOWrapper(self._open_bytes(), encoding="utf-8-sig", errors="replace")

    def _open_bytes(self) -> BinaryIO:
        if self.member is None:
            file = open_regular(self.path)
            self._check_size(os.fstat(file.fileno()).st_size)
            return file
        with open_archive(self.path) as archive:
            self._check_size(archive.getinfo(self.member).file_size)
            return io.BytesIO(archive.read(self.member))

    def _check_size(self, size: int) -> None:
        if size > MOST_BYTES:
            raise UserError(
                f"{self.path}: {self.stem} has {size:,} bytes, the largest of them 26 MB; download it again"
            )


def find(places: Iterable[Path]) -> list[Text]:
    """Return the text files in folders, the first of each kind; the authors' .txt is preferred to Kaggle's .csv."""
    found: dict[str, Text] = {}
    for place in places:
        for name in sorted(FILE_NAMES, reverse=True):
            if (place / name).is_file():
                found.setdefault(PurePosixPath(name).stem, Text(place / name))
    return [found[stem] for stem in STEMS if stem in found]


def find_members(archive: Path) -> list[Text]:
    """Return the text files in an archive, as Kaggle's archive has them."""
    with open_archive(archive) as members:
        return [Text(archive, name) for name in members.namelist() if PurePosixPath(name).name in FILE_NAMES]


def read(texts: Iterable[Text], names: set[str]) -> dict[str, dict]:
    """Return what the text files say about pictures: name -> `split`, `points`, `box`, `attributes`, `identity`.

    A picture without a row in a file has no such entry. Rows about other pictures are skipped and counted in the log.

    Args:
        texts: the files.
        names: the pictures' names without suffix.

    Raises:
        UserError: a file is malformed; the message names the line and what to do.
    """
    said: dict[str, dict] = {name: {} for name in names}
    for text in texts:
        rows = _read_rows(text, names)
        key, parse = PARSERS[text.stem]
        for name, (number, fields, header) in rows.items():
            try:
                said[name][key] = parse(fields, header)
            except (ValueError, KeyError, IndexError):
                raise _malformed(text, number, " ".join([name, *fields])) from None
    return said


def _read_rows(text: Text, names: set[str]) -> dict[str, tuple[int, list[str], list[str]]]:
    """Return the rows about `names`: name -> number of the line, fields, names of the columns."""
    rows: dict[str, tuple[int, list[str], list[str]]] = {}
    header: list[str] = []
    stated, count = None, 0
    with text.open() as lines:
        for number, fields in _fields(lines):
            name = fields[0]
            if not name.lower().endswith(PICTURE_SUFFIXES):
                if count or header:
                    raise _malformed(text, number, " ".join(fields))
                if len(fields) == 1 and name.isdigit():
                    stated = int(name)
                else:
                    header = fields[1:] if name == "image_id" else fields
                continue
            count += 1
            stem = name.rpartition(".")[0]
            if stem in names:
                if stem in rows and rows[stem][1] != fields[1:]:
                    first = f"{name} had another row in line {rows[stem][0]}"
                    raise UserError(f"{text.path}, line {number}: {first}; download the file again")
                rows[stem] = (number, fields[1:], header)
    print(f"{text.path.name} ({text.stem}): {count} rows, for {len(rows)} of {len(names)} pictures", file=sys.stderr)
    if stated is not None and stated != count:
        print(
            f"warning: {text.path} announces {stated} rows and has {count}; its download may be incomplete",
            file=sys.stderr,
        )
    return rows


def _fields(lines: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is not empty, separated by commas or white space."""
    for number, line in enumerate(lines, 1):
        fields = [field.strip() for field in line.split(",")] if "," in line else line.split()
        if fields and any(fields):
            yield number, fields


def _malformed(text: Text, number: int, line: str) -> UserError:
    what = f"{text.path}, line {number}: not a row of {text.stem}: {line[:60]!r}"
    return UserError(f"{what}; download the file again, or remove it to do without")


def _split(fields: list[str], header: list[str]) -> str:
    (number,) = fields
    return SPLIT_NAMES[number]


def _points(fields: list[str], header: list[str]) -> list[float]:
    if len(fields) != COORDINATES:
        raise ValueError(fields)
    return _numbers(fields)


def _box(fields: list[str], header: list[str]) -> list[float]:
    left, top, width, height = _numbers(fields)
    return [left, top, width, height]


def _numbers(fields: list[str]) -> list[float]:
    numbers = [float(field) for field in fields]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(fields)
    return numbers


def _attributes(fields: list[str], header: list[str]) -> list[str]:
    return [name for name, value in zip(header, fields, strict=True) if PRESENT[value]]


def _identity(fields: list[str], header: list[str]) -> str:
    (number,) = fields
    return str(int(number))


PARSERS: dict[str, tuple[str, Callable[[list[str], list[str]], object]]] = {
    "list_eval_partition": ("split", _split),
    "list_landmarks_align_celeba": ("points", _points),
    "list_landmarks_celeba": ("points", _points),
    "list_bbox_celeba": ("box", _box),
    "list_attr_celeba": ("attributes", _attributes),
    "identity_CelebA": ("identity", _identity),
}
