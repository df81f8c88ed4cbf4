"""A learned face is driven: by a video, or by a table of a driver's landmarks (`commands/export_driver.py`)."""

import argparse
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from workflow_scripts.commands._controls import Control, Page
from workflow_scripts.commands._driving import drive_face
from workflow_scripts.commands._inputs import wrong_option
from workflow_scripts.commands._trained import Trained
from workflow_scripts.core import cli
from workflow_scripts.systems._reenactment.config import Drawing, Video

NETWORK = "render"
PAGE = Page(
    "Drives the learned face by the face of a video, or by a driver's table.",
    (
        Control("--lost-frames", "Frames without a face", "one"),
        Control("--width", "Width of each picture, pixels", "slider", (64, 1024, 2)),
        Control("--normalize", "Proportions", "one"),
        Control("--visible-mark", "A visible label in every frame", "switch"),
    ),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how the driver's face becomes the target's, and how the video looks."""
    lost_frames = get_args(Video.model_fields["lost_frames"].annotation)
    normalize = get_args(Drawing.model_fields["normalize"].annotation)
    parser.add_argument("--shape", type=Path, help="the target's face_shape table; default: by the checkpoint or above")
    parser.add_argument("--normalize", choices=normalize, help="in place of `drawing.normalize` of the training")
    parser.add_argument(
        "--turn-beyond", help="degrees, or null for any, in place of `drawing.turn_beyond` of the training"
    )
    parser.add_argument("--lost-frames", choices=lost_frames, default="hold", help="as `video.lost_frames`")
    parser.add_argument("--width", type=int, default=256, help="pixels of each of the three pictures")
    parser.add_argument("--visible-mark", action="store_true", help="a label in every frame; metadata always tell")


def drive(trained: Trained, args: argparse.Namespace, driver: Path, output: Path) -> list[str]:
    """Write the video of the learned face, driven by a driver; see `drive_face`."""
    try:
        drawing = _changed(trained.experiment(NETWORK).drawing, normalize=args.normalize, turn_beyond=args.turn_beyond)
        video = Video(lost_frames=args.lost_frames, width=args.width, visible_mark=args.visible_mark)
    except ValidationError as error:
        raise wrong_option(error) from None
    path, size = trained.path(NETWORK), trained.size(NETWORK, "input")
    try:
        return drive_face(path, size, driver, output, args.shape, drawing, video, args.gpus)
    except cli.UserError as error:
        raise cli.BadItem("cannot drive the face", str(error).removeprefix(f"{driver}: ")) from error


def _changed(drawing: Drawing, **wanted: str | None) -> Drawing:
    """Return a drawing with the keys changed that are wanted; `null` stands for none."""
    changes = {key: None if text == "null" else text for key, text in wanted.items() if text is not None}
    return Drawing(**drawing.model_dump() | changes)
