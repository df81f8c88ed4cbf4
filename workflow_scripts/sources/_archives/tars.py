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
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from workflow_scripts.core import guard
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import open_regular
from workflow_scripts.sources._archives.members import leads_out, linked, repeated, unsafe_name, whole_archive
from workflow_scripts.sources._listing import File, Listing, Problem, file_entry, is_clutter, name_problem

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}  # by the first two bytes
CHUNK = 1 << 20  # bytes
# An archive may unpack to this many times its size, or to this many bytes. Pictures shrink by less; a decompression
# bomb unpacks to more.
MAX_RATIO, FREE_BYTES = 100, 100_000_000
SEEN_MEMBERS, SEEN_BYTES = 200, 32_000_000  # how much of an archive is unpacked to estimate its number of members
LONGEST_HEADER = 1 << 20  # bytes of a member's header, in which an archive may state any length


def list_members(path: str | Path) -> Listing:
    """List the files in an archive; a member with an unsafe name, or one that is no regular file, is a problem.

    Raises:
        UserError: the file is no whole tar archive, or unpacks to too much.
    """
    listing = Listing()
    seen = set()
    with whole_archive(path, "tar"), _unpacked(path) as file:
        for member in _members(file):
            name = str(PurePosixPath(member.name))
            if member.isdir():
                continue
            if any(is_clutter(part) for part in PurePosixPath(name).parts if part != ".."):
                listing.ignored += 1
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
    with whole_archive(path, "tar"), open_regular(path) as file:
        opener = _opener(file)
        beginning = _Headers(opener(file) if opener else file, SEEN_BYTES if opener else None)
        count = 0
        try:
            with tarfile.open(fileobj=beginning, mode="r|" if opener else "r:") as archive:
                for _ in archive:
                    count += 1
                    if count == SEEN_MEMBERS:
                        break
                else:
                    return count
        except tarfile.ReadError:
            if not beginning.is_used_up:
                raise
        return max(1, count) * os.path.getsize(path) // max(1, file.tell())


class TarStore:
    """Reads the members of a tar archive."""

    def __init__(self, path: str | Path):
        self._members: dict[str, tarfile.TarInfo] = {}
        with whole_archive(path, "tar"):
            self._file = _unpacked(path)
            for member in _members(self._file):
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
        self._file.seek(member.offset_data)
        data = self._file.read(member.size)
        if len(data) < member.size:
            raise BadPicture("damaged archive member", "the archive ends within it; download the archive again")
        return data

    def close(self) -> None:
        """See `Store.close`."""
        self._file.close()


def open_store(path: str | Path) -> TarStore:
    """Return what reads the members of an archive."""
    return TarStore(path)


class _Headers:
    """A file of which headers are read: no long ones, and of a decompressed file no more than its beginning.

    Attributes:
        is_used_up: whether more than the beginning was asked for.
    """

    def __init__(self, file: BinaryIO, most: int | None = None):
        self.seek, self.tell = file.seek, file.tell
        self.is_used_up = False
        self._file, self._left = file, most

    def read(self, size: int) -> bytes:
        if size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        if self._left is not None:
            self.is_used_up |= size > self._left
            size = min(size, self._left)
            self._left -= size
        return self._file.read(size)


def _members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar that is not compressed.

    Raises:
        tarfile.TarError: a header is damaged, or the end is missing, where tarfile would end without a word.
    """
    with tarfile.open(fileobj=_Headers(file), mode="r:") as archive:
        for member in archive:
            guard.go_on()
            yield member
        file.seek(archive.offset)
        end = file.read(tarfile.BLOCKSIZE)
        if len(end) < tarfile.BLOCKSIZE or any(end):
            what = "damaged header" if end else "end missing"
            raise tarfile.ReadError(f"{what} at byte {archive.offset:,}")


def _unpacked(path: str | Path) -> BinaryIO:
    """Open an archive for reading in any order; a compressed one is decompressed to a temporary file.

    Raises:
        UserError: it unpacks to too much.
    """
    file = open_regular(path)
    opener = _opener(file)
    if opener is None:
        return file
    with file, opener(file) as packed:
        plain = tempfile.TemporaryFile()  # noqa: SIM115 (it stays open as long as the archive)
        limit = max(FREE_BYTES, MAX_RATIO * os.path.getsize(path))
        while chunk := packed.read(CHUNK):
            guard.go_on()
            if plain.tell() + len(chunk) > limit:
                raise UserError(
                    f"{path} unpacks to more than {limit:,} bytes, as no archive of pictures does; "
                    "if it is one nevertheless, decompress it yourself and write the .tar in the configuration"
                )
            plain.write(chunk)
    plain.seek(0)
    return plain


def _opener(file: BinaryIO) -> Callable | None:
    """Return the function that decompresses a file, by its first bytes, or None for one that is not compressed."""
    opener = OPENERS.get(file.read(2))
    file.seek(0)
    return opener


def _member_problem(name: str, member: tarfile.TarInfo, seen: set[str]) -> Problem | None:
    if leads_out(member.name):
        return unsafe_name(name)
    if member.islnk() or member.issym():
        return linked(name)
    if not member.isreg() or member.issparse():
        what = "is a pipe, a device or a file with holes"
        return Problem(name, "no regular file", f"{name}: {what}; put a plain file into the archive")
    return repeated(name) if name in seen else None
