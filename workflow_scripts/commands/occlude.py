"""Put masks or moustaches on the people in your own pictures: `INPUT… --kind surgical --output DIR`.

Every face of a picture, of any size, gets one, drawn in the picture's own resolution; the rest of the picture stays as
it is, to the bit in a PNG. Beside each picture `{name}_map.png` shows where it was drawn on (white). Which kind, colour
and shape a face gets depends on `--seed` and the picture's name alone. No network has a part in it, and what is written
says that it was drawn on.

Ends with 0 when something was put on in every picture, else with 1; a picture without is not written.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import cv2
import numpy as np
from PIL import Image

from workflow_scripts.commands._controls import COLOR
from workflow_scripts.commands._editing import Choice, load_finder, read_picture
from workflow_scripts.commands._inputs import Done, Given, at_least, check_output, list_inputs, work_through
from workflow_scripts.config.sources import Crop
from workflow_scripts.core import cli, marking
from workflow_scripts.core.files import atomic_path
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.faces.alignment import transform_points
from workflow_scripts.faces.everyone import FoundFace
from workflow_scripts.occluders._apply import Style, apply_occluder, fit_reason, load_kind
from workflow_scripts.occluders._config import OWN_PICTURES, Fit, occluder_kinds
from workflow_scripts.occluders._pictures import list_pictures, read_pictures

DRAWS = 3  # a face is given up after so many occluders that do not sit right
JUDGED = Crop(size=256, frame="celeba")  # the crop in which it is judged whether an occluder sits right
AROUND = 1.5  # of a face's width; what of the picture around its middle an occluder can reach, to each side
SUFFIXES = {"png": ".png", "jpeg": ".jpg"}


class Wish(NamedTuple):
    """What is put on.

    Attributes:
        kinds: of which one is drawn for each face, all alike often.
        colors: RGB in 0..1, float32 (3,), likewise; none: the kind's own.
        style: `plain` or `varied`, as in `apply_occluder`.
        pictures: kind -> the user's own pictures.
        seed: of the random numbers.
    """

    kinds: Sequence[str]
    colors: Sequence[np.ndarray]
    style: Style
    pictures: dict[str, list]
    seed: int


def occlude_picture(
    name: str, picture: np.ndarray, faces: Sequence[FoundFace], wish: Wish
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Put an occluder on each face.

    Args:
        name: of the picture, from which random numbers are drawn.
        picture: RGB uint8 (H, W, 3).
        faces: those that get one.
        wish: what they get.

    Returns:
        The picture, RGB uint8 (H, W, 3); the occluders' alpha, uint8 (H, W); and a line for each face without one.
    """
    result, coverage, said = picture.copy(), np.zeros(picture.shape[:2], np.uint8), []
    for number, face in enumerate(faces):
        rng = item_rng(wish.seed, f"{name}/{number}", "occlude")
        kind = wish.kinds[rng.integers(len(wish.kinds))]
        color = wish.colors[rng.integers(len(wish.colors))] if wish.colors else None
        window = _window(face, picture.shape)
        origin = (window[1].start, window[0].start)
        points = face.points - origin
        for _ in range(DRAWS):
            drawn = apply_occluder(result[window], points, kind, wish.style, rng, wish.pictures.get(kind, ()), color)
            misfit = _misfit(drawn.coverage, points, FoundFace(face.face, points), kind)
            if misfit is None:
                result[window], coverage[window] = drawn.image, np.maximum(coverage[window], drawn.coverage)
                break
        else:
            x, y = face.face.center
            said.append(f"nothing was put on the face at {x:.0f}, {y:.0f}: {misfit}")
    return result, coverage, said


def _window(face: FoundFace, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns around a face that an occluder can change."""
    reach = AROUND * max(face.face.width, *np.ptp(face.points, axis=0))
    middle = face.points.mean(axis=0)
    left, top = np.floor(middle - reach).astype(int).clip(0)
    right, bottom = np.ceil(middle + reach).astype(int)
    return slice(int(top), min(int(bottom), shape[0])), slice(int(left), min(int(right), shape[1]))


def _misfit(coverage: np.ndarray, points: np.ndarray, face: FoundFace, kind: str) -> str | None:
    """Return why an occluder does not sit right, as it would be seen in a crop of the face."""
    matrix = face.matrix(coverage.shape[::-1], JUDGED)
    seen = cv2.warpAffine(coverage, matrix, (JUDGED.size, JUDGED.size))
    reason = fit_reason(seen, transform_points(matrix, points), Fit(), load_kind(kind).COVERS)
    return None if reason is None else reason[0]


class _Occluder:
    def __init__(self, wish: Wish, choice: Choice, args: argparse.Namespace, inputs: Sequence[Given]):
        self._wish, self._choice, self._args, self._inputs = wish, choice, args, inputs
        self._finder = load_finder()

    def occlude(self, given: Given) -> Done:
        """Write a picture with its occluders and its map."""
        if given.is_video:
            raise cli.BadItem("is a video", "write out its frames, or name pictures")
        original = read_picture(given.path)
        faces = self._choice.find(original.shown, self._finder)
        if not faces:
            raise cli.BadItem("no face", "no face that is chosen was found; try a smaller --min-face")
        result, coverage, said = occlude_picture(given.path.name, original.shown, faces, self._wish)
        if not coverage.any():
            raise cli.BadItem("nothing sits right", "; ".join(said))
        form = self._args.format
        path, beside = (
            self._args.output / given.name.with_name(given.name.name + end) for end in (SUFFIXES[form], "_map.png")
        )
        for target in (path, beside):
            check_output(target, self._inputs)
        with atomic_path(path) as temporary:
            image = Image.fromarray(original.edited(result))
            marking.save_edited(image, temporary, form, original.profile, original.exif, marking.DRAWN)
        with atomic_path(beside) as temporary:
            changed = (result != original.shown).any(axis=2)
            Image.fromarray(changed.astype(np.uint8) * 255).save(temporary, "PNG")
        return Done([path], {"map": beside}, original.remarks + said)


def _color(text: str) -> np.ndarray:
    if not COLOR.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no colour; write red, green and blue as #1f3a5f")
    return np.float32([int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def build_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts.commands.occlude", description=__doc__.splitlines()[0]
    )
    parser.add_argument("inputs", type=Path, nargs="+", help="pictures, folders of them")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write to")
    parser.add_argument(
        "--kind", nargs="+", choices=occluder_kinds(), default=["surgical"], help="each face gets one of these"
    )
    parser.add_argument("--color", nargs="+", type=_color, default=[], help="#rrggbb, one of these; default: varied")
    parser.add_argument("--style", choices=get_args(Style), default="varied", help="as `occluders.style`")
    parser.add_argument("--pictures", type=Path, help=f"folder of your own for the kinds {' and '.join(OWN_PICTURES)}")
    parser.add_argument("--face", type=at_least(0), help="only this face: 0 is the largest")
    parser.add_argument("--min-face", type=at_least(8), help="pixels, width of the smallest face; default: 24 or more")
    parser.add_argument("--format", choices=SUFFIXES, default="png", help="jpeg changes every pixel")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    return parser


def occlude(argv: list[str] | None = None) -> list[Done]:
    """Do what a command line says, and return what came of each input.

    Raises:
        UserError: it cannot be done.
    """
    args = build_parser().parse_intermixed_args(argv)
    cv2.setNumThreads(1)
    needs_pictures = bool({*args.kind} & {*OWN_PICTURES})
    if needs_pictures != (args.pictures is not None):
        raise cli.UserError(f"--pictures and the kinds {' and '.join(OWN_PICTURES)} belong together")
    pictures = read_pictures(list_pictures(args.pictures), args.kind) if needs_pictures else {}
    wish = Wish(args.kind, args.color, args.style, pictures, args.seed)
    inputs = list_inputs(args.inputs, args.output)
    choice = Choice(args.face, None, args.min_face)
    return work_through(inputs, _Occluder(wish, choice, args, inputs).occlude)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run."""
    outcomes = occlude(argv)
    if failed := sum(done.failed for done in outcomes):
        sys.exit(f"on {failed} of {len(outcomes)} inputs nothing was put on")


if __name__ == "__main__":
    cli.run(main)
