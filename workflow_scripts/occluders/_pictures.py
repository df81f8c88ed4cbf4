"""The user's own pictures of an occluder, which are read, checked and cut to their visible part."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from workflow_scripts.core.cli import UserError

TRANSPARENT_SUFFIXES = (".png", ".webp", ".tif", ".tiff")
SIDES = (32, 4096)  # pixels; the least width of the visible part, and the longest side of a picture
VISIBLE = 26  # of 255; pixels with less alpha count as transparent when a picture is cut


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name.

    Raises:
        UserError: there is no such folder, or no such picture in it.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in TRANSPARENT_SUFFIXES)
    if not paths:
        raise UserError(
            f"{folder}: no picture with transparency ({', '.join(TRANSPARENT_SUFFIXES)}) here; "
            "put some or drop the kind"
        )
    return paths


def read_pictures(paths: Iterable[Path]) -> list[np.ndarray]:
    """Return pictures, each cut to its visible part: uint8 (h, w, 4) RGBA, alpha not premultiplied.

    Raises:
        UserError: a picture cannot be used; the message says which, why, and what to do.
    """
    return [_read(path) for path in paths]


def _read(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if max(image.size) > SIDES[1]:
                raise UserError(f"{path}: {image.size[0]}x{image.size[1]} pixels; reduce it to {SIDES[1]} at most")
            if "A" not in image.getbands() and "transparency" not in image.info:
                raise UserError(f"{path}: has no transparency; save it as RGBA with a transparent background")
            rgba = np.asarray(image.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"{path}: not a readable picture ({error}); save it again as PNG") from error
    rows, columns = (np.flatnonzero((rgba[..., 3] >= VISIBLE).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise UserError(f"{path}: is transparent everywhere; save it with a visible moustache")
    if rgba[..., 3].min() >= VISIBLE:
        raise UserError(f"{path}: is opaque everywhere; make its background transparent")
    cut = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape[:2]
    if width < SIDES[0] or height > width:
        raise UserError(
            f"{path}: what is visible is {width}x{height} pixels; it must be at least {SIDES[0]} wide and no higher "
            "than wide"
        )
    return cut
