"""Listings of the files of a source, made from names, sizes and times alone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.names import is_utf8

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif", ".heic", ".heif", ".hif"),
)
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".ogv"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"),
)
CLUTTER = ("thumbs.db", "desktop.ini", "__macosx")  # left behind by operating systems, and ignored like hidden files


class Kind(NamedTuple):
    """A kind of file: the word for it in messages, the endings of its names in lower case, the type of its sources."""

    name: str
    suffixes: tuple[str, ...]
    source: str


PICTURE_FILES = Kind("picture", PICTURE_SUFFIXES, "folder")
VIDEO_FILES = Kind("video", VIDEO_SUFFIXES, "video")
# Files that are often meant as pictures or videos, and what to do with them.
OTHER_FILES = {
    (".jxl",): "JPEG XL is not read; convert it to JPEG or PNG",
    (
        *(".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".raf", ".orf", ".rw2", ".pef"),
        *(".raw", ".rwl", ".3fr", ".iiq", ".x3f", ".kdc", ".dcr", ".mrw", ".erf", ".srw"),
    ): "it is a camera's raw file; develop it to JPEG or TIFF, as with its maker's program",
    (".svg", ".pdf", ".eps", ".ps", ".psd", ".xcf", ".tga", ".exr", ".hdr", ".ico"): "it is not read; export it as PNG",
    (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"): "an archive within a folder is not read; unpack it, "
    "or make a zip or tar of pictures a source of type folder",
    (
        ".mxf",
        ".rm",
        ".rmvb",
        ".swf",
        ".h264",
        ".264",
        ".hevc",
        ".265",
        ".ivf",
        ".y4m",
        ".mjpeg",
        ".divx",
        ".f4v",
        ".dv",
    ): ("this kind of video is not read; convert it to MP4"),
}


class File(NamedTuple):
    """One file of a source.

    Attributes:
        path: its path below the source's root, with `/` as separator.
        size: bytes.
        stamp: a number that changes with the content: the time of modification in nanoseconds, or the checksum of a
            member of an archive.
        key: what decides the shard: the path, or for an occluded face the path of the bare one.
        location: where the file lies, if `stamp` is a time, which can change without the content; None if `stamp` is a
            checksum.
    """

    path: str
    size: int
    stamp: int
    key: str
    location: str | None = None


class Problem(NamedTuple):
    """A file in a source that cannot be an item.

    Attributes:
        path: its path below the source's root.
        reason: a short fixed phrase to count by.
        detail: one line that says what is wrong and what to do.
    """

    path: str
    reason: str
    detail: str


@dataclass
class Listing:
    """What a source holds.

    Attributes:
        files: the files that the stages work on.
        problems: the files that cannot be used.
        shared: further files, on which all items depend.
        more: how many items there are beyond one for each of `files`, as frames of videos and members of an archive.
            An estimate is enough, because only the number of shards depends on it.
        ignored: how many files and folders are hidden, or were left behind by an operating system.
    """

    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    shared: list[File] = field(default_factory=list)
    more: int = 0
    ignored: int = 0

    @property
    def count(self) -> int:
        """The number of items that the stages work on, which may be an estimate."""
        return len(self.files) + self.more


def is_clutter(name: str) -> bool:
    """Tell whether a file or folder is hidden, or was left behind by an operating system."""
    return name.startswith(".") or name.lower() in CLUTTER


def name_problem(path: str, kind: Kind = PICTURE_FILES) -> Problem | None:
    """Return why a file cannot be a picture or video, judged by its path alone, or None if it can be one."""
    if not is_utf8(path):
        shown = _readable(path)
        return Problem(shown, "name is not UTF-8", f"{shown}: the name cannot be written in a table; rename the file")
    if not path.lower().endswith(kind.suffixes):
        return Problem(path, f"not a {kind.name} file", f"{path}: {_other_kind(path.lower(), kind)}")
    return None


def _other_kind(path: str, kind: Kind) -> str:
    """Return what a file is whose name, in lower case, does not end as those of a kind do, and what to do."""
    for other in (PICTURE_FILES, VIDEO_FILES):
        if path.endswith(other.suffixes):
            return f"it is a {other.name}; make a source of type {other.source} of it"
    for suffixes, what in OTHER_FILES.items():
        if path.endswith(suffixes):
            return what
    if path.rstrip().endswith(kind.suffixes):
        return "a blank stands after the ending of its name; rename it"
    return f"the name ends in none of {' '.join(kind.suffixes)}; convert or rename it if it is a {kind.name}"


def file_entry(path: str | Path, name: str) -> File:
    """Return the entry of a single file, as of a text file that belongs to a data set.

    Args:
        path: where it lies.
        name: its path in the listing.
    """
    info = os.stat(path)
    return File(name, info.st_size, info.st_mtime_ns, name, os.fspath(path))


class Folder(NamedTuple):
    """One folder that was come upon.

    Attributes:
        prefix: its path below the folder that was asked for, with `/` at the end; empty for that folder itself.
        files: what lies in it but for folders and clutter.
        ignored: how much clutter lies in it.
        error: why it cannot be read, if it cannot be.
    """

    prefix: str
    files: list[os.DirEntry]
    ignored: int = 0
    error: OSError | None = None


def identity_of(folder: str | Path) -> tuple[int, int]:
    """Return device and inode, by which a folder is known whatever path leads to it."""
    info = os.stat(folder)
    return info.st_dev, info.st_ino


def folders_below(root: str | Path, seen: set[tuple[int, int]]) -> Iterator[Folder]:
    """Yield a folder and all folders below it, each once, however links are laid.

    Links are followed, also to places outside the folder, which is the user's own. Real folders come first, so that a
    file keeps its real path.

    Args:
        root: the folder.
        seen: `identity_of` folders that are passed over, to which all that are yielded are added.
    """
    folders, links = [(os.fspath(root), "")], []
    while folders or links:
        place, prefix = folders.pop() if folders else links.pop(0)
        try:
            identity = identity_of(place)
            if identity in seen:
                continue
            seen.add(identity)
            entries = list(os.scandir(place))
        except OSError as error:
            yield Folder(prefix, [], error=error)
            continue
        plain, first = [entry for entry in entries if not is_clutter(entry.name)], len(links)
        files = []
        for entry in plain:
            if entry.is_file(follow_symlinks=False):  # first, because nearly all entries are files, and this is fast
                files.append(entry)
            elif entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, f"{prefix}{entry.name}/"))
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links.append((entry.path, f"{prefix}{entry.name}/"))
            else:
                files.append(entry)
        links[first:] = sorted(links[first:])
        yield Folder(prefix, files, len(entries) - len(plain))


def walk(root: str | Path, key: str, prefix: str = "", kind: Kind = PICTURE_FILES) -> Listing:
    """List the pictures or videos in a folder and in all folders below it, each folder once, however links are laid.

    Links are followed, also to places outside the folder, which is the user's own. Real folders come first, so that a
    file keeps its real path. Hidden files and `CLUTTER` are ignored. Every other file whose name is not that of a file
    of this kind is a problem.

    Args:
        root: the folder.
        key: the configuration key that names the folder, for messages.
        prefix: text in front of every path.
        kind: the kind of files that is looked for.

    Raises:
        UserError: the folder is missing, is no folder, or holds no file of this kind.
    """
    root = os.fspath(root)
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise UserError(f"{key}: {root} {what}; write the folder of the {kind.name}s in the configuration")
    listing = Listing()
    for folder in folders_below(root, set()):
        path = prefix + folder.prefix
        listing.ignored += folder.ignored
        if folder.error:
            shown = _readable(path)
            detail = f"{shown}: {folder.error.strerror}; mend the folder's owner, mode or disk"
            listing.problems.append(Problem(shown, "cannot be read", detail))
        for entry in folder.files:
            _add(entry, path + entry.name, listing, kind)
    if not listing.files:
        others = f" ({len(listing.problems)} other files are there)" if listing.problems else ""
        raise UserError(f"{key}: no {kind.name} in {root}{others}; {kind.name}s end in {' '.join(kind.suffixes)}")
    listing.files.sort(key=itemgetter(0))
    listing.problems.sort()
    return listing


def _add(entry: os.DirEntry, path: str, listing: Listing, kind: Kind) -> None:
    """Add a file to a listing, or the problem because of which it cannot be used."""
    problem = name_problem(path, kind)
    try:
        if not entry.is_file():  # whatever its name: a link that leads nowhere may have been a whole folder of pictures
            broken = entry.is_symlink()
            problem = _unreadable(
                path, "a broken or circular link" if broken else "no regular file (a pipe, socket or device)"
            )
        elif problem is None:
            info = entry.stat()
            listing.files.append(File(path, info.st_size, info.st_mtime_ns, path, entry.path))
    except OSError as error:
        problem = _unreadable(path, error.strerror)
    if problem:
        listing.problems.append(problem)


def _unreadable(path: str, what: str) -> Problem:
    """Return the problem of what is no file that can be opened, which `what` says in words."""
    shown = _readable(path)
    return Problem(shown, "cannot be read", f"{shown}: {what}; remove or replace it")


def _readable(path: str) -> str:
    """Return a path as text that can be written, in which bytes that are not UTF-8 are escaped."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
