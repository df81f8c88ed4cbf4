"""What lies in a source, from names, sizes and times alone."""

import os
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core.cli import UserError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
CLUTTER = ("thumbs.db", "desktop.ini", "__macosx")  # what operating systems leave behind; ignored, like hidden files


class Kind(NamedTuple):
    """A kind of file: what messages call it, and how its name may end."""

    name: str
    suffixes: tuple[str, ...]


PICTURES = Kind("picture", PICTURE_SUFFIXES)
VIDEOS = Kind("video", (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm"))


class File(NamedTuple):
    """One file of a source.

    Attributes:
        path: below the source's root, `/` as separator.
        size: bytes.
        stamp: changes with the content: time of modification in nanoseconds, or an archive member's checksum.
        key: what decides the shard: the path, or that of the bare face for an occluded one.
        location: where the file lies, if `stamp` is a time, which can change alone; None if `stamp` is a checksum.
    """

    path: str
    size: int
    stamp: int
    key: str
    location: str | None = None


class Problem(NamedTuple):
    """Something in a source that cannot be an item: its path, a short fixed reason, and a line for the user."""

    path: str
    reason: str
    detail: str


@dataclass
class Listing:
    """What a source holds.

    Attributes:
        files: those that the stages work on.
        problems: those that cannot be used.
        shared: further files, on which all items depend.
        more: items beyond one for each of `files`: frames of videos, members of an archive; only the
            number of shards depends on it, so an estimate will do.
    """

    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    shared: list[File] = field(default_factory=list)
    more: int = 0

    @property
    def count(self) -> int:
        """Number of items that the stages work on."""
        return len(self.files) + self.more


def is_clutter(name: str) -> bool:
    """Tell whether a file or folder is hidden or left behind by an operating system."""
    return name.startswith(".") or name.lower() in CLUTTER


def name_problem(path: str, kind: Kind = PICTURES) -> Problem | None:
    """Return why a path cannot be that of a picture or video, from its name alone."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = _readable(path)
        return Problem(shown, "name is not UTF-8", f"{shown}: the name cannot be written in a table; rename the file")
    if not path.lower().endswith(kind.suffixes):
        known = " ".join(kind.suffixes)
        return Problem(
            path,
            f"not a {kind.name} file",
            f"{path}: the name ends in none of {known}; convert or rename it if it is a {kind.name}",
        )
    return None


def file_entry(path: str | Path, name: str) -> File:
    """Return the entry of one file outside the listing, as of a text file that belongs to a data set."""
    info = os.stat(path)
    return File(name, info.st_size, info.st_mtime_ns, name, os.fspath(path))


def walk(root: str | Path, key: str, prefix: str = "", kind: Kind = PICTURES) -> Listing:
    """List a folder of pictures or videos and all folders in it, each once, however links are laid.

    Links are followed, also out of the folder (it is the user's own); real folders come first, so that a file keeps its
    real path. Hidden files and `CLUTTER` are ignored. All else that is not of this kind by its name is a problem.

    Args:
        root: the folder.
        key: the configuration key that names it, for messages.
        prefix: put in front of every path.
        kind: what is looked for.

    Raises:
        UserError: it is missing, no folder, or holds no file named like one of that kind.
    """
    root = os.fspath(root)
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise UserError(f"{key}: {root} {what}; write the folder of the {kind.name}s in the configuration")
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    folders, links = [(root, prefix)], []
    while folders or links:
        folder, path = folders.pop() if folders else links.pop(0)
        _list_folder(folder, path, listing, kind, seen, folders, links)
    if not listing.files:
        others = f" ({len(listing.problems)} other files are there)" if listing.problems else ""
        raise UserError(f"{key}: no {kind.name} in {root}{others}; {kind.name}s end in {' '.join(kind.suffixes)}")
    listing.files.sort(key=itemgetter(0))
    listing.problems.sort()
    return listing


def _list_folder(
    folder: str,
    prefix: str,
    listing: Listing,
    kind: Kind,
    seen: set[tuple[int, int]],
    folders: list[tuple[str, str]],
    links: list[tuple[str, str]],
) -> None:
    """Add the files in one folder, and collect the folders and the links to folders, unless it was listed before."""
    try:
        info = os.stat(folder)
        if (info.st_dev, info.st_ino) in seen:
            return
        seen.add((info.st_dev, info.st_ino))
        entries = list(os.scandir(folder))
    except OSError as error:
        shown = _readable(prefix)
        detail = f"{shown}: {error.strerror}; mend the folder's owner, mode or disk"
        listing.problems.append(Problem(shown, "cannot be read", detail))
        return
    first = len(links)
    for entry in entries:
        if is_clutter(entry.name):
            continue
        path = prefix + entry.name
        if entry.is_file(follow_symlinks=False):  # nearly all: two hundred thousand of them take a second
            _add(entry, path, listing, kind)
        elif entry.is_dir(follow_symlinks=False):
            folders.append((entry.path, f"{path}/"))
        elif entry.is_symlink() and os.path.isdir(entry.path):
            links.append((entry.path, f"{path}/"))
        else:
            _add(entry, path, listing, kind)
    links[first:] = sorted(links[first:])


def _add(entry: os.DirEntry, path: str, listing: Listing, kind: Kind) -> None:
    """Add a file, or the reason why it cannot be used."""
    problem = name_problem(path, kind)
    if problem is None:
        try:
            if entry.is_file():
                info = entry.stat()
                listing.files.append(File(path, info.st_size, info.st_mtime_ns, path, entry.path))
                return
            what = "a broken or circular link" if entry.is_symlink() else "no regular file (a pipe, socket or device)"
        except OSError as error:
            what = error.strerror
        problem = Problem(path, "cannot be read", f"{path}: {what}; remove or replace it")
    listing.problems.append(problem)


def _readable(path: str) -> str:
    """Return a path as text that can be written; bytes that are not UTF-8 become escapes."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
