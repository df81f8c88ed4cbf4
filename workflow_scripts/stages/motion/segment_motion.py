"""Stage: find what moves in the frames of one shard, shot by shot: a mask of 0..100 for each frame."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from workflow_scripts.config.motion import Motion
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.tables import MOTION, Quarantine, read_table, write_table
from workflow_scripts.motion.blobs import clean
from workflow_scripts.motion.masks import encode_mask
from workflow_scripts.motion.segment import segment
from workflow_scripts.motion.shots import SHORTEST, clips_of, colours, even_parts, first_frames
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._reader import PictureReader

STAGE = "segment_motion"
RUN = 330  # frames of one shot of the index that are in memory at once
FARTHEST = 0.25  # seconds between two frames
SMALLEST = 32  # pixels of the shorter side


def segment_motion(source: BaseSource, index: Input, output: Output, quarantine: Output) -> None:
    """Write the `motion` table of one shard, sorted by item; its columns are described in `docs/data.md`.

    A shard of the index holds whole clips, so no shot is cut. Of a clip, runs of up to 330 frames between two cuts are
    read and divided into shots, and the frames of each shot, or of equal parts of a long one, vote together. So memory
    is bounded by the run, whatever the length of the clip.

    Args:
        source: where its frames are, and its keys `motion` and `max_pixels`.
        index: the shard's part of the index.
        output: the table.
        quarantine: frames that cannot be read, or that are too few or too far apart.
    """
    cv2.setNumThreads(1)
    rows = read_table(index, ["item", "file", "frame", "time", "shot", "group"]).sort_values("item")
    rejected = Quarantine(STAGE)
    segmented = []
    with PictureReader(source) as reader, tqdm(total=len(rows), desc=STAGE, mininterval=2, file=sys.stderr) as bar:
        for frames in _clips(rows):
            shots = 0
            for run in _runs(frames):
                for shot in _shots(source.motion, reader, run, rejected):
                    segmented += [row | {"shot": shots} for row in shot]
                    shots += 1
                bar.update(len(run))
    write_table(output, sorted(segmented, key=lambda row: row["item"]), MOTION)
    rejected.write(quarantine)
    print(f"{len(segmented)} frames, {len(rejected.rows)} quarantined", file=sys.stderr)


def _clips(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the frames of each clip."""
    for _, frames in rows.groupby(clips_of(rows), sort=True):
        yield frames


def _runs(frames: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield runs of frames of a clip between two cuts of the index."""
    for _, shot in frames.groupby("shot", sort=True):
        for part in even_parts(len(shot), RUN):
            yield shot.iloc[part]


def _shots(motion: Motion, reader: PictureReader, run: pd.DataFrame, rejected: Quarantine) -> Iterator[list[dict]]:
    """Yield the rows of each shot of a run, without the number of the shot."""
    gap = run["time"].diff().median()
    if gap > FARTHEST:
        detail = f"its frames are {gap:.2f} s apart, {FARTHEST} at most show motion; write `every: 1` or a smaller step"
        _reject(run["item"], "frames too far apart", detail, rejected)
        return
    items, sizes, pictures = _read(motion, reader, run, rejected)
    if not items:
        return
    firsts = first_frames(np.stack([colours(picture) for picture in pictures]), motion.shots)
    for begin, end in zip(firsts, [*firsts[1:], len(items)], strict=True):
        if end - begin < SHORTEST:
            detail = f"its shot has {end - begin} frames, motion needs {SHORTEST}; use more frames of the video"
            _reject(items[begin:end], "shot too short", detail, rejected)
            continue
        rows = []
        for part in even_parts(end - begin, motion.frames):
            chosen = slice(begin + part.start, begin + part.stop)
            rows += _segmented(motion, items[chosen], sizes[chosen], np.stack(pictures[chosen]))
        yield rows


def _read(
    motion: Motion, reader: PictureReader, run: pd.DataFrame, rejected: Quarantine
) -> tuple[list[str], list[tuple[int, int]], list[np.ndarray]]:
    """Return items, sizes as (height, width), and the pictures, RGB uint8, at the size at which they are segmented."""
    items, sizes, pictures = [], [], []
    for row in run.itertuples():
        try:
            picture = reader.read(row.file, row.frame)
        except cli.BadItem as bad:
            rejected.add(row.item, bad.reason, bad.detail)
            continue
        size = picture.shape[:2]
        if sizes and size != sizes[0]:
            detail = f"it is {size[1]}x{size[0]}, the frames before it {sizes[0][1]}x{sizes[0][0]}; make them equal"
            _reject([row.item], "sizes differ", detail, rejected)
        elif min(size) < SMALLEST:
            detail = f"it is {size[1]}x{size[0]}, and {SMALLEST} pixels are needed; use a larger one"
            _reject([row.item], "frame too small", detail, rejected)
        else:
            items.append(row.item)
            sizes.append(size)
            pictures.append(_shrunk(picture, motion.longest))
    return items, sizes, pictures


def _shrunk(picture: np.ndarray, longest: int) -> np.ndarray:
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = max(round(picture.shape[1] * scale), 16), max(round(picture.shape[0] * scale), 16)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _segmented(motion: Motion, items: list[str], sizes: list[tuple[int, int]], pictures: np.ndarray) -> Iterator[dict]:
    """Yield the row of each frame that votes together with the others."""
    for item, size, (votes, camera) in zip(items, sizes, segment(pictures, motion), strict=True):
        votes = cv2.resize(votes, size[::-1], interpolation=cv2.INTER_LINEAR)
        mask, blobs = clean(votes, motion.foreground, motion.blobs)
        area = np.count_nonzero(mask >= motion.foreground) / mask.size
        yield {
            "item": item,
            "height": size[0],
            "width": size[1],
            "mask": encode_mask(mask),
            "camera": camera,
            "area": area,
            "blobs": blobs,
            "filtered": motion.min_area < area <= motion.max_area,
        }


def _reject(items, reason: str, detail: str, rejected: Quarantine) -> None:
    for item in items:
        rejected.add(item, reason, f"{item}: {detail}")


main = stage_command(segment_motion)


if __name__ == "__main__":
    cli.run(main)
