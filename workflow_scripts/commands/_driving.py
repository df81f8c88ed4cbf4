"""A learned face driven by a video of the user, or by a driver's table: the stages of the workflow, one after another.

In a temporary folder every frame is indexed, its face found, cut out, drawn with the target's proportions, and painted.
What is written is marked as generated; a frame that shows no face holds the last output, so that the video stays in
time with its driver.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.commands._clips import searched_clip
from workflow_scripts.commands._drivers import unpack_driver
from workflow_scripts.commands._inputs import TABLE_SUFFIX
from workflow_scripts.config.sources import Crop, FaceSearch, VideoSource
from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, read_tables
from workflow_scripts.reporting.films import write_mp4
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.reenactment.draw_landmarks import draw_landmarks
from workflow_scripts.stages.reenactment.drive_faces import drive_faces
from workflow_scripts.stages.reenactment.write_videos import Panels, find_clips, last_length, make_strips
from workflow_scripts.systems._reenactment.config import Drawing, Video
from workflow_scripts.systems.reenact.config import Experiment

TARGET = ("face_shape.parquet", "face_limits.parquet")  # tables of the face that is driven


class Driver(NamedTuple):
    """A driver whose faces are found and cut out.

    Attributes:
        source: by which its frames are read.
        folder: temporary, with the tables.
        index: table of the frames.
        crops: shard of the frames that show a face.
        lost: tables of the frames that cannot be used.
        remarks: what is to be said of the whole driver, a line each.
    """

    source: VideoSource
    folder: Path
    index: Path
    crops: Path
    lost: list[Path]
    remarks: list[str]


def drive_face(
    checkpoint: Path,
    size: int,
    driver: Path,
    output: Path,
    shape: Path | None,
    drawing: Drawing,
    video: Video,
    gpus: int,
) -> list[str]:
    """Write the video of a face driven by another.

    Args:
        checkpoint: the network that paints; its sidecar `.json` lies beside it.
        size: pixels, side of the pictures that it was trained on.
        driver: a video file, or a driver's table (`faces/drivers.py`).
        output: the `.mp4` to write.
        shape: the target's `face_shape` table, its `face_limits` beside it; None: those beside the checkpoint or in
            the folder above.
        drawing: how landmarks are drawn, as in the training.
        video: what is written.
        gpus: GPUs that may be used.

    Returns:
        What is to be said of it, a line each: what the driver lacks, how many frames have no output, and why.

    Raises:
        BadItem: the driver is no video, or its first frame cannot be used.
        UserError: a file is absent or cannot be used, or no frame shows a face.
    """
    shape, limits = _find_target(checkpoint, shape) if drawing.normalize != "none" else (None, None)
    is_table = driver.suffix == TABLE_SUFFIX
    with (_read_table if is_table else _search_video)(driver, size) as found:
        drawings, driven, incomplete = (
            found.folder / name for name in ("drawings.arrow", "driven.arrow", "incomplete")
        )
        draw_landmarks(drawing, found.index, found.crops, shape, limits, drawings, incomplete)
        rejected = read_tables([*found.lost, incomplete])
        reasons = Counter(rejected["reason"]).most_common()
        if not len(Shard(drawings)):
            counts = ", ".join(f"{count} {reason}" for reason, count in reasons)
            raise cli.UserError(f"{driver}: no frame can drive a face: {counts}; give one that shows a face clearly")
        drive_faces(Experiment(system="reenact"), "driver", 0, checkpoint, drawings, driven, 1, gpus)
        (clip,) = find_clips(read_table(found.index))
        with PictureReader(found.source) as reader:
            strips = make_strips(clip, Panels([drawings], [driven]), reader, video)
            write_mp4(output, strips, last_length(clip, reader), sound=None if is_table else driver)
        return found.remarks + [f"{count} frames without an output: {reason}" for reason, count in reasons]


@contextmanager
def _search_video(path: Path, size: int) -> Iterator[Driver]:
    with searched_clip(path, Crop(size=size, frame="head"), FaceSearch()) as clip:
        crops, lost = clip.folder / "crops.arrow", clip.folder / "uncut.parquet"
        crop_faces(clip.source, clip.index, clip.landmarks, crops, lost)
        yield Driver(clip.source, clip.folder, clip.index, crops, [clip.faceless, lost], clip.remarks)


@contextmanager
def _read_table(path: Path, size: int) -> Iterator[Driver]:
    with tempfile.TemporaryDirectory(prefix="driver.") as folder:
        index, crops = Path(folder) / "index.parquet", Path(folder) / "crops.arrow"
        unpack_driver(path, size, index, crops)
        yield Driver(VideoSource(type="video", path=str(path), every=1), Path(folder), index, crops, [], [])


def _find_target(checkpoint: Path, shape: Path | None) -> tuple[Path, Path]:
    named, beside = TARGET
    places = [shape] if shape else [folder / named for folder in (checkpoint.parent, checkpoint.parent.parent)]
    for place in places:
        tables = (place, place.with_name(beside))
        if all(table.is_file() for table in tables):
            return tables
    raise cli.UserError(
        f"no {places[0]} with {beside} beside it: the target's face, which the workflow writes to "
        "results/{experiment}/; put both beside the checkpoint, or write `--normalize none` to keep the driver's "
        "proportions"
    )
