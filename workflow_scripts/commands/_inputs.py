"""What a user names on the command line: pictures, folders of them, videos, tables; and where each result goes."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import cv2
from pydantic import ValidationError
from tqdm import tqdm

from workflow_scripts.core import guard
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.core.names import readable
from workflow_scripts.sources._listing import PICTURE_SUFFIXES, VIDEO_SUFFIXES, folders_below, identity_of

TABLE_SUFFIX = ".parquet"


class Given(NamedTuple):
    """One file to work on.

    Attributes:
        path: the file.
        name: of its results, without ending: its path below the folder that was named, or its own name.
    """

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether it is a video by its name."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def is_table(self) -> bool:
        """Whether it is a table by its name."""
        return self.path.suffix.lower() == TABLE_SUFFIX


class Done(NamedTuple):
    """What came of one input.

    Attributes:
        written: the pictures or videos made of it.
        beside: what -> a picture that shows how, as `map` or `sheet`.
        remarks: what is to be said of it, a line each.
        failed: whether nothing was made of it; the last remark says why.
    """

    written: Sequence[Path] = ()
    beside: Mapping[str, Path] = MappingProxyType({})
    remarks: Sequence[str] = ()
    failed: bool = False


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what argparse reads a whole number by from `least` on, to `most` where given."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least or (most is not None and int(text) > most):
            bounds = f"from {least} on" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number {bounds}")
        return int(text)

    return number


def wrong_option(error: ValidationError) -> UserError:
    """Return the line on an option whose value the configuration key of its name does not take."""
    fault = error.errors()[0]
    option = str(fault["loc"][0]).replace("_", "-")
    return UserError(f"--{option} {fault['input']}: {fault['msg'][0].lower()}{fault['msg'][1:]}")


def list_inputs(named: Sequence[Path], output: Path) -> list[Given]:
    """Return the files that are named or lie in named folders, but for those in the folder `output`.

    Links to folders are followed, also out of a named one, each folder once. A folder that cannot be read counts as a
    file, and so does a link that leads nowhere. Files of other kinds in a folder are left out, and one line on stderr
    names them, but for hidden ones. Two files whose results would have one name keep their endings in it, as `a_jpg`
    and `a_png`.

    Raises:
        UserError: one is absent, there is none, or results would have one name all the same.
    """
    found: list[tuple[Path, Path]] = []
    folders = {identity_of(path) for path in named if path.is_dir()}
    seen = {identity_of(output)} - folders if output.is_dir() else set()
    for path in named:
        if path.is_dir():
            files = _list_folder(path, seen)
            found += [(file, Path(path.name) if file == path else file.relative_to(path)) for file in files]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            raise UserError(f"{path}: no such file or folder")
    if not found:
        raise UserError(f"{', '.join(map(str, named))}: no picture or video is there")
    stems = Counter(_key(name.with_suffix("")) for _, name in found)
    given = []
    for path, name in found:
        plain = name.with_suffix("")
        alone = stems[_key(plain)] == 1
        given.append(Given(path, plain if alone else plain.with_name(f"{plain.name}_{name.suffix[1:]}")))
    counts = Counter(_key(one.name) for one in given)
    if twice := next((one for one in given if counts[_key(one.name)] > 1), None):
        raise UserError(f"{twice.path}: another input has the same name; write their results to different folders")
    return given


def work_through(inputs: Sequence[Given], work: Callable[[Given], Done]) -> list[Done]:
    """Do the work on each input, with the time that is left; what goes wrong with one does not stop the others.

    What was written is printed, and what is to be said of an input goes to stderr.

    Args:
        inputs: the files.
        work: what is done to each; it raises `BadItem` where it cannot be done.

    Returns:
        What came of each.
    """
    outcomes = []
    for given in tqdm(inputs, "inputs", unit="file", disable=len(inputs) < 2):
        try:
            with guard.working(str(given.path)):
                done = work(given)
        except BadItem as bad:
            done = Done(remarks=[f"{bad.reason}; {bad.detail}"], failed=True)
        except (MemoryError, cv2.error) as error:  # OpenCV also says so where memory runs out
            done = Done(
                remarks=[f"cannot be worked on ({type(error).__name__}); try it in a smaller size"], failed=True
            )
        for path in done.written:
            print(readable(str(path)))
        for line in done.remarks:
            tqdm.write(readable(f"{given.path}: {line}"), file=sys.stderr)
        outcomes.append(done)
    return outcomes


def check_output(path: Path, inputs: Sequence[Given]) -> None:
    """Refuse to write over a file that is read.

    Raises:
        UserError: the path is one of the inputs.
    """
    if path.exists() and any(one.path.exists() and one.path.samefile(path) for one in inputs):
        raise UserError(f"{readable(str(path))} is an input, which would be overwritten; write another --output")


def _list_folder(folder: Path, seen: set[tuple[int, int]]) -> list[Path]:
    """Return the pictures and videos below a folder, and what may be more of them: unreadable folders, broken links.

    Args:
        folder: to be looked through.
        seen: `identity_of` folders that are passed over, to which those that were looked through are added.
    """
    files: list[Path] = []
    others: list[str] = []
    for below in folders_below(folder, seen):
        if below.error:
            files.append(folder / below.prefix)
        for entry in below.files:
            path = below.prefix + entry.name
            broken = entry.is_symlink() and not os.path.exists(entry.path)
            if broken or path.lower().endswith((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)):
                files.append(folder / path)
            else:
                others.append(path)
    if others:
        some = ", ".join(sorted(others)[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        what = f"left out, as by their names they are no pictures or videos: {some}"
        print(readable(f"{folder}: {what}"), file=sys.stderr)
    return sorted(files)


def _key(name: Path) -> str:
    return str(name).casefold()
