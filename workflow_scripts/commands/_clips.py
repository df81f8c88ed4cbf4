"""Videos of the user: their faces found and followed by the stages of the workflow, edited, and written with sound."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from workflow_scripts.commands._editing import MAX_PIXELS, MIN_FACE, Choice, Editor, cut_face, is_like
from workflow_scripts.commands._patches import lay_over
from workflow_scripts.config.sources import Crop, FaceSearch, VideoSource
from workflow_scripts.core import guard
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces.everyone import FoundFace
from workflow_scripts.faces.face import square_face
from workflow_scripts.faces.head_squares import calm_squares
from workflow_scripts.faces.smoothing import gaussian_mean
from workflow_scripts.reporting.films import write_mp4
from workflow_scripts.sources._decoding import VideoReader
from workflow_scripts.sources._listing import VIDEO_SUFFIXES
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.reenactment.write_videos import find_clips, last_length
from workflow_scripts.stages.sources.fetch_weights import fetch_weights
from workflow_scripts.stages.sources.index_source import index_source

DEVIATION = 0.05  # seconds; landmarks are averaged over time, so that what is painted does not tremble on the face
MAX_PAUSE = 0.5  # seconds; a face that a detector misses for so long is where it was between
TOGETHER = 8  # frames whose faces are edited in one batch


class Clip(NamedTuple):
    """A video whose faces are found.

    Attributes:
        source: by which its frames are read.
        folder: temporary, with the tables.
        index: table of the frames.
        landmarks: table of the faces.
        faceless: table of the frames without one.
        remarks: what is to be said of the whole video, a line each, as that its end is lost.
    """

    source: VideoSource
    folder: Path
    index: Path
    landmarks: Path
    faceless: Path
    remarks: list[str]


@contextmanager
def searched_clip(path: Path, crop: Crop, faces: FaceSearch) -> Iterator[Clip]:
    """Index all frames of a video and find their faces, in a temporary folder.

    Raises:
        BadItem: the file is no video, or its first frame cannot be used.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise BadItem("not a video by its name", "name a video, or rename it if it is one")
    with guard.reading(str(path), MAX_PIXELS):
        VideoReader(path, MAX_PIXELS).read(0)
    source = VideoSource(type="video", path=str(path), every=1, crop=crop, faces=faces, max_pixels=MAX_PIXELS)
    with tempfile.TemporaryDirectory(prefix="clip.") as folder:
        home = Path(folder)
        model, index, landmarks = (home / name for name in ("landmarks.safetensors", "index.parquet", "faces.parquet"))
        incomplete, faceless = home / "incomplete.parquet", home / "faceless.parquet"
        index_source(source, 0, 0, 1, index, incomplete)
        fetch_weights("landmarks", None, model)
        find_landmarks(source, index, model, landmarks, faceless)
        remarks = [detail.removeprefix(f"{path.name}: ") for detail in read_table(incomplete)["detail"]]
        yield Clip(source, home, index, landmarks, faceless, remarks)


def edit_clip(path: Path, editor: Editor, choice: Choice, output: Path) -> list[str]:
    """Write a video, MP4, whose faces are edited; every frame is shown at its own time, and the sound is kept.

    Args:
        path: the video.
        editor: what edits.
        choice: which faces; `number` is that of a track, see `faces/tracks.py`.
        output: the file.

    Returns:
        What is to be said of it, a line each.

    Raises:
        BadItem: the video cannot be used, or shows no face that is chosen.
    """
    search = FaceSearch(min_size=choice.min_size or MIN_FACE)
    try:
        with searched_clip(path, editor.crop, search) as clip, PictureReader(clip.source) as reader:
            frames = read_table(clip.index).sort_values("frame")
            faces = _faces_by_item(clip, frames, choice, reader)
            if not faces:
                detail = f"none of its {len(frames)} frames shows a face that is chosen; try a smaller --min-face"
                raise BadItem("no face", detail)
            last = last_length(find_clips(frames)[0], reader)
            write_mp4(output, _edited_frames(frames, faces, editor, reader), last, sound=path)
            without = len(frames) - len(faces)
            said = [f"{without} of {len(frames)} frames show no face that is chosen"] if without else []
            return clip.remarks + said
    except UserError as error:
        raise BadItem("cannot be used", str(error)) from error


class _Followed(NamedTuple):
    """A face of a frame, and the name of its shot and track."""

    name: str
    found: FoundFace


def _faces_by_item(
    clip: Clip, frames: pd.DataFrame, choice: Choice, reader: PictureReader
) -> dict[str, list[_Followed]]:
    """Return item -> its chosen faces, the largest first, with landmarks averaged over time along each track."""
    faces = read_table(clip.landmarks).merge(frames[["item", "frame", "time", "shot"]], on="item")
    faces["track"] = faces["track"].fillna(0).astype(int)  # where the whole frame is taken for a face
    if choice.number is not None:
        faces = faces[faces["track"] == choice.number]
    by_item: dict[str, list[_Followed]] = {}
    for (shot, track), members in faces.groupby(["shot", "track"]):
        if choice.like is not None and not _shows(members, choice.like, frames, reader):
            continue
        known = members.sort_values("frame")
        for item, found in _tracked(known, frames[frames["shot"] == shot]):
            by_item.setdefault(item, []).append(_Followed(f"{shot}/{track}", found))
    return {item: sorted(found, key=lambda one: -one.found.face.width) for item, found in by_item.items()}


def _shows(members: pd.DataFrame, like: np.ndarray, frames: pd.DataFrame, reader: PictureReader) -> bool:
    """Tell whether a track shows a person, by its largest face."""
    row = members.loc[[(members["right"] - members["left"]).idxmax()]]
    frame = frames.set_index("item").loc[row["item"].iloc[0]]
    return is_like(reader.read(frame["file"], frame["frame"]), landmark_points(row)[0], like)


def _tracked(known: pd.DataFrame, shot: pd.DataFrame) -> Iterator[tuple[str, FoundFace]]:
    """Yield item and face of each frame of a track, those between that a detector missed included.

    Args:
        known: rows of the table of landmarks, by time.
        shot: rows of the index of the track's shot.
    """
    times, seen = shot["time"].to_numpy(), known["time"].to_numpy()
    after = np.searchsorted(seen, times - 1e-6)
    before = np.searchsorted(seen, times + 1e-6) - 1
    inside = (before >= 0) & (after < len(seen))
    pause = np.where(inside, seen[after.clip(max=len(seen) - 1)] - seen[before.clip(min=0)], np.inf)
    shot, times = shot[pause <= MAX_PAUSE], times[pause <= MAX_PAUSE]
    boxes = known[["left", "top", "right", "bottom"]].to_numpy(np.float64)
    squares = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, boxes[:, 2] - boxes[:, 0]], 1)
    values = np.concatenate([landmark_points(known).reshape(len(known), -1), squares], axis=1)
    values = np.stack([np.interp(times, seen, column) for column in values.T], axis=1)
    points = gaussian_mean(values[:, :-3], times, DEVIATION).reshape(-1, 68, 2)
    squares = calm_squares(values[:, -3:], times)
    for item, own, (x, y, side) in zip(shot["item"], points, squares, strict=True):
        yield item, FoundFace(square_face(x, y, side, None, "followed"), own)


def _edited_frames(
    frames: pd.DataFrame, faces: dict[str, list[_Followed]], editor: Editor, reader: PictureReader
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the time and the pixels of each frame, with an even width and height."""
    rows = list(frames.itertuples())
    with tqdm(None, "edit", len(rows), unit="frame", mininterval=2) as progress:
        for start in range(0, len(rows), TOGETHER):
            block = [(row, reader.read(row.file, row.frame)) for row in rows[start : start + TOGETHER]]
            cut = [
                cut_face(f"{row.file}/{one.name}", pixels, one.found, editor.crop)
                for row, pixels in block
                for one in faces.get(row.item, ())
            ]
            for face, versions in zip(cut, editor.edit(cut, only_first=True) if cut else [], strict=True):
                for edit in versions[:1]:
                    lay_over(face.picture, face, edit)
            for row, pixels in block:
                yield row.time, _even(pixels)
            progress.update(len(block))


def _even(pixels: np.ndarray) -> np.ndarray:
    """Return a frame with its last column and row repeated where their number is odd, which H.264 does not have."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
