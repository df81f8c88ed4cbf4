"""Checks of single entries of a COCO annotation file: each becomes a row of a table, or a reason why it cannot.

The format is described at https://cocodataset.org/#format-data. A mask is given as polygons, or as run lengths, whose
counts are plain numbers or COCO's compressed text. All masks become this text, `counts`, with the picture's `height`
and `width`, which `pycocotools.mask.decode` reads. Everything is checked before it reaches the C code of pycocotools,
which checks nothing.

An object needs an id, a picture, a category, and a box or a mask. Any other field that cannot be used is left out, and
the object is kept.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from workflow_scripts.core.cli import BadItem
from workflow_scripts.core.names import is_utf8
from workflow_scripts.sources._coco_json import decode_value, read_id


def _id(value: object) -> int | str:
    found = read_id(value)
    if found is None:
        raise PydanticCustomError("id", "is no whole number")
    return found


def _words(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("words", "has no words")
    if not is_utf8(text):
        raise PydanticCustomError("unicode", "half a letter stands in it")
    return text


Whole = Annotated[int, BeforeValidator(_id)]
Id = Annotated[Whole, Field(ge=-(2**63), lt=2**63)]  # the range of a table's column of integers
Reference = Annotated[int | str, BeforeValidator(_id)]  # the id of something else, which only has to be found
Run = Annotated[int, Field(ge=0, lt=2**32)]  # the range of pycocotools
Side = Annotated[Whole, Field(gt=0, lt=2**31)]
REASONS = {  # by the type of pydantic's error
    "missing": "key missing",
    "finite_number": "not a finite number",
    "words": "no words",
    "unicode": "not a Unicode text",
}
MEND = "mend or remove the entry"
LONGEST_OUTLINE = 3_000_000  # pixels; pycocotools holds some 50 bytes for each


class BadEntry(BadItem):
    """An entry of an annotation file that cannot be used."""


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)


class PictureEntry(_Entry):
    """An entry of `images`; one that does not give the picture's size is not compared with it."""

    id: Reference
    file_name: str
    width: Side | None = None
    height: Side | None = None


class CaptionEntry(_Entry):
    """An entry of `annotations` in a file of captions."""

    id: Id
    image_id: Reference
    caption: Annotated[str, AfterValidator(_words)]


class ObjectEntry(_Entry):
    """An entry of `annotations` in a file of instances or person keypoints, its optional fields not yet checked.

    The polygon's `area` is not used.
    """

    id: Id
    image_id: Reference
    category_id: Reference
    segmentation: Any = None
    bbox: Any = None
    iscrowd: Any = None
    keypoints: Any = None


class LeftOut(NamedTuple):
    """An optional field of an object that could not be used.

    Attributes:
        field: its key.
        reason, detail: as those of `BadItem`.
    """

    field: str
    reason: str
    detail: str


class _RunLengths(_Entry):
    size: list[Side] = Field(min_length=2, max_length=2)
    counts: str | list[Run]


_POLYGONS = TypeAdapter(list[list[FiniteFloat]], config=ConfigDict(strict=True))
_BOX = TypeAdapter(Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)], config=ConfigDict(strict=True))
_NUMBERS = TypeAdapter(list[FiniteFloat], config=ConfigDict(strict=True))


def parse_entry(model: type[_Entry], text: str) -> Any:
    """Return an entry, given as JSON, as an instance of `model`.

    Raises:
        BadEntry: a key is missing, of a wrong type, or not finite.
    """
    return _validated(lambda: model.model_validate(decode_value(text)[0]))


def object_row(entry: ObjectEntry, categories: dict[str, dict], height: int, width: int) -> tuple[dict, list[LeftOut]]:
    """Return a row of the `objects` table without `item`, and what was left out of it.

    Args:
        entry: the object.
        categories: the categories of its file: id as text -> `name`, `supercategory`, number of `keypoints`.
        height: height of its picture in pixels.
        width: width of its picture in pixels.

    Raises:
        BadEntry: the category is unknown, or there is neither a mask nor a box that can be used.
    """
    category = categories.get(str(entry.category_id))
    if category is None:
        raise BadEntry("unknown category", f"category_id {entry.category_id} is not among the categories; {MEND}")
    faults: dict[str, BadEntry] = {}

    def used(field: str, read: Callable, *more: object) -> Any:
        try:
            return read(getattr(entry, field), *more)
        except BadEntry as bad:
            faults[field] = bad
            return None

    mask = used("segmentation", read_mask, height, width)
    box = used("bbox", _box, height, width) or (coco_mask.toBbox(mask).tolist() if mask else None)
    if box is None:
        raise next(
            iter(faults.values()), BadEntry("no mask and no box", f"there is no segmentation and no bbox; {MEND}")
        )
    left, top, across, down = box
    row = {
        "annotation": entry.id,
        "category": category["name"],
        "supercategory": category["supercategory"],
        "left": left,
        "top": top,
        "right": left + across,
        "bottom": top + down,
        "area": int(coco_mask.area(mask)) if mask else None,
        "crowd": bool(used("iscrowd", _crowd)),
        "height": height,
        "width": width,
        "counts": mask["counts"] if mask else None,
        "keypoints": used("keypoints", _keypoints, category["keypoints"]),
    }
    return row, [
        LeftOut(field, f"{field} left out, {bad.reason}", f"{bad.detail}; the object is kept without it")
        for field, bad in faults.items()
    ]


def read_mask(segmentation: object, height: int, width: int) -> dict | None:
    """Return a mask as compressed run lengths: `size` [height, width] and `counts`, bytes; None where none is given.

    Raises:
        BadEntry: it is no mask of a picture of this size, or it covers no pixel.
    """
    if not segmentation or (isinstance(segmentation, list) and not any(segmentation)):
        return None
    if isinstance(segmentation, dict):
        mask = _from_run_lengths(
            _validated(lambda: _RunLengths.model_validate(segmentation), "segmentation"), height, width
        )
    else:
        if isinstance(segmentation, list) and not isinstance(segmentation[0], list):
            segmentation = [segmentation]  # a single polygon, as some tools write it
        mask = _from_polygons(
            _validated(lambda: _POLYGONS.validate_python(segmentation), "segmentation"), height, width
        )
    if not coco_mask.area(mask):
        raise BadEntry("empty mask", f"segmentation covers no pixel of the picture; {MEND}")
    return mask


def _from_polygons(polygons: list[list[float]], height: int, width: int) -> dict:
    areas = [points for points in polygons if len(points) >= 6]  # fewer than 3 points cover nothing
    if not areas:
        raise BadEntry("polygon of fewer than 3 points", f"segmentation has {len(polygons[0])} coordinates; {MEND}")
    for points in areas:
        if len(points) % 2:
            raise BadEntry("odd number of coordinates", f"a polygon has {len(points)} coordinates; {MEND}")
        # Annotators slip over the edge by a pixel, which is cut off. So far outside, the numbers mean something else.
        far = np.abs(np.array(points).reshape(-1, 2) / (width, height) - 0.5).max()
        if far > 1.5:
            raise BadEntry("polygon far outside the picture", f"a point is {far - 0.5:.1f} pictures away; {MEND}")
    length = sum(np.abs(np.diff(np.array(points).reshape(-1, 2), axis=0)).sum() for points in areas)
    if length > LONGEST_OUTLINE:
        raise BadEntry("outline too long", f"the polygons are {length:,.0f} pixels long; {MEND}")
    return coco_mask.merge(coco_mask.frPyObjects(areas, height, width))


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


def _box(given: object, height: int, width: int) -> list[float] | None:
    """Return left, top, width and height of a box, or None where none is given."""
    if not given:
        return None
    left, top, across, down = box = _validated(lambda: _BOX.validate_python(given), "bbox")
    if across <= 0 or down <= 0:
        raise BadEntry("empty box", f"bbox is {across} wide and {down} high; {MEND}")
    if left >= width or top >= height or left + across <= 0 or top + down <= 0:
        raise BadEntry("box outside the picture", f"bbox {box} misses {width}x{height} pixels; {MEND}")
    return box


def _crowd(given: object) -> bool:
    number = int(given) if isinstance(given, bool) else 0 if given is None else read_id(given)
    if number not in (0, 1):
        raise BadEntry("wrong type", f"iscrowd is {str(given)[:20]!r}, neither 0 nor 1; {MEND}")
    return number == 1


def _keypoints(given: object, expected: int) -> list[list[float]] | None:
    """Return x, y and visibility (0 not labelled, 1 hidden, 2 visible) of each point, or None where none are given.

    A category that does not name its points (`expected` is 0) has as many as are given.
    """
    if not given:
        return None
    numbers = _validated(lambda: _NUMBERS.validate_python(given), "keypoints")
    if len(numbers) != 3 * (expected or max(1, len(numbers) // 3)):
        what = f"{len(numbers)} numbers, the category has {expected or 'no'} points of three"
        raise BadEntry("wrong number of keypoints", f"keypoints are {what}; {MEND}")
    points = [numbers[start : start + 3] for start in range(0, len(numbers), 3)]
    if any(point[2] not in (0, 1, 2) for point in points):
        raise BadEntry("keypoint visibility is none", f"the third number of a keypoint is not 0, 1 or 2; {MEND}")
    return points


def _validated(parse: Callable, *field: str) -> Any:
    """Return what `parse` does; `field` names the part of the entry that it reads, in messages."""
    try:
        return parse()
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in (*field, *fault["loc"])) or "the entry"
        raise BadEntry(REASONS.get(fault["type"], "wrong type"), f"{where}: {fault['msg'].lower()}; {MEND}") from None
