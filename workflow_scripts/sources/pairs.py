"""Source `pairs`: two folders with the same faces, bare and occluded, which are matched by number.

The number of a picture is the longest run of digits in its file name after the kind of occluder is taken out of it (the
first of several that are equally long; leading zeros do not count). So `039686.jpg` goes with `039686_N95.jpg` and with
`039686_surgical.jpg`: a bare face can have several occluded ones. Paths begin with `clean/` or `occluded/`, whatever
the folders are called, and the item is the path of the occluded picture.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from workflow_scripts.config.sources import PairsSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._listing import File, Listing, Problem, walk

KIND = re.compile(r"(?P<surgical>surgical)|(?P<cloth>cloth)|(?P<kn95>k?n-?95)", re.IGNORECASE)


def list_files(source: PairsSource) -> Listing:
    """List both folders; a picture without a counterpart, or with the number of another, is a problem.

    Raises:
        UserError: a folder is missing or empty, or no picture has a counterpart.
    """
    listing = Listing()
    bare: dict[int, File] = {}
    for number, file in _numbered(source.clean, "clean", listing):
        if number in bare:
            detail = f"{file.path}: its number {number} is that of {bare[number].path} too; rename or remove one"
            listing.problems.append(Problem(file.path, "number used twice", detail))
        else:
            bare[number] = file
    matched = set()
    for number, file in _numbered(source.occluded, "occluded", listing):
        if number in bare:
            matched.add(number)
            listing.files.append(file._replace(key=bare[number].path))
        else:
            listing.problems.append(_alone(file, number, source.clean))
    if not matched:
        numbers = "039686.jpg goes with 039686_N95.jpg"
        raise UserError(f"clean, occluded: no number of {source.clean} is in {source.occluded}; {numbers}, for example")
    listing.files += [file for number, file in bare.items() if number in matched]
    listing.problems += [
        _alone(file, number, source.occluded) for number, file in bare.items() if number not in matched
    ]
    listing.files.sort()
    return listing


def describe(source: PairsSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each occluded picture among `files`, whose key is the path of its bare picture."""
    rows = []
    for file in files:
        if file.path != file.key:
            kind = _number_and_kind(file.path)[1]
            rows.append(
                {"item": file.path, "file": file.key, "occluded_file": file.path, "kind": kind, "group": file.key}
            )
    return rows


class PairsStore:
    """Reads the files of both folders."""

    def __init__(self, source: PairsSource):
        from workflow_scripts.sources._stores import FolderStore

        self._folders = {"clean": FolderStore(source.clean), "occluded": FolderStore(source.occluded)}

    def read(self, file: str, max_bytes: int) -> bytes:
        """See `Store.read`."""
        side, _, path = file.partition("/")
        return self._folders[side].read(path, max_bytes)

    def close(self) -> None:
        """See `Store.close`."""


def open_store(source: PairsSource) -> PairsStore:
    """Return the store that reads the files of both folders."""
    return PairsStore(source)


def _number_and_kind(path: str) -> tuple[int | None, str | None]:
    """Return the number and the kind of occluder in a file name, each None where the name has none."""
    stem = PurePosixPath(path).stem
    match = KIND.search(stem)
    runs = re.findall(r"[0-9]+", KIND.sub(" ", stem))
    number = int(max(runs, key=len)) if runs else None
    return number, match.lastgroup if match else None


def _numbered(folder: str, side: str, listing: Listing) -> list[tuple[int, File]]:
    """Return the pictures of one folder with their numbers; those without become problems of the listing."""
    found = walk(folder, side, f"{side}/")
    listing.problems += found.problems
    numbered = []
    for file in found.files:
        number, _ = _number_and_kind(file.path)
        if number is None:
            detail = f"{file.path}: pairs are matched by number; rename it, for example 000123_surgical.jpg"
            listing.problems.append(Problem(file.path, "no number in the name", detail))
        else:
            numbered.append((number, file))
    return numbered


def _alone(file: File, number: int, folder: str) -> Problem:
    detail = f"{file.path}: no picture with number {number} in {folder}; add or remove it"
    return Problem(file.path, "no counterpart", detail)
