"""The user's own pictures of occluders, which are read, checked and cut to their visible part.

A picture with a file of corner points beside it, `cloth.json` beside `cloth.png`, is a mask, any other a moustache.
The points are x and y in pixels of the picture; left and right are those of the picture, and `top` and `bottom`, on the
nose and below the chin, may be left out:

    {"left_top": [4, 30], "top": [100, 2], "right_top": [196, 30],
     "left_bottom": [30, 120], "bottom": [100, 150], "right_bottom": [170, 120]}
"""

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import open_regular
from workflow_scripts.provenance.runs import input_problem

TRANSPARENT_SUFFIXES = (".png", ".webp", ".tif", ".tiff")
SIDES = (32, 4096)  # pixels; the least width of the visible part, and the longest side of a picture
VISIBLE = 26  # of 255; pixels with less alpha count as transparent when a picture is cut
CORNERS = ("left_top", "right_top", "left_bottom", "right_bottom", "top", "bottom")  # the last two may be left out


class MaskPicture(NamedTuple):
    """The user's own picture of a mask.

    Attributes:
        image: uint8 (h, w, 4) RGBA, alpha not premultiplied.
        corners: float64 (6, 2), x and y of `CORNERS` in pixels of `image`.
    """

    image: np.ndarray
    corners: np.ndarray


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder and the files of their corner points, by name.

    Raises:
        UserError: there is no such folder, no such picture in it, or one with a name that Snakemake cannot take.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in TRANSPARENT_SUFFIXES)
    if not paths:
        raise UserError(
            f"{folder}: no picture with transparency ({', '.join(TRANSPARENT_SUFFIXES)}) here; "
            "put some or drop the kind"
        )
    # os.path: of a name that is too long with another ending, there is no file
    found = [*paths, *sorted({_beside(path) for path in paths if os.path.isfile(_beside(path))})]
    for path in found:
        if problem := input_problem(path):
            raise UserError(f"{path}: {problem}")
    return found


def read_pictures(paths: Iterable[Path], kinds: Collection[str]) -> dict[str, list]:
    """Return the pictures by the kind that draws them, each cut to its visible part.

    Those of `moustache_picture` are uint8 (h, w, 4) RGBA, alpha not premultiplied, those of `mask_picture` are
    `MaskPicture`.

    Args:
        paths: the files, as `list_pictures` gives them.
        kinds: the kinds of occluder that are drawn.

    Raises:
        UserError: a picture cannot be used; the message says which, why, and what to do.
    """
    paths = list(paths)
    found: dict[str, list] = {kind: [] for kind in ("moustache_picture", "mask_picture") if kind in kinds}
    for path in paths:
        if path.suffix == ".json":
            continue
        kind = "mask_picture" if _beside(path) in paths else "moustache_picture"
        if kind not in kinds:
            what = "has no corner points beside it" if kind == "moustache_picture" else "has corner points"
            remedy = f"write {_beside(path).name}" if kind == "moustache_picture" else f"remove {_beside(path).name}"
            raise UserError(f"{path}: {what}, so it is of the kind {kind}, which `mix` lacks; add the kind or {remedy}")
        found[kind].append(_read_mask(path) if kind == "mask_picture" else _cut(path, _read(path)))
    for kind, pictures in found.items():
        if not pictures and kind == "mask_picture":
            raise UserError(f"occluders.mix: no picture has corner points beside it, so none is a mask; drop {kind}")
        if not pictures:
            raise UserError(f"occluders.mix: all pictures have corner points, so none is a moustache; drop {kind}")
    return found


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if max(image.size) > SIDES[1]:
                raise UserError(f"{path}: {image.size[0]}x{image.size[1]} pixels; reduce it to {SIDES[1]} at most")
            if "A" not in image.getbands() and "transparency" not in image.info:
                raise UserError(f"{path}: has no transparency; save it as RGBA with a transparent background")
            return np.asarray(image.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"{path}: not a readable picture ({error}); save it again as PNG") from error


def _visible(path: Path, rgba: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns that hold all that is visible."""
    rows, columns = (np.flatnonzero((rgba[..., 3] >= VISIBLE).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise UserError(f"{path}: is transparent everywhere; save it with a visible occluder")
    if rgba[..., 3].min() >= VISIBLE:
        raise UserError(f"{path}: is opaque everywhere; make its background transparent")
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _cut(path: Path, rgba: np.ndarray) -> np.ndarray:
    """Return the visible part of a moustache."""
    cut = rgba[_visible(path, rgba)]
    height, width = cut.shape[:2]
    if width < SIDES[0] or height > width:
        raise UserError(
            f"{path}: what is visible is {width}x{height} pixels; it must be at least {SIDES[0]} wide and no higher "
            "than wide"
        )
    return cut


def _read_mask(path: Path) -> MaskPicture:
    rgba = _read(path)
    rows, columns = _visible(path, rgba)
    cut = rgba[rows, columns]
    if min(cut.shape[:2]) < SIDES[0]:
        raise UserError(f"{path}: what is visible must be at least {SIDES[0]} pixels wide and high; use a larger one")
    given = _read_corners(_beside(path), rgba.shape[1], rgba.shape[0])
    given = {name: point - (columns.start, rows.start) for name, point in given.items()}
    shown = cut[..., 3] >= VISIBLE
    for name, place in (("top", 0), ("bottom", -1)):
        if name not in given:
            x, y = (given[f"left_{name}"] + given[f"right_{name}"]) / 2
            there = np.flatnonzero(shown[:, min(max(round(x), 0), shown.shape[1] - 1)])
            given[name] = np.array([x, there[place] if len(there) else y])
    return MaskPicture(cut, np.array([given[name] for name in CORNERS]))


def _read_corners(path: Path, width: int, height: int) -> dict[str, np.ndarray]:
    """Return the points of a file by their names, in pixels of the whole picture."""
    example = '{"left_top": [4, 30], "right_top": [196, 30], "left_bottom": [30, 120], "right_bottom": [170, 120]}'
    try:
        with open_regular(path) as file:
            given = {name: np.array(point, np.float64) for name, point in json.loads(file.read()).items()}
    except (ValueError, TypeError, AttributeError, OSError, RecursionError):
        raise UserError(f"{path}: no corner points; write for example {example}") from None
    if unknown := sorted({*given} - {*CORNERS}):
        raise UserError(f"{path}: unknown point {unknown[0]!r}; the points are {', '.join(CORNERS)}")
    for name in CORNERS[:4]:
        if name not in given:
            raise UserError(f"{path}: has no {name}; write for example {example}")
    for name, point in given.items():
        if point.shape != (2,) or not ((point >= 0) & (point <= (width, height))).all():
            raise UserError(f"{path}: {name} is no x and y in the picture of {width}x{height} pixels; correct it")
    left_top, right_top, left_bottom, right_bottom = (given[name] for name in CORNERS[:4])
    wide = min(right_top[0] - left_top[0], right_bottom[0] - left_bottom[0])
    high = min(left_bottom[1] - left_top[1], right_bottom[1] - right_top[1])
    if wide <= 0 or high <= 0:
        raise UserError(f"{path}: left is not left of right, or top not above bottom, in the picture; swap them")
    return given
