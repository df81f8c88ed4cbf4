"""Which picture of the set an annotation file means by a `file_name`, which tools write in many ways.

A name may have `\\` for `/`, `./` in front, the set's folder, or the whole path on the machine where it was written,
and be spelled as there: with `.JPG` for `.jpg`, `ü` as one character or as two, `%20` for a blank. Names are compared
with the set's folders and how pictures are spelled in them, and not with its pictures, so that an added picture divides
nothing anew.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Set
from pathlib import PurePosixPath
from urllib.parse import unquote

from workflow_scripts.sources._listing import File

Parts = tuple[str, ...]
Folders = Mapping[Parts, Set[str]]
TOP: Parts = ()
FORMS = frozenset({"NFC", "NFD"})  # Unicode's ways to write a letter with a mark: as one character, as two


def picture_folders(files: Iterable[File]) -> dict[Parts, set[str]]:
    """Return the folders below the set's folder that hold pictures, and how the names of those are spelled.

    A folder is given as the names along its path. Its spelling has the endings of its pictures, `%` where a name has
    one, and the form of letters with marks, or both forms where one name has both.
    """
    folders: dict[Parts, set[str]] = {}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        forms = {form for form in FORMS if unicodedata.is_normalized(form, name)}
        spelling = {_ending(name)} | ({"%"} & set(name)) | (forms if len(forms) == 1 else FORMS - forms)
        folders.setdefault(PurePosixPath(folder).parts, set()).update(spelling)
    return folders


def items_of(names: Iterable[str], set_folder: str, folders: Folders) -> dict[str, str]:
    """Return the item that each name of one annotation file means: its longest end that lies in one of the folders.

    A folder that differs in spelling alone is the same if it is the only one, and the end is spelled as pictures there
    are, where those are spelled in one way. A name that cannot be brought below the set's folder, or not without doubt,
    stays whole; no picture is called so. Where some names pass through the set's folder, the others mean pictures of
    other sets. Two names that would become one item are two pictures, of which at most one is in the set.

    Args:
        names: all values of `file_name`.
        set_folder: the source's `set`.
        folders: `picture_folders` of the set.
    """
    paths = {name: _parts(name) for name in names}
    alike: dict[Parts, list[Parts]] = {}
    for folder in folders:
        alike.setdefault(_folded(folder), []).append(folder)
    only = {folded: same[0] for folded, same in alike.items() if len(same) == 1}
    ends = {path: _end(path, folders, only) for path in paths.values()}
    root = _parts(set_folder)
    through = {path for path, end in ends.items() if root and path[: len(path) - len(end)][-len(root) :] == root}
    if through:
        ends = {path: end if path in through or len(path) == len(end) else path for path, end in ends.items()}
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


def _end(path: Parts, folders: Folders, only: Mapping[Parts, Parts]) -> Parts:
    for start in range(len(path)):
        folder = path[start:-1]
        if folder not in folders:
            folder = only.get(_folded(folder))
        if folder is not None:
            return *folder, _spelled(path[-1], folders[folder])
    return path


def _folded(folder: Parts) -> Parts:
    return tuple(unicodedata.normalize("NFC", unquote(part)).casefold() for part in folder)


def _spelled(name: str, spelling: Set[str]) -> str:
    """Return a name as a picture in a folder of this spelling is called."""
    if "%" not in spelling and "/" not in (unquoted := unquote(name)):
        name = unquoted
    forms = FORMS & spelling
    if len(forms) == 1:
        name = unicodedata.normalize(*forms, name)
    endings = [ending for ending in spelling if ending.lower() == _ending(name).lower()]
    return name.removesuffix(_ending(name)) + endings[0] if len(endings) == 1 else name


def _ending(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""
