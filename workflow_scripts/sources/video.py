"""Source `video`: frames of video files. The item is the clip's path with the frame's number, as `clip.mp4#000123`.

Frames of one clip are alike, so they are divided in blocks of time and not one by one. The blocks all have one length,
and their splits are drawn; or, with `split_by: time`, there is one block for each split. Where a block begins within a
shot, its first second looks like the end of the block before, and its frames have the split `unused`. A trained system
is applied to them like to other items, but nothing is trained or tested on them.
"""

import os
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from workflow_scripts.config.sources import ClipSource, Split, VideoSource
from workflow_scripts.core import guard
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.sources._listing import VIDEO_FILES, File, Listing, Problem, file_entry, name_problem, walk
from workflow_scripts.sources.folder import find_person

LIST = ".txt"  # ending of the name of a list of videos
UNUSED_SECONDS = 1.0  # seconds that are left unused after a block's border within a shot
# Used to estimate the number of frames from a file's size, on which only the number of shards depends: opening each
# video at every start would take too long.
BYTES_PER_SECOND, FRAMES_PER_SECOND = 250_000, 25


def list_files(source: VideoSource) -> Listing:
    """List the videos: a single file, those that a text file names, or those in a folder and the folders below it."""
    if os.path.isfile(source.path) and source.path.lower().endswith(LIST):
        listing = _list_named(Path(source.path))
    elif os.path.isfile(source.path):
        name = os.path.basename(source.path)
        if problem := name_problem(name, VIDEO_FILES):
            raise UserError(f"path: {problem.detail}")
        listing = Listing([file_entry(source.path, name)])
    else:
        listing = walk(source.path, "path", kind=VIDEO_FILES)
    per_second = FRAMES_PER_SECOND / source.every if source.every else source.per_second
    listing.more = int(sum(file.size for file in listing.files) / BYTES_PER_SECOND * per_second)
    return listing


def _list_named(path: Path) -> Listing:
    """List the videos of which a text file has the paths, one a line, whole ones or relative to its own folder.

    Blank lines and those that begin with `#` are passed over, and a video that is named twice is listed once.
    """
    listing = Listing()
    lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    lines = [line.strip() for line in lines]
    names = {_path_below(path.parent, line) for line in lines if line and not line.startswith("#")}
    for name in sorted(names):
        if problem := name_problem(name, VIDEO_FILES):
            listing.problems.append(problem)
        elif name.startswith("../"):
            detail = f"{name}: lies outside the folder of {path.name}; move the list to a folder above all its videos"
            listing.problems.append(Problem(name, "outside its folder", detail))
        elif not (path.parent / name).is_file():
            detail = f"{name}: {path.name} names it, and it is not there; bring the file, or delete the line"
            listing.problems.append(Problem(name, "file is missing", detail))
        else:
            listing.files.append(file_entry(path.parent / name, name))
    if not listing.files:
        raise UserError(
            f"path: none of the {len(names)} lines of {path} is a video that is there; write one path a line, relative "
            f"to the folder of {path.name}"
        )
    return listing


def _path_below(folder: Path, line: str) -> str:
    """Return the path, relative to a folder, of a file that a line names; it may have been written on Windows."""
    if "\\" in line and not (folder / line).is_file():
        line = line.replace("\\", "/")
    return os.path.relpath(folder / line, folder)


def describe(source: VideoSource, files: Sequence[File]) -> Iterator[dict | Problem]:
    """Yield a row for each chosen frame, and a problem for each video that cannot be decoded to its end.

    Each video is decoded once, and no more than one of its frames is held in memory.
    """
    for file in files:
        yield from describe_clip(source, _root(source), file.path, find_person(source.identity, file.path))


def open_store(source: VideoSource):
    """Return the store that reads the videos' files."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(_root(source))


class Blocks:
    """Divides a video into blocks of time.

    Args:
        length: length of a block in seconds.
    """

    def __init__(self, length: float):
        self._length = length
        self._block: int | None = None
        self._first = True
        self._shot = self._shot_before = 0

    def place(self, time: float, shot: int) -> tuple[int, bool]:
        """Return a frame's block, and whether the frame is like the end of the block before.

        It must be called for all frames, in order.

        Args:
            time: presentation time of the frame in seconds.
            shot: number of its shot.
        """
        block = int((time + 1e-6) // self._length)
        if block != self._block:
            self._first = self._block is None
            self._block, self._shot_before = block, self._shot
        self._shot = shot
        alike = not self._first and shot == self._shot_before and time - block * self._length < UNUSED_SECONDS - 1e-6
        return block, alike


def divide_by_time(split: Split, times: Sequence[float], shots: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Divide the frames of one clip into one block for each split: first `train`, then `val`, then `test`.

    Args:
        split: fractions of the time from the first frame to the end of the last.
        times: presentation times of the frames that are used, in seconds, not falling.
        shots: numbers of their shots.

    Yields:
        The split of each frame's block, and whether the frame is like the end of the block before: within a second of
        the border, but at most within the first half of its block, so that no block of a short clip is lost.
    """
    names = [name for name in ("train", "val", "test") if getattr(split, name)]
    ends = list(accumulate(getattr(split, name) for name in names))
    span = (times[-1] - times[0]) * len(times) / max(len(times) - 1, 1) or 1.0
    last, shot_before = 0, None
    for number, (time, shot) in enumerate(zip(times, shots, strict=True)):
        block = bisect(ends, (time - times[0]) / span + 1e-9, hi=len(ends) - 1)
        if block != last:
            last, shot_before = block, shots[number - 1]
        begin = times[0] + span * (ends[block - 1] if block else 0.0)
        gap = min(UNUSED_SECONDS, getattr(split, names[block]) * span / 2)
        yield names[block], block > 0 and shot == shot_before and time - begin < gap - 1e-6


def describe_clip(source: ClipSource, root: Path, path: str, person: str | None = None) -> Iterator[dict | Problem]:
    """Yield a row for each chosen frame of one clip, and a problem if it cannot be decoded to its end.

    Args:
        source: its `every`, `per_second`, `split_by`, `split`, `block` and `max_pixels` keys are used.
        root: the folder of the source.
        path: path of the clip below the folder.
        person: the person that it shows, or None where that is not known.
    """
    rows = _describe_frames(source, root, path, person)
    yield from rows if source.split_by == "hash" else _divided(source, path, list(rows))


def _divided(source: ClipSource, path: str, rows: list[dict | Problem]) -> Iterator[dict | Problem]:
    frames = [row for row in rows if not isinstance(row, Problem)]
    if frames:
        blocks = divide_by_time(source.split, [row["time"] for row in frames], [row["shot"] for row in frames])
        for row, (block, alike) in zip(frames, blocks, strict=True):
            row |= {"group": f"{path}#{block}", "split": "unused" if alike else block}
    return iter(rows)


def _describe_frames(source: ClipSource, root: Path, path: str, person: str | None) -> Iterator[dict | Problem]:
    import hashlib

    from workflow_scripts.sources._decoding import ShotCounter, VideoReader, pace, to_rgb

    is_due, shots, blocks = pace(source.every, source.per_second), ShotCounter(), Blocks(source.block)
    try:
        with guard.reading(path, source.max_pixels):
            for frame in VideoReader(root / path, source.max_pixels).frames():
                shot = shots.count(frame.image)
                block, alike = blocks.place(frame.time, shot)
                if not is_due(frame):
                    continue
                pixels = to_rgb(frame)
                size = {"width": pixels.shape[1], "height": pixels.shape[0]}
                row = {"item": f"{path}#{frame.number:06d}", "file": path, "frame": frame.number, "time": frame.time}
                row |= {"shot": shot, "identity": person, "group": f"{path}#block {block}"}
                row |= {"split": "unused"} if alike and person is None else {}
                yield row | {"sha256": hashlib.sha256(pixels).hexdigest()} | size
    except BadItem as bad:
        yield Problem(path, bad.reason, f"{path}: {bad.detail}")


def _root(source: VideoSource) -> Path:
    path = Path(source.path)
    return path.parent if path.is_file() else path
