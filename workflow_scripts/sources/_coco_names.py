"""Which picture of the set an annotation file means by a `file_name`, which tools write in many ways.

A name may have `\\` for `/`, `./` in front, the set's folder, or the whole path on the machine where it was written.
Names are compared with the set's folders and not with its pictures, so that an added picture divides nothing anew.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from workflow_scripts.sources._listing import File

Parts = tuple[str, ...]
TOP: Parts = ()


def picture_folders(files: Iterable[File]) -> set[Parts]:
    """Return the folders below the set's folder that hold pictures, each as the names along its path."""
    return {PurePosixPath(path).parts for path in {file.path.rpartition("/")[0] for file in files}}


def items_of(names: Collection[str], set_folder: str, folders: Collection[Parts]) -> dict[str, str]:
    """Return the item that each name of one annotation file means: its longest end that lies in one of the folders.

    A name that cannot be brought below the set's folder, or not without doubt, stays whole; no picture is called so.
    Where some names pass through the set's folder, the others mean pictures of other sets. Two names that would be
    shortened to one item are two pictures, of which at most one is in the set.

    Args:
        names: all values of `file_name`.
        set_folder: the source's `set`.
        folders: `picture_folders` of the set.
    """
    paths = {name: _parts(name) for name in names}
    ends = {path: _end(path, folders) for path in paths.values()}
    root = _parts(set_folder)
    through = {path for path, end in ends.items() if root and path[: len(path) - len(end)][-len(root) :] == root}
    if through:
        ends = {path: end if path in through or path == end else path for path, end in ends.items()}
    meant: dict[Parts, list[Parts]] = {}
    for path, end in ends.items():
        meant.setdefault(end, []).append(path)
    doubtful = {path for end, paths_ in meant.items() if len(paths_) > 1 for path in paths_ if path != end}
    return {name: "/".join(path if path in doubtful else ends[path]) for name, path in paths.items()}


def _parts(name: str) -> Parts:
    """Return the names along a path, without a drive, `.` and `..`."""
    parts: list[str] = []
    for part in name.replace("\\", "/").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", ".") and not (not parts and re.fullmatch(r"[A-Za-z]:", part)):
            parts.append(part)
    return tuple(parts)


def _end(path: Parts, folders: Collection[Parts]) -> Parts:
    return next((path[start:] for start in range(len(path)) if path[start:-1] in folders), path)
