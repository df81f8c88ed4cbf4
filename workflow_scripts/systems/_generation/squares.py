"""Small squares of annotated pictures: which part of a picture, and what of it belongs to the mask.

An origin of masks (COCO's objects here, motion in `moving.py`) gives each picture's masks as `Mask`s; what follows is
the same for all.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from workflow_scripts.core.cli import BadItem
from workflow_scripts.sources._squares import fit_square
from workflow_scripts.systems._generation.config import Squares

FILLS = {"black": 0, "grey": 128, "white": 255}


class Mask(NamedTuple):
    """One mask of a picture.

    Attributes:
        pixels: bool (H, W).
        category: its name; None where it is not known.
        label: position of its category in `Squares.categories`; -1 where these are not given.
        annotation: its number in the annotation file; -1 where it has none.
        crowd: whether it holds several objects.
        strength: uint8 (H, W), what the square's mask shows; None: 255 where `pixels` is set, 0 elsewhere.
    """

    pixels: np.ndarray
    category: str | None
    label: int
    annotation: int
    crowd: bool
    strength: np.ndarray | None = None


class Square(NamedTuple):
    """One training item.

    Attributes:
        variant: 0, or the number of the object in its picture.
        image: RGB uint8 (S, S, 3).
        mask: uint8 (S, S), 255 where all of a pixel belongs to the mask, and all speaks for it.
        category, label, annotation: of the largest mask in it.
        area: fraction of the whole picture that its mask covers.
        objects: masks in it.
        left_out: masks of the picture that are in no square of it.
    """

    variant: int
    image: np.ndarray
    mask: np.ndarray
    category: str | None
    label: int
    annotation: int
    area: float
    objects: int
    left_out: int


def coco_masks(objects, config: Squares) -> list[Mask]:
    """Return the masks of a picture's rows of an `objects` table, of the categories that are used.

    Args:
        objects: data frame of the rows of one picture; objects without a mask are passed over.
        config: its `categories`.
    """
    found = []
    for row in objects[objects["counts"].notna()].itertuples():
        names = [name for name in (row.category, row.supercategory) if name in config.categories]
        if config.categories and not names:
            continue
        pixels = coco_mask.decode({"size": [row.height, row.width], "counts": row.counts}).astype(bool)
        label = config.categories.index(names[0]) if names else -1
        found.append(Mask(pixels, row.category, label, row.annotation, bool(row.crowd)))
    return found


def make_squares(picture: np.ndarray, masks: Sequence[Mask], config: Squares) -> list[Square]:
    """Return the squares of one picture, at least one.

    Args:
        picture: RGB uint8 (H, W, 3).
        masks: of the picture, as large as it.
        config: what is wanted.

    Raises:
        BadItem: there is none; the reason says why.
    """
    if not masks:
        raise BadItem("no object", "it has no mask of the categories that are used; remove it or annotate it")
    used = [mask for mask in masks if not mask.crowd or (config.crowds and config.unit == "picture")]
    if not used:
        raise BadItem("crowds alone", "all its masks are of crowds; write `crowds: true` with `unit: picture`")
    if config.area_of == "object":
        used = [mask for mask in used if mask.pixels.mean() >= config.min_area]
        covered = bool(used)
    else:
        covered = np.logical_or.reduce([mask.pixels for mask in used]).mean() >= config.min_area
    if not covered:
        raise BadItem("covers too little", f"its masks cover less than {config.min_area:.0%} of it; lower `min_area`")
    groups = [used] if config.unit == "picture" else [[mask] for mask in used]
    squares = [square for number, group in enumerate(groups) if (square := _square(picture, group, number, config))]
    if not squares:
        raise BadItem("mask outside the square", "no mask is left in the part that is cut out; write `fit: letterbox`")
    left_out = len(masks) - sum(square.objects for square in squares)
    return [square._replace(left_out=left_out) for square in squares]


def _square(picture: np.ndarray, masks: Sequence[Mask], number: int, config: Squares) -> Square | None:
    """Return the square of some masks; None where nothing of them is in it."""
    pixels = np.logical_or.reduce([mask.pixels for mask in masks])
    left, top, right, bottom = _region(pixels, config)
    strength = np.maximum.reduce([_strength(mask) for mask in masks])
    shown = fit_square(strength[top:bottom, left:right], config.size)
    if pixels.any() and not shown.any():
        return None
    image = fit_square(picture[top:bottom, left:right], config.size)
    if config.background != "keep":
        share = shown[..., None] / 255.0
        image = np.rint(image * share + FILLS[config.background] * (1 - share)).astype(np.uint8)
    largest = max(masks, key=lambda one: (one.pixels.sum(), -one.annotation))
    return Square(
        variant=number if config.unit == "object" else 0,
        image=image,
        mask=shown,
        category=largest.category,
        label=largest.label,
        annotation=largest.annotation,
        area=float(pixels.mean()),
        objects=len(masks),
        left_out=0,
    )


def _strength(mask: Mask) -> np.ndarray:
    return mask.pixels.astype(np.uint8) * 255 if mask.strength is None else mask.strength


def _region(mask: np.ndarray, config: Squares) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part of the picture that is shown."""
    height, width = mask.shape
    if config.unit == "picture":
        if config.fit == "letterbox":
            return 0, 0, width, height
        rows, columns = np.nonzero(mask if mask.any() else np.ones_like(mask))
        return _place((columns.mean() + 0.5, rows.mean() + 0.5), min(height, width), width, height)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    if config.fit == "crop":
        side = round(max(right - left, bottom - top) * (1 + 2 * config.margin))
        return _place(((left + right) / 2, (top + bottom) / 2), min(side, height, width), width, height)
    across, along = round((right - left) * config.margin), round((bottom - top) * config.margin)
    return max(left - across, 0), max(top - along, 0), min(right + across, width), min(bottom + along, height)


def _place(middle: tuple[float, float], side: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the square of this side that lies in the picture, its middle as near as can be to `middle`."""
    left = int(np.clip(round(middle[0] - side / 2), 0, width - side))
    top = int(np.clip(round(middle[1] - side / 2), 0, height - side))
    return left, top, left + side, top + side


def composite(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a picture uint8 (S, S, 3) dimmed to a quarter outside its mask uint8 (S, S)."""
    share = 0.25 + 0.75 * mask[..., None] / 255.0
    return np.rint(image * share).astype(np.uint8)
