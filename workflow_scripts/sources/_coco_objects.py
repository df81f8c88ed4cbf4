"""Checks of single entries of a COCO annotation file: each becomes a row of a table, or a reason why it cannot.

The format is described at https://cocodataset.org/#format-data. A mask is given as polygons, or as run lengths, whose
counts are plain numbers or COCO's compressed text. All masks become this text, `counts`, with the picture's `height`
and `width`, which `pycocotools.mask.decode` reads. Everything is checked before it reaches the C code of pycocotools,
which checks nothing.
"""

import json
from typing import Annotated, Any, Literal

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from workflow_scripts.core.cli import BadItem

Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # the range of a table's column of integers
Run = Annotated[int, Field(ge=0, lt=2**32)]  # the range of pycocotools
Side = Annotated[int, Field(gt=0, lt=2**31)]
REASONS = {"missing": "key missing", "finite_number": "not a finite number"}  # by the type of pydantic's error
MEND = "mend or remove the entry"


class BadEntry(BadItem):
    """An entry of an annotation file that cannot be used."""


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)


class PictureEntry(_Entry):
    """An entry of `images`."""

    id: Id
    file_name: str
    width: Side
    height: Side


class CaptionEntry(_Entry):
    """An entry of `annotations` in a file of captions."""

    id: Id
    image_id: Id
    caption: str


class ObjectEntry(_Entry):
    """An entry of `annotations` in a file of instances or person keypoints. The polygon's `area` is not used."""

    id: Id
    image_id: Id
    category_id: Id
    segmentation: Any
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(None, strict=False)
    iscrowd: Literal[0, 1] = 0
    keypoints: list[FiniteFloat] | None = None


class _RunLengths(_Entry):
    size: list[Side] = Field(min_length=2, max_length=2)
    counts: str | list[Run]


_POLYGONS = TypeAdapter(list[list[FiniteFloat]], config=ConfigDict(strict=True))


def parse_entry(model: type[_Entry], text: str) -> Any:
    """Return an entry, given as JSON, as an instance of `model`.

    Raises:
        BadEntry: a key is missing, of a wrong type, or not finite.
    """
    return _validated(lambda: model.model_validate(json.loads(text)))


def object_row(entry: ObjectEntry, categories: dict[str, dict], height: int, width: int) -> dict:
    """Return a row of the `objects` table without `item`.

    Args:
        entry: the object.
        categories: the categories of its file: id as text -> `name`, `supercategory`, number of `keypoints`.
        height: height of its picture in pixels.
        width: width of its picture in pixels.

    Raises:
        BadEntry: the category is unknown, or the mask, the box or the keypoints are not valid.
    """
    category = categories.get(str(entry.category_id))
    if category is None:
        raise BadEntry("unknown category", f"category_id {entry.category_id} is not among the categories; {MEND}")
    mask = read_mask(entry.segmentation, height, width)
    left, top, across, down = entry.bbox or coco_mask.toBbox(mask).tolist()
    if across <= 0 or down <= 0:
        raise BadEntry("empty box", f"bbox is {across} wide and {down} high; {MEND}")
    if left >= width or top >= height or left + across <= 0 or top + down <= 0:
        raise BadEntry("box outside the picture", f"bbox {list(entry.bbox)} misses {width}x{height} pixels; {MEND}")
    return {
        "annotation": entry.id,
        "category": category["name"],
        "supercategory": category["supercategory"],
        "left": left,
        "top": top,
        "right": left + across,
        "bottom": top + down,
        "area": int(coco_mask.area(mask)),
        "crowd": bool(entry.iscrowd),
        "height": height,
        "width": width,
        "counts": mask["counts"],
        "keypoints": _keypoints(entry.keypoints, category["keypoints"]),
    }


def read_mask(segmentation: object, height: int, width: int) -> dict:
    """Return a mask as compressed run lengths: `size` [height, width] and `counts`, bytes.

    Raises:
        BadEntry: it is no mask of a picture of this size, or it covers no pixel.
    """
    if isinstance(segmentation, dict):
        mask = _from_run_lengths(_validated(lambda: _RunLengths.model_validate(segmentation)), height, width)
    else:
        mask = _from_polygons(_validated(lambda: _POLYGONS.validate_python(segmentation)), height, width)
    if not coco_mask.area(mask):
        raise BadEntry("empty mask", f"segmentation covers no pixel of the picture; {MEND}")
    return mask


def _from_polygons(polygons: list[list[float]], height: int, width: int) -> dict:
    if not polygons:
        raise BadEntry("no polygon", f"segmentation is an empty list; {MEND}")
    for points in polygons:
        if len(points) % 2:
            raise BadEntry("odd number of coordinates", f"a polygon has {len(points)} coordinates; {MEND}")
        if len(points) < 6:
            raise BadEntry("polygon of fewer than 3 points", f"a polygon has {len(points) // 2} points; {MEND}")
        # Annotators slip over the edge by a pixel, which is cut off. So far outside, the numbers mean something else.
        far = np.abs(np.array(points).reshape(-1, 2) / (width, height) - 0.5).max()
        if far > 1.5:
            raise BadEntry("polygon far outside the picture", f"a point is {far - 0.5:.1f} pictures away; {MEND}")
    return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))


def _from_run_lengths(mask: _RunLengths, height: int, width: int) -> dict:
    if mask.size != [height, width]:
        raise BadEntry("run lengths of another size", f"size is {mask.size}, the picture's {[height, width]}; {MEND}")
    counts = _decode_counts(mask.counts) if isinstance(mask.counts, str) else mask.counts
    if sum(counts) != height * width or min(counts) < 0:
        what = f"counts add up to {sum(counts)}, the picture has {height * width} pixels"
        raise BadEntry("run lengths do not fit the size", f"{what}; {MEND}")
    return coco_mask.frPyObjects({"size": mask.size, "counts": counts}, height, width)


def _decode_counts(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed text.

    Each character holds 5 bits of a number. From the fourth run on, a number is the difference to the run two before.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 32:
            raise BadEntry("run lengths not readable", f"counts goes wrong at the character {character!r}; {MEND}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift or not counts:
        raise BadEntry("run lengths not readable", f"counts ends early; {MEND}")
    return counts


def _keypoints(given: list[float] | None, expected: int) -> list[list[float]] | None:
    """Return x, y and visibility (0 not labelled, 1 hidden, 2 visible) of each point, or None where none are given."""
    if given is None:
        return None
    if not expected or len(given) != 3 * expected:
        what = f"{len(given)} numbers, the category has {expected} points of three"
        raise BadEntry("wrong number of keypoints", f"keypoints are {what}; {MEND}")
    points = [given[start : start + 3] for start in range(0, len(given), 3)]
    if any(point[2] not in (0, 1, 2) for point in points):
        raise BadEntry("keypoint visibility is none", f"the third number of a keypoint is not 0, 1 or 2; {MEND}")
    return points


def _validated(parse):
    try:
        return parse()
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the entry"
        raise BadEntry(REASONS.get(fault["type"], "wrong type"), f"{where}: {fault['msg'].lower()}; {MEND}") from None
