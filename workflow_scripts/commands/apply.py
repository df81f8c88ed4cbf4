"""Apply trained networks to your own pictures and videos: `CHECKPOINTS INPUT… --output DIR`.

CHECKPOINTS is the folder `results/{experiment}/checkpoints`, or one checkpoint of it. An input is a picture, a video,
or a folder of them. Faces are found in pictures as they are, of any size and several people; each is edited and put
back into the whole picture at its own resolution. Of a PNG, whatever lies outside the edit keeps its values to the bit;
a JPEG is encoded anew, so every pixel changes by a few grey levels. EXIF data and colour profile stay; an embedded
thumbnail, which would show the picture as it was, goes. A video keeps its times and its sound. A picture in which
nothing is edited is copied, and named on stderr. What is written is marked as generated.

A system that drives faces takes videos, or tables of landmarks, as drivers.

Ends with 0 when all inputs were edited, else with 1: an input cannot be used, or has no face that could be edited.

Only edit the face of somebody who agreed to it (README, "Consent and law").
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import argparse
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from PIL import Image

from workflow_scripts.commands._clips import edit_clip
from workflow_scripts.commands._editing import (
    Choice,
    EditedPicture,
    Editor,
    describe_person,
    edit_picture,
    load_finder,
    read_picture,
)
from workflow_scripts.commands._inputs import Done, Given, at_least, check_output, list_inputs, work_through
from workflow_scripts.commands._trained import Trained, find_trained
from workflow_scripts.config.experiments import experiment_type
from workflow_scripts.core import cli, marking
from workflow_scripts.core.files import atomic_path
from workflow_scripts.faces.everyone import SEARCHED_SIDE, Finder
from workflow_scripts.reporting.contact_sheets import Tile, draw_contact_sheet
from workflow_scripts.training.device import choose_device

SUFFIXES = {"png": ".png", "jpeg": ".jpg"}
NOTHING_FOUND = "nothing to be edited was found on its faces; another --frame may be that of the training"
NO_FACE = (
    "no face that is chosen was found; try a smaller --min-face, a larger --search-side or, for a tight crop, --whole"
)
FRAMES = ("celeba", "face", "head", "whole")


class Pictures:
    """Edits pictures and videos, and writes them.

    Args:
        editor: what edits faces.
        choice: which faces.
        finder: the networks that find faces.
        args: `output`, `format`, `maps`.
        inputs: all of them, none of which may be overwritten.
    """

    def __init__(
        self, editor: Editor, choice: Choice, finder: Finder, args: argparse.Namespace, inputs: Sequence[Given]
    ):
        self._editor, self._choice, self._finder, self._args, self._inputs = editor, choice, finder, args, inputs

    def edit(self, given: Given) -> Done:
        """Edit one input.

        Raises:
            BadItem: it cannot be used, or nothing in it could be edited.
        """
        if not given.is_video:
            return self._edit_picture(given)
        path = self._path(given, "", ".mp4")
        return Done([path], remarks=edit_clip(given.path, self._editor, self._choice, path))

    def _edit_picture(self, given: Given) -> Done:
        original = read_picture(given.path)
        edited = edit_picture(given.path.name, original.shown, self._editor, self._choice, self._finder)
        if not edited.versions:
            path = self._path(given, "", given.path.suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(given.path, path)
            raise cli.BadItem("copied as it is", NOTHING_FOUND if edited.faces else NO_FACE)
        several = len(edited.versions) > 1
        written, beside = [], {}
        for number, version in enumerate(edited.versions, 1):
            path = self._path(given, f"_{number:02d}" if several else "", SUFFIXES[self._args.format])
            with atomic_path(path) as temporary:
                image = Image.fromarray(original.edited(version))
                marking.save_edited(image, temporary, self._args.format, original.profile, original.exif)
            written.append(path)
        if several:
            beside["sheet"] = self._path(given, "_sheet", ".png")
            self._write_sheet(beside["sheet"], edited)
        if self._args.maps:
            beside["map"] = self._path(given, "_map", ".png")
            with atomic_path(beside["map"]) as temporary:
                Image.fromarray(edited.changed.astype(np.uint8) * 255).save(temporary, "PNG")
        return Done(written, beside, original.remarks)

    @staticmethod
    def _write_sheet(path: Path, edited: EditedPicture) -> None:
        tiles = []
        for crop, versions in edited.crops:
            tiles += [Tile(crop, ["given"]), *(Tile(image, [str(number)]) for number, image in enumerate(versions, 1))]
        draw_contact_sheet(tiles, path)

    def _path(self, given: Given, end: str, suffix: str) -> Path:
        path = self._args.output / given.name.with_name(f"{given.name.name}{end}{suffix}")
        check_output(path, self._inputs)
        return path


def family_module(trained: Trained) -> ModuleType:
    """Return what says how the networks of a family are applied, see `families/`.

    Raises:
        UserError: they are not applied.
    """
    name = f"workflow_scripts.commands.families.{experiment_type(trained.system).family}"
    if find_spec(name) is None:
        raise cli.UserError(f"{trained.folder}: is of system {trained.system}, which edits no pictures or videos")
    return import_module(name)


def _start_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts.commands.apply",
        description=__doc__.splitlines()[0],
        epilog="A system adds options of its own: --help behind its checkpoints shows them.",
        add_help=False,
    )
    parser.add_argument("checkpoints", type=Path, help="results/{experiment}/checkpoints, or one checkpoint in it")
    parser.add_argument("inputs", type=Path, nargs="+", help="pictures, videos, folders of them")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--gpus", type=at_least(0), default=0, help="GPUs that may be used")
    return parser


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """Add what says which faces are edited, and how pictures are written."""
    parser.add_argument("--format", choices=SUFFIXES, default="png", help="of pictures; jpeg changes every pixel")
    parser.add_argument("--maps", action="store_true", help="also write {name}_map.png: where a picture was edited")
    parser.add_argument(
        "--face", type=at_least(0), help="edit only this face, by size: 0 is the largest; of a video, the track"
    )
    parser.add_argument("--like", type=Path, help="edit only the person that this picture shows")
    parser.add_argument("--min-face", type=at_least(8), help="pixels, width of the smallest face; default: 24 or more")
    parser.add_argument(
        "--search-side",
        type=at_least(640),
        default=SEARCHED_SIDE,
        help="pixels of the largest copy of a picture in which masked and turned faces are searched",
    )
    parser.add_argument("--frame", choices=FRAMES, help="how faces are cut out, in place of what the sidecar says")
    parser.add_argument("--whole", action="store_true", help="a picture without a face is a tight crop of one")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--threads", type=at_least(1), default=1, help="CPU threads")


def build_parser(trained: Trained) -> argparse.ArgumentParser:
    """Return what reads the command line; which options there are depends on the system of the checkpoints."""
    family, parser = family_module(trained), _start_parser()
    if not hasattr(family, "drive"):
        _add_choices(parser)
    family.add_options(parser.add_argument_group(f"options of {trained.system}"))
    parser.add_argument("--help", "-h", action="help", help="show this text")
    return parser


def apply(argv: list[str]) -> list[Done]:
    """Do what a command line says, in which the checkpoints come first, and return what came of each input.

    Raises:
        UserError: it cannot be done.
    """
    trained = find_trained(Path(argv[0]))
    family, args = family_module(trained), build_parser(trained).parse_intermixed_args(argv)
    cv2.setNumThreads(1)
    inputs = list_inputs(args.inputs, args.output)
    if hasattr(family, "drive"):
        return work_through(inputs, lambda given: _drive(given, family, trained, args, inputs))
    editor = family.build_editor(trained, args, choose_device("auto", args.gpus, args.threads))
    finder = load_finder()
    like = describe_person(args.like, finder) if args.like else None
    choice = Choice(args.face, like, args.min_face, args.whole, args.search_side)
    return work_through(inputs, Pictures(editor, choice, finder, args, inputs).edit)


def _drive(
    given: Given, family: ModuleType, trained: Trained, args: argparse.Namespace, inputs: Sequence[Given]
) -> Done:
    path = args.output / given.name.with_name(f"{given.name.name}.mp4")
    check_output(path, inputs)
    return Done([path], remarks=family.drive(trained, args, given.path, path))


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0].startswith("-"):
        parser = _start_parser()
        _add_choices(parser)
        parser.add_argument("--help", "-h", action="help", help="show this text")
        parser.parse_args(argv)
        raise cli.UserError("write the checkpoints first: results/unmask/checkpoints photo.jpg --output out")
    outcomes = apply(argv)
    if failed := sum(done.failed for done in outcomes):
        sys.exit(f"{failed} of {len(outcomes)} inputs were not edited")


if __name__ == "__main__":
    cli.run(main)
