"""Zip archives, read in place: no member is ever unpacked under its name, so that none can leave its folder."""

import hashlib
import os
import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath

from workflow_scripts.core.files import open_regular
from workflow_scripts.sources._archives.members import leads_out, linked, repeated, unsafe_name, whole_archive
from workflow_scripts.sources._listing import File, Listing, Problem, is_clutter, name_problem

END, END_64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"  # records that close an archive (PKWARE APPNOTE, 4.3.15 and 4.3.16)
LONGEST_END = 66_000  # bytes: both records and the longest comment
LEAST_ENTRY, LARGEST_DIRECTORY = 46, 1 << 30  # bytes of the central directory: of a member, and in all


def list_members(path: str | Path) -> Listing:
    """List the files in an archive; a member with an unsafe name, a link, or an encrypted one is a problem.

    Raises:
        UserError: the file is no whole zip archive.
    """
    listing = Listing()
    seen = set()
    with open_archive(path) as archive:
        for member in archive.infolist():
            name = member.filename
            if name.endswith("/"):
                continue
            problem = _member_problem(member, seen)
            if problem is None and any(is_clutter(part) for part in PurePosixPath(name).parts):
                listing.ignored += 1
                continue
            problem = problem or name_problem(name)
            if problem:
                listing.problems.append(problem)
            else:
                listing.files.append(File(name, member.file_size, member.CRC, name))
            seen.add(name)
    listing.files.sort()
    return listing


def survey_archive(path: str | Path) -> tuple[int, File]:
    """Return the number of members, folders included, and the archive's entry in a listing; no member is read.

    Both come from the archive's last bytes, which is fast however many members there are. The entry's stamp is a
    checksum of the central directory, which holds the name, size and checksum of every member. So it changes with the
    members and not with the archive's time.

    Raises:
        UserError: the file is no whole zip archive.
    """
    path = Path(path)
    with whole_archive(path, "zip"), open_regular(path) as file:
        total = os.path.getsize(path)
        file.seek(max(0, total - LONGEST_END))
        tail = file.read()
        end = tail.rfind(END)
        if end < 0 or len(tail) < end + 22:
            raise zipfile.BadZipFile("its end is missing")
        count, size = struct.unpack_from("<HI", tail, end + 10)
        close = total - len(tail) + end  # where the central directory ends
        locator = tail.rfind(END_64_LOCATOR, 0, end)
        if locator >= 0:  # archives of 65,536 members and more
            (close,) = struct.unpack_from("<Q", tail, locator + 8)
            file.seek(close + 32)
            count, size = struct.unpack("<QQ", file.read(16))
        if not count * LEAST_ENTRY <= size <= min(close, total, LARGEST_DIRECTORY):
            raise zipfile.BadZipFile(f"{count:,} members in a directory of {size:,} bytes")
        file.seek(close - size)
        digest = hashlib.sha256(file.read(size)).digest()
    return count, File(path.name, total, int.from_bytes(digest[:8], "little"), path.name)


def open_archive(path: str | Path) -> zipfile.ZipFile:
    """Open a zip archive for reading.

    Raises:
        UserError: the file is no whole zip archive.
    """
    with whole_archive(path, "zip"):
        return zipfile.ZipFile(path)


class ZipStore:
    """Reads the members of a zip archive."""

    def __init__(self, path: str | Path):
        self._archive = open_archive(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._archive.infolist():
            self._members.setdefault(member.filename, member)  # of two with one name the first, as in the listing

    def read(self, file: str, max_bytes: int) -> bytes:
        """See `Store.read`. The size that the archive states is checked first, and no more than that is unpacked."""
        from workflow_scripts.sources._pictures import BadPicture
        from workflow_scripts.sources._stores import check_bytes

        try:
            member = self._members[file]
            check_bytes(member.file_size, max_bytes)
            return self._archive.read(member)
        except (BadPicture, MemoryError):
            raise
        except Exception as error:  # zipfile and the decompressors raise nearly anything on damaged data
            raise BadPicture("damaged archive member", f"{error}; download the archive again") from error

    def close(self) -> None:
        """See `Store.close`."""
        self._archive.close()


def open_store(path: str | Path) -> ZipStore:
    """Return what reads the members of an archive."""
    return ZipStore(path)


def _member_problem(member: zipfile.ZipInfo, seen: set[str]) -> Problem | None:
    name = member.filename
    if leads_out(name):
        return unsafe_name(name)
    if not name:
        return Problem("(no name)", "no name in archive", "a member has no name; make the archive anew without it")
    if stat.S_ISLNK(member.external_attr >> 16):
        return linked(name)
    if member.flag_bits & 1:
        return Problem(name, "encrypted archive member", f"{name}: needs a password; put it into the archive without")
    return repeated(name) if name in seen else None
