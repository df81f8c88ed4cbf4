"""Stage: write a driven face as videos: the driver's frame, its drawing and the output, side by side.

| file of `videos/{source}/` | what |
|---|---|
| `{clip}.mp4` | all frames, each at the driver's own time |
| `{clip}_page.mp4` | the beginning, small; only where the whole video is too large for the report |
| `{clip}.gif` | the beginning, small |
| `{clip}.png` | frames at equal distances, their times above them |

Of an applied source, every clip is shown as a whole; of the target's own source, the held-out blocks. `{clip}` is the
clip's path as a file name (`core/names.py`). A frame without an output (no face, or an
incomplete drawing) is in the video all the same, so that time never shifts. The driver's frame is then shown whole, the
drawing is black, and in place of the output stands the last one, or black (`video: {lost_frames: blank}`).
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli, marking
from workflow_scripts.core.files import atomic_folder, write_digests
from workflow_scripts.core.names import file_names
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, read_tables
from workflow_scripts.provenance.stage import Input, Inputs, Output, OutputFolder, stage_command
from workflow_scripts.reporting import films
from workflow_scripts.reporting.style import FAINT, PAPER, text_font
from workflow_scripts.sources._pictures import BadPicture
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.systems._reenactment.config import Video

SMALL = 128  # pixels of a picture in what is small
GIF_SECONDS, GIF_PACE = 6.0, 10.0  # seconds, frames a second
LABEL = "AI-generated"
PAGE_BYTES, PAGE_SECONDS = 1_500_000, 20.0  # largest video of the report; of a larger one it has a small beginning
SHEET_FRAMES, SHEET_SIDE, GAP, HEADER = 8, 126, 6, 20  # frames, then pixels


class Clip(NamedTuple):
    """One video to write.

    Attributes:
        name: of its files, without ending.
        rows: of the index, in the order of time: `item`, `file`, `frame`, `time`.
    """

    name: str
    rows: pd.DataFrame


def write_videos(
    name: str,
    source: BaseSource,
    video: Video,
    splits: Input,
    index: Inputs,
    drawings: Inputs,
    driven: Inputs,
    output: OutputFolder,
    digests: Output,
) -> None:
    """Write the folder of videos of one source, in place of an earlier one, and the digests of the files in it.

    Args:
        name: of the source.
        source: where its clips are.
        video: size of the pictures, what stands for a lost frame, whether the mark is visible too.
        splits: the experiment's `splits` table: tells whether the source is applied.
        index: `index/{shard}.parquet`, all shards of the source.
        drawings: `drawings/{source}/{shard}.arrow` likewise.
        driven: `driven/{source}/{shard}.arrow` likewise.
        output: the folder.
        digests: JSON, file name -> SHA-256.
    """
    cv2.setNumThreads(1)
    places = read_table(splits, ["source", "split"])
    applied = (places.loc[places["source"] == name, "split"] == "apply").any()
    rows = read_tables(index, ["item", "file", "frame", "time", "split"])
    clips = find_clips(rows if applied else rows[rows["split"] == "test"])
    pictures = Panels(drawings, driven)
    with atomic_folder(output) as folder, PictureReader(source) as reader:
        for clip in clips:
            write_clip(clip, pictures, reader, video, folder)
    write_digests(output, digests)


def find_clips(rows: pd.DataFrame) -> list[Clip]:
    """Return the clips of some rows of an index, by name."""
    clips = dict(iter(rows.dropna(subset=["frame"]).groupby("file")))
    names = file_names({file: file.rpartition(".")[0] or file for file in clips}, endings=("", films.PAGE))
    return [Clip(names[file], of_clip.sort_values("frame")) for file, of_clip in clips.items()]


class Panels:
    """The pictures of a source's items, wherever their shard is."""

    def __init__(self, drawings: Sequence[Path], driven: Sequence[Path]):
        opened = [(Shard(drawn), Shard(painted)) for drawn, painted in zip(drawings, driven, strict=True)]
        self._places = {item: (*both, row) for both in opened for row, item in enumerate(both[1].items)}

    def get(self, item: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return crop, drawing and output, uint8 (S, S, 3) each; None for an item without an output."""
        if item not in self._places:
            return None
        drawn, painted, row = self._places[item]
        return drawn.tensor("target", row), drawn.tensor("input", row), painted.tensor("output", row)


def write_clip(clip: Clip, panels: Panels, reader: PictureReader, video: Video, folder: Path) -> None:
    """Write the files of one clip; it is read and encoded frame by frame."""
    start, count = clip.rows["time"].iloc[0], len(clip.rows)
    last = last_length(clip, reader)
    shown = set(np.linspace(0, count - 1, min(SHEET_FRAMES, count)).round().astype(int).tolist())
    moving, still = [], []

    def frames() -> Iterator[tuple[float, np.ndarray]]:
        due = start
        for number, (time, strip) in enumerate(make_strips(clip, panels, reader, video)):
            if due <= time + 1e-6 and time < start + GIF_SECONDS:
                moving.append((time, _shrink(strip)))
                due += 1 / GIF_PACE
            if number in shown:
                still.append((time, strip))
            yield time, strip

    whole = folder / f"{clip.name}.mp4"
    films.write_mp4(whole, frames(), last)
    if whole.stat().st_size > PAGE_BYTES:
        strips = make_strips(clip, panels, reader, video)
        short = ((time, _shrink(strip)) for time, strip in strips if time < start + PAGE_SECONDS)
        films.write_mp4(folder / f"{clip.name}{films.PAGE}.mp4", short, last)
    films.write_gif(folder / f"{clip.name}.gif", moving, max(last, 1 / GIF_PACE))
    _write_sheet(still, folder / f"{clip.name}.png")


def last_length(clip: Clip, reader: PictureReader) -> float:
    """Return how many seconds the last frame is shown: as long as the one before, or longer where its file says so."""
    times = clip.rows["time"].to_list()
    usual = times[-1] - times[-2] if len(times) > 1 else films.FRAME
    row = clip.rows.iloc[-1]
    try:
        return max(usual, reader.length(row["file"], row["frame"]))
    except BadPicture:  # the file has changed since
        return usual


def make_strips(clip: Clip, panels: Panels, reader: PictureReader, video: Video) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the time and the frame of the video, uint8 (W, 3 W, 3), of each row, W being `video.width`."""
    black = np.zeros((video.width, video.width, 3), np.uint8)
    held = black
    for row in tqdm(clip.rows.itertuples(), clip.name, len(clip.rows), unit="frame", mininterval=2):
        found = panels.get(row.item)
        if found is None:
            strip = [_read_whole(reader, row, video.width), black, held if video.lost_frames == "hold" else black]
        else:
            strip = [_resize(picture, video.width) for picture in found]
            held = strip[2] = draw_label(strip[2]) if video.visible_mark else strip[2]
        yield row.time, np.hstack(strip)


def draw_label(picture: np.ndarray) -> np.ndarray:
    """Return a picture, RGB uint8 (H, W, 3), with `LABEL` in its lower left corner."""
    image = Image.fromarray(picture)
    size = max(9, picture.shape[0] // 18)
    font, draw = text_font("DejaVuSans-Bold", size), ImageDraw.Draw(image, "RGBA")
    place = (size // 2, picture.shape[0] - size // 2)
    left, top, right, bottom = draw.textbbox(place, LABEL, font, anchor="lb")
    draw.rectangle((left - size // 3, top - size // 3, right + size // 3, bottom + size // 3), (0, 0, 0, 150))
    draw.text(place, LABEL, (255, 255, 255), font, anchor="lb")
    return np.asarray(image)


def _read_whole(reader: PictureReader, row, side: int) -> np.ndarray:
    """Return the driver's whole frame inside a black square; black where it cannot be read."""
    square = np.zeros((side, side, 3), np.uint8)
    try:
        frame = reader.read(row.file, row.frame)
    except BadPicture:
        return square
    scale = side / max(frame.shape[:2])
    width, height = (max(1, round(length * scale)) for length in frame.shape[1::-1])
    left, top = (side - width) // 2, (side - height) // 2
    square[top : top + height, left : left + width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return square


def _resize(picture: np.ndarray, side: int) -> np.ndarray:
    shrinks = side < picture.shape[0]
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _shrink(strip: np.ndarray) -> np.ndarray:
    side = min(SMALL, strip.shape[0])
    return cv2.resize(strip, (3 * side, side), interpolation=cv2.INTER_AREA)


def _write_sheet(strips: Sequence[tuple[float, np.ndarray]], path: Path) -> None:
    """Write a column for each strip: driver, drawing and output below each other, the time above."""
    canvas = Image.new("RGB", (len(strips) * (SHEET_SIDE + GAP) - GAP, HEADER + 3 * (SHEET_SIDE + GAP) - GAP), PAPER)
    draw, font = ImageDraw.Draw(canvas), text_font("DejaVuSans", 12)
    for column, (time, strip) in enumerate(strips):
        left = column * (SHEET_SIDE + GAP)
        draw.text((left, 2), f"{time:.2f} s", FAINT, font)
        for line, picture in enumerate(np.split(strip, 3, axis=1)):
            top = HEADER + line * (SHEET_SIDE + GAP)
            canvas.paste(Image.fromarray(_resize(picture, SHEET_SIDE)), (left, top))
    marking.save_png(canvas, path)


main = stage_command(write_videos)


if __name__ == "__main__":
    cli.run(main)
