"""Records that tell whether the contents of a shard's files have changed, or only their times, as Git's index does.

A shard is known by the digest of the names, sizes and times that its files had when its index was made. When times are
new, the contents are compared once. If they are all the same, the digest stays and the new times are noted; otherwise
the digest changes.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from workflow_scripts.core.files import sha256_of, write_text
from workflow_scripts.sources._listing import File, Listing


def listing_digest(listing: Listing, record: Path) -> str:
    """Return the digest by which a shard is known, which changes when a file is added, changed or deleted.

    Args:
        listing: the shard's listing as it is now.
        record: the file that `write_contents` wrote when the shard's index was made; it may be absent.
    """
    stamps = stamps_digest(listing)
    try:
        with record.open(encoding="utf-8") as lines:
            known = json.loads(lines.readline())
            if known["stamps"] == stamps:
                return known["digest"]
            contents = json.loads(lines.readline())
    except (OSError, ValueError, KeyError):
        return stamps
    if not _is_same(listing, contents):
        return stamps
    with suppress(OSError):  # without the note, the contents are only compared once more
        write_text(record, _note(listing, known["digest"], {name: old[2] for name, old in contents.items()}))
    return known["digest"]


def write_contents(note: Path, digest: str, listing: Listing) -> None:
    """Note the contents of a shard's files.

    This must happen before the index is made, so that a file that changes in between differs from the note.

    Args:
        note: the file to write.
        digest: the result of `listing_digest` when the index was planned.
        listing: the shard's listing.
    """
    write_text(note, _note(listing, digest, {file.path: _sha256(file) for file in _files(listing)}))


def _note(listing: Listing, digest: str, contents: dict[str, str]) -> str:
    """Return two lines of JSON: digests, which every start of the workflow reads, and contents, for changed times."""
    rows: dict[str, list] = {file.path: [file.size, file.stamp, contents[file.path]] for file in _files(listing)}
    rows |= {f"problem {problem.path}": [0, 0, problem.reason] for problem in listing.problems}
    head = {"digest": digest, "stamps": stamps_digest(listing)}
    return f"{json.dumps(head)}\n{json.dumps(rows)}\n"


def _is_same(listing: Listing, contents: dict[str, list]) -> bool:
    """Tell whether the same files with the same contents are listed; files with their old time are not opened."""
    problems = {f"problem {problem.path}": problem.reason for problem in listing.problems}
    if {*problems, *(file.path for file in _files(listing))} != contents.keys():
        return False
    if any(contents[name][2] != reason for name, reason in problems.items()):
        return False
    changed = [file for file in _files(listing) if contents[file.path][:2] != [file.size, file.stamp]]
    if any(contents[file.path][0] != file.size or file.location is None for file in changed):
        return False
    return all(_sha256(file) == contents[file.path][2] for file in changed)


def stamps_digest(listing: Listing) -> str:
    """Return the digest of the names, sizes and times of all files of a listing."""
    lines = sorted(f"{file.path}\0{file.size}\0{file.stamp}" for file in _files(listing))
    lines += sorted(f"{problem.path}\0{problem.reason}" for problem in listing.problems)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def _files(listing: Listing) -> list[File]:
    return [*listing.files, *(file._replace(path=f"shared {file.path}") for file in listing.shared)]


def _sha256(file: File) -> str:
    """Return the digest of a file's bytes, or an empty text if it is no file of its own or cannot be read."""
    if file.location is None:
        return ""
    try:
        return sha256_of(file.location)
    except OSError:
        return ""
