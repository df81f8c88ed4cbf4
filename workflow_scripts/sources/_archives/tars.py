"""Tar archives, read in place: no member is ever unpacked under its name, so that none can leave its folder.

A compressed tar can be read from its beginning only, while stages read in the order of names. So each job decompresses
it once to a nameless temporary file (in `TMPDIR`) and reads that. This is simple, needs little memory, and costs little
beside the job's work on the pictures. An archive of many gigabytes is better decompressed by hand, as by `gunzip`.
"""

import bz2
import gzip
import lzma
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._archives.members import leads_out, linked, repeated, unsafe_name
from workflow_scripts.sources._listing import File, Listing, Problem, file_entry, is_clutter, name_problem

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}  # by the first two bytes
CHUNK = 1 << 20  # bytes
# An archive may unpack to this many times its size, or to this many bytes. Pictures shrink by less; a decompression
# bomb unpacks to more.
MAX_RATIO, FREE_BYTES = 100, 100_000_000
SEEN_MEMBERS, SEEN_BYTES = 200, 4_000_000  # how much of an archive is read to estimate its number of members


def list_members(path: str | Path) -> Listing:
    """List the files in an archive; a member with an unsafe name, or one that is no regular file, is a problem.

    Raises:
        UserError: the file is no whole tar archive, or unpacks to too much.
    """
    listing = Listing()
    seen = set()
    with _whole(path), _open_tar(path) as archive:
        for member in archive:
            name = str(PurePosixPath(member.name))
            if member.isdir() or any(is_clutter(part) for part in PurePosixPath(name).parts if part != ".."):
                continue
            problem = _member_problem(name, member, seen) or name_problem(name)
            if problem:
                listing.problems.append(problem)
            else:
                listing.files.append(File(name, member.size, int(member.mtime), name))
            seen.add(name)
    listing.files.sort()
    return listing


def survey_archive(path: str | Path) -> tuple[int, File]:
    """Return an estimate of the number of members, and the archive's entry in a listing, without reading all of it.

    Raises:
        UserError: the beginning is not that of a tar archive.
    """
    return count_members(path), file_entry(path, Path(path).name)


def count_members(path: str | Path) -> int:
    """Estimate the number of members, folders included, from the first ones, in a time that does not grow with it.

    Raises:
        UserError: the beginning is not that of a tar archive.
    """
    with _whole(path), open(path, "rb") as file:
        stream = _opener(file) is not None
        count = 0
        with tarfile.open(fileobj=file, mode="r|*" if stream else "r:") as archive:
            for _ in archive:
                count += 1
                if count == SEEN_MEMBERS or (stream and file.tell() > SEEN_BYTES):
                    return count * os.path.getsize(path) // file.tell()
        return count


class TarStore:
    """Reads the members of a tar archive."""

    def __init__(self, path: str | Path):
        self._members: dict[str, tarfile.TarInfo] = {}
        with _whole(path):
            self._archive = _open_tar(path)
            for member in self._archive:
                if member.isreg():  # of two members with one name the first is used, as in the listing
                    self._members.setdefault(str(PurePosixPath(member.name)), member)

    def read(self, file: str, max_bytes: int) -> bytes:
        """See `Store.read`. The size that the archive states is checked first, and no more than that is ever read."""
        from workflow_scripts.sources._pictures import BadPicture
        from workflow_scripts.sources._stores import check_bytes

        member = self._members.get(file)
        if member is None:
            raise BadPicture("cannot be read", "it is not in the archive any more; start again")
        check_bytes(member.size, max_bytes)
        try:
            return self._archive.extractfile(member).read()
        except (tarfile.TarError, OSError) as error:
            raise BadPicture("damaged archive member", f"{error}; download the archive again") from error

    def close(self) -> None:
        """See `Store.close`."""
        self._archive.close()


def open_store(path: str | Path) -> TarStore:
    """Return what reads the members of an archive."""
    return TarStore(path)


def _open_tar(path: str | Path) -> tarfile.TarFile:
    """Open an archive for reading in any order; a compressed one is decompressed to a temporary file.

    Raises:
        UserError: it unpacks to too much.
    """
    file = open(path, "rb")  # noqa: SIM115 (it stays open as long as the archive)
    opener = _opener(file)
    if opener is None:
        return tarfile.open(fileobj=file, mode="r:")
    with file, opener(file) as packed:
        plain = tempfile.TemporaryFile()  # noqa: SIM115
        limit = max(FREE_BYTES, MAX_RATIO * os.path.getsize(path))
        while chunk := packed.read(CHUNK):
            if plain.tell() + len(chunk) > limit:
                raise UserError(
                    f"{path} unpacks to more than {limit:,} bytes, as no archive of pictures does; "
                    "if it is one nevertheless, decompress it yourself and write the .tar in the configuration"
                )
            plain.write(chunk)
    plain.seek(0)
    return tarfile.open(fileobj=plain, mode="r:")


def _opener(file: BinaryIO) -> Callable | None:
    """Return the function that decompresses a file, by its first bytes, or None for one that is not compressed."""
    opener = OPENERS.get(file.read(2))
    file.seek(0)
    return opener


@contextmanager
def _whole(path: str | Path) -> Iterator[None]:
    """Turn what the standard library raises on damaged archives into a `UserError`."""
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise UserError(f"{path} is no whole tar archive ({error}); download it again and compare its size") from error


def _member_problem(name: str, member: tarfile.TarInfo, seen: set[str]) -> Problem | None:
    if leads_out(member.name):
        return unsafe_name(name)
    if member.islnk() or member.issym():
        return linked(name)
    if not member.isreg():
        return Problem(name, "no regular file", f"{name}: is a pipe or device; put a picture's file into the archive")
    return repeated(name) if name in seen else None
