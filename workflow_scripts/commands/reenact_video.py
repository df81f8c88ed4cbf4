"""Drive a learned face with a video, in one command: `--checkpoint … --driver clip.mp4 --output out.mp4`.

The stages of the workflow one after the other, in a temporary folder: every frame is indexed, its face found, cut out,
drawn with the target's proportions, and painted. What is written is marked as generated; a frame that shows no face
holds the last output, so that the video stays in time with its driver.

Only drive the face of somebody who agreed to it (README, "Consent and law").
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from workflow_scripts.commands._drivers import unpack_driver
from workflow_scripts.commands._inputs import TABLE_SUFFIX
from workflow_scripts.config.sources import NEEDS, Crop, FaceSearch, VideoSource
from workflow_scripts.core import cli
from workflow_scripts.core.names import readable
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, read_tables
from workflow_scripts.reporting.films import write_mp4
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.reenactment.draw_landmarks import draw_landmarks
from workflow_scripts.stages.reenactment.drive_faces import drive_faces
from workflow_scripts.stages.reenactment.write_videos import Panels, find_clips, last_length, make_strips
from workflow_scripts.stages.sources.fetch_weights import fetch_weights
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._reenactment.config import Drawing, Video
from workflow_scripts.systems.reenact.config import Experiment

TARGET = ("face_shape.parquet", "face_limits.parquet")  # tables of the face that is driven
STAGES = ("index_source", *NEEDS["crops"], Experiment.item_stage)  # that can lose a frame


def reenact_video(
    checkpoint: Path, driver: Path, output: Path, shape: Path | None, drawing: Drawing, video: Video, gpus: int = 0
) -> Counter:
    """Write the video of a face driven by another.

    Args:
        checkpoint: the network `render`; its sidecar `.json` lies beside it.
        driver: a video file, or a driver's table (`faces/drivers.py`).
        output: the `.mp4` to write.
        shape: the target's `face_shape` table, its `face_limits` beside it; None: those beside the checkpoint or in
            the folder above.
        drawing: how landmarks are drawn, as in the training.
        video: what is written.
        gpus: GPUs that may be used.

    Returns:
        reason -> number of the driver's frames that have no output.

    Raises:
        UserError: a file is absent or cannot be used, or no frame shows a face.
    """
    size = _check_files(checkpoint, driver, output)
    shape, limits = _find_target(checkpoint, shape) if drawing.normalize != "none" else (None, None)
    source = VideoSource(
        type="video", path=str(driver), every=1, crop=Crop(size=size, frame="head"), faces=FaceSearch()
    )
    with tempfile.TemporaryDirectory(prefix="reenact_video.") as folder:
        home = Path(folder)
        names = ("landmarks.safetensors", "index.parquet", "landmarks.parquet", "crops.arrow")
        model, index, landmarks, crops = (home / name for name in names)
        drawings, driven = home / "drawings.arrow", home / "driven.arrow"
        lost = {stage: home / f"{stage}.parquet" for stage in STAGES}
        is_table = driver.suffix == TABLE_SUFFIX
        if is_table:
            unpack_driver(driver, size, index, crops)
        else:
            index_source(source, 0, 0, 1, index, lost["index_source"])
            fetch_weights("landmarks", None, model)
            find_landmarks(source, index, model, landmarks, lost["find_landmarks"])
            crop_faces(source, index, landmarks, crops, lost["crop_faces"])
        draw_landmarks(drawing, index, crops, shape, limits, drawings, lost["draw_landmarks"])
        rejected = read_tables(path for path in lost.values() if path.is_file())
        if not len(Shard(drawings)):
            raise cli.UserError(f"{driver}: no frame can drive a face: {_most_frequent(rejected)}")
        drive_faces(Experiment(system="reenact"), "driver", 0, checkpoint, drawings, driven, 1, gpus)
        (clip,) = find_clips(read_table(index))
        with PictureReader(source) as reader:
            strips = make_strips(clip, Panels([drawings], [driven]), reader, video)
            write_mp4(output, strips, last_length(clip, reader), sound=None if is_table else driver)
    return Counter(rejected["reason"])


def _check_files(checkpoint: Path, driver: Path, output: Path) -> int:
    """Return the side of the pictures that the checkpoint was trained on."""
    if not driver.is_file():
        raise cli.UserError(f"--driver {driver}: no such file; write the path of one video")
    if output.suffix != ".mp4":
        raise cli.UserError(f"--output {output}: only MP4 is written; write `--output {output.with_suffix('.mp4')}`")
    if output.exists() and output.samefile(driver):
        raise cli.UserError(f"--output {output}: is the driver itself; write another name")
    sidecar = checkpoint.with_suffix(".json")
    for path in (checkpoint, sidecar):
        if not path.is_file():
            raise cli.UserError(
                f"--checkpoint {checkpoint}: no file {path}; a checkpoint is `render.safetensors` and `render.json`, "
                "as in results/{experiment}/checkpoints/"
            )
    try:
        description = json.loads(sidecar.read_text(encoding="utf-8"))
        if description["system"] != "reenact":
            raise cli.UserError(f"--checkpoint {checkpoint}: is of system {description['system']}, not of reenact")
        return int(description["shapes"]["input"][0])
    except (ValueError, KeyError, TypeError) as error:
        raise cli.UserError(f"{sidecar}: is damaged ({error}); copy it again or train again") from error


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


def _most_frequent(rejected) -> str:
    counts = Counter(rejected["reason"])
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"{reasons}; for example {rejected['detail'].iloc[0]}"


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="`render.safetensors`, its .json beside it")
    parser.add_argument("--driver", type=Path, required=True, help="a video file, or a driver's table")
    parser.add_argument("--output", type=Path, required=True, help="the .mp4 to write")
    parser.add_argument("--shape", type=Path, help=f"the target's {TARGET[0]}; default: beside the checkpoint or above")
    parser.add_argument("--normalize", default="shape", help="none, similarity or shape, as `drawing.normalize`")
    parser.add_argument("--turn-beyond", help="degrees or null, as `drawing.turn_beyond`", default="5")
    parser.add_argument("--no-gaze", action="store_true", help="the network was trained with `drawing: {gaze: false}`")
    parser.add_argument("--lost-frames", default="hold", help="hold or blank, as `video.lost_frames`")
    parser.add_argument("--width", type=int, default=256, help="pixels of each of the three pictures")
    parser.add_argument("--visible-mark", action="store_true", help="a label in every frame; metadata always tell")
    parser.add_argument("--gpus", type=int, default=0)
    args = parser.parse_args(argv)
    try:
        turn_beyond = None if args.turn_beyond == "null" else args.turn_beyond
        drawing = Drawing(gaze=not args.no_gaze, normalize=args.normalize, turn_beyond=turn_beyond)
        video = Video(lost_frames=args.lost_frames, width=args.width, visible_mark=args.visible_mark)
    except ValidationError as error:
        fault = error.errors()[0]
        option = str(fault["loc"][0]).replace("_", "-")
        raise cli.UserError(f"--{option} {fault['input']}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from None
    lost = reenact_video(args.checkpoint, args.driver, args.output, args.shape, drawing, video, args.gpus)
    for reason, count in lost.most_common():
        print(f"{count} without an output: {reason}", file=sys.stderr)
    print(readable(str(args.output)))


if __name__ == "__main__":
    cli.run(main)
