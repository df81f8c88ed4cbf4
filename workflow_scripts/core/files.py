"""Files and folders that appear whole or not at all: a reader never finds half of one under its final name."""

import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from workflow_scripts.core.cli import UserError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` on success and removed on failure.

    Raises:
        OSError: the disk is full, or the folder read-only.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{glob.escape(_beginning(path))}*.part"):  # what a killed job has left behind
        leftover.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=_beginning(path), suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`, which replaces `path` on success and is removed on failure.

    Raises:
        OSError: the disk is full, or the folder read-only.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{glob.escape(_beginning(path))}*.part"):  # what a killed job has left behind
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_beginning(path), suffix=".part", dir=path.parent))
    try:
        yield folder
        folder.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        folder.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beginning(path: Path) -> str:
    """Return how the names of temporary files beside `path` begin, which are longer than its own name may be."""
    name = path.name if len(os.fsencode(path.name)) < 200 else hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return f".{name}."


def open_regular(path: str | Path) -> BinaryIO:
    """Open a user's file for reading; a pipe, socket or device is refused, at which reading might never end.

    Raises:
        OSError: there is no such file, it may not be read, or it is no regular file.
    """
    return open(path, "rb", opener=_open_regular)


def _open_regular(path: str | Path, flags: int) -> int:
    if stat.S_ISREG(os.stat(path).st_mode):  # opening a device may do something already
        handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
        info = os.fstat(handle)
        if stat.S_ISREG(info.st_mode) and info.st_size:
            return handle
        os.close(handle)
        if stat.S_ISREG(info.st_mode):  # the files of /proc state no bytes, and may have endless ones
            return os.open(os.devnull, flags)
    raise OSError(errno.EINVAL, "it is no regular file, but a folder, pipe, socket or device", path)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write JSON atomically, with sorted keys, so that equal values give equal bytes.

    Raises:
        ValueError: a number is NaN or infinite; a value that is absent must be None.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Return what a JSON file of results holds.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); delete it and start again, then it is made anew") from error


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(path: Path) -> list[Path]:
    """Return the files below a folder, sorted, without hidden ones; of a file, the file itself."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def write_digests(folder: Path, path: Path) -> None:
    """Write file name -> SHA-256 of the files in a folder, because a folder's own time does not tell what changed."""
    write_json(path, {file.name: sha256_of(file) for file in sorted(folder.iterdir())})
