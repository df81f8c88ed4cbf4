"""Faces that the user knows: a table or a COCO file with boxes or points of the faces of any source's pictures.

The index gets them as CelebA's own, and `faces.prior` takes them in place of the detector. Of several faces in one
picture the largest is taken. A picture of which nothing is said, or nothing that fits into it, goes to the detector.

A table (`.csv`, `.tsv`, `.parquet`) has a row for each face: a column `item` (see `ITEMS`), and the columns of one kind
of box (`BOXES`) or those of the five points (`POINTS`), in pixels. So `objects` and `landmarks` tables of the workflow
can be given as they are. A COCO file gives boxes by `bbox` and points by `keypoints`; a person's eyes and nose are
enough. Where a category is named, boxes are those of categories with `face` in their name.
"""

import io
import math
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import open_regular
from workflow_scripts.core.tables import read_table
from workflow_scripts.sources._coco_json import read_entries, read_id

ITEMS = ("item", "file", "file_name", "filename", "image", "image_id", "path")
# Names of the columns of a box; where the last two are no sides but a size, they are named so.
BOXES = (
    ("left", "top", "right", "bottom"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("x_1", "y_1", "width", "height"),
)
SIZES = ("width", "w")
# As CelebA calls its five points, in its order, and how keypoints of COCO files are called.
POINTS = tuple(f"{name}_{axis}" for name in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy")
KEYPOINTS = (
    {"left_eye", "lefteye", "eye_left"},
    {"right_eye", "righteye", "eye_right"},
    {"nose", "nose_tip"},
    {"left_mouth", "mouth_left", "leftmouth", "left_mouth_corner", "mouth_left_corner"},
    {"right_mouth", "mouth_right", "rightmouth", "right_mouth_corner", "mouth_right_corner"},
)


class Given(NamedTuple):
    """One face, as `numbers` of the kind that `faces.prior` takes; `size` of its picture, where the file gives it.

    Attributes:
        item: the picture as the file calls it.
        numbers: `boxes`: left, top, width, height; `points`: x and y of the five points, NaN where not known.
        size: width and height of the picture, or None.
    """

    item: str
    numbers: list[float]
    size: tuple[int, int] | None = None


class GivenFaces:
    """The faces of one file.

    Args:
        source: its `given_faces`, its `faces.prior`, and where it lies.
        files: the paths of all files of the source, as its listing has them.

    Raises:
        UserError: the file cannot be read, has no faces of the kind that `faces.prior` takes, or is about other
            pictures.
    """

    def __init__(self, source: BaseSource, files: Collection[str]):
        self._path = Path(source.given_faces)
        self._column = {"boxes": "box", "points": "points"}[source.faces.prior]
        self._faces: dict[str, list[Given]] = {}
        self._is_pairs = source.type == "pairs"
        faces = list(_read(self._path, source.faces.prior))
        if not faces:
            raise UserError(f"given_faces: {self._path} gives no {source.faces.prior} of faces; {_other(source)}")
        if max(abs(value) for face in faces for value in face.numbers if math.isfinite(value)) <= 1:
            raise UserError(f"given_faces: {self._path} gives fractions of the pictures; multiply them by their sizes")
        for face in faces:
            self._faces.setdefault(_below(face.item, source), []).append(face)
        known = {name for file in files for name in self._names(file, file)}
        if source.type == "celeba":  # whose items in an archive have no folders
            known |= {file.rpartition("/")[2] for file in files}
        if not any(item.partition("#")[0] in known for item in self._faces):
            raise UserError(
                f"given_faces: {self._path} is about other pictures: it calls them as {faces[0].item!r}, the source as "
                f"{min(files)!r}; write the paths below the source's folder"
            )
        self._used = self._unfit = 0

    def of(self, row: dict) -> dict[str, list[float]]:
        """Return what the index says of the item of a row, whose size is known: `points`, `box` or nothing."""
        names = self._names(row["item"], row["file"])
        faces = next((self._faces[name] for name in names if name in self._faces), [])
        is_box = self._column == "box"
        fitting = [face.numbers for face in faces if _fits(face, is_box, row["width"], row["height"])]
        self._unfit += len(faces) - len(fitting)
        if not fitting:
            return {}
        self._used += 1
        return {self._column: max(fitting, key=(lambda box: box[2] * box[3]) if is_box else _extent)}

    def _names(self, item: str, file: str) -> list[str]:
        """Return how a table may call an item: of a pair, faces are searched in the bare picture, `clean/…`."""
        return [item, file, file.removeprefix("clean/")] if self._is_pairs else [item]

    def report(self) -> None:
        """Write to the log how many of the faces are used."""
        print(f"{self._path}: faces for {self._used} items; {self._unfit} do not fit their pictures", file=sys.stderr)


def _other(source: BaseSource) -> str:
    other = {"boxes": "points", "points": "boxes"}[source.faces.prior]
    return f"its columns or keys must be those that docs/inputs.md names, or write `faces: {{prior: {other}}}`"


def _below(name: str, source: BaseSource) -> str:
    """Return a name as the path of a file of the source's listing."""
    name = name.replace("\\", "/").removeprefix("./")
    for key, prefix in (("path", ""), ("clean", "clean/"), ("occluded", "occluded/")):
        root = getattr(source, key, None)
        for folder in (Path(root).as_posix(), Path(root).resolve().as_posix()) if root else ():
            if name.startswith(f"{folder}/"):
                return prefix + name.removeprefix(f"{folder}/")
    return name


def _fits(face: Given, is_box: bool, width: int, height: int) -> bool:
    if face.size not in (None, (width, height)) or (min(face.numbers[2:]) if is_box else _extent(face.numbers)) <= 1:
        return False  # a face of a pixel is one in fractions of the picture
    x, y = np.array(face.numbers[:2] if is_box else face.numbers).reshape(-1, 2).T
    right, bottom = (x + face.numbers[2], y + face.numbers[3]) if is_box else (x, y)
    return bool(np.nanmax(right) > 0 and np.nanmax(bottom) > 0 and np.nanmin(x) < width and np.nanmin(y) < height)


def _extent(points: list[float]) -> float:
    return float(np.nanmax(np.ptp(np.array(points).reshape(-1, 2)[:3], axis=0)))


def _read(path: Path, prior: str) -> Iterator[Given]:
    """Yield the usable faces of a file."""
    faces = _read_coco(path, prior) if path.suffix.lower() == ".json" else _read_rows(path, prior)
    for face in faces:
        if prior == "boxes" and np.isfinite(face.numbers).all() and min(face.numbers[2:]) > 0:
            yield face
        elif prior == "points" and np.isfinite(face.numbers[:6]).all() and _extent(face.numbers) > 0:
            yield face._replace(numbers=_upright(face.numbers))


def _upright(points: list[float]) -> list[float]:
    """Return the points with the eye and the mouth's corner first that are seen at the left of an upright picture.

    Some tools call them by the viewer's side and some by the person's. The nose lies below the eyes, which tells.
    """
    first, second, nose = np.array(points[:6]).reshape(3, 2)
    (across_x, across_y), (down_x, down_y) = second - first, nose - first
    if across_x * down_y - across_y * down_x >= 0:
        return points
    return [*points[2:4], *points[:2], *points[4:6], *points[8:], *points[6:8]]


def _read_rows(path: Path, prior: str) -> Iterator[Given]:
    import pandas as pd  # here, because few sources have such a table

    try:
        if path.suffix.lower() == ".parquet":
            rows = read_table(path)
        else:
            with open_regular(path) as file:
                text = file.read().decode("utf-8-sig")
            between = max(",;\t", key=text.partition("\n")[0].count)
            rows = pd.read_csv(io.StringIO(text), sep=between, dtype=str, skipinitialspace=True)
    except (ValueError, OSError) as error:
        why = str(error).splitlines()[0] if str(error) else "it is empty"
        raise UserError(f"given_faces: {path} is no table of .csv, .tsv or .parquet ({why}); save it again") from None
    names = next((name for name in ITEMS if name in rows), None)
    kinds = BOXES if prior == "boxes" else (POINTS,)
    columns = next((kind for kind in kinds if {*kind} <= {*rows.columns}), None)
    if names is None or columns is None:
        raise UserError(
            f"given_faces: {path} has the columns {', '.join(map(str, rows.columns))}; it needs `item` and "
            f"{', '.join(kinds[0])}"
        )
    if "category" in rows:
        rows = rows[[_is_face(name) for name in rows["category"]]]
    values = rows[[*columns]].apply(pd.to_numeric, errors="coerce")
    wrong = np.argwhere((values.isna() & rows[[*columns]].notna()).to_numpy())
    if len(wrong):
        row, column = wrong[0]
        text = rows[columns[column]].iloc[row]
        raise UserError(f"given_faces: {path}, row {row + 1}: {columns[column]} is {text!r}, no number; correct it")
    values = values.to_numpy(np.float64, copy=True)
    if prior == "boxes" and columns[2] not in SIZES:
        values[:, 2:] -= values[:, :2]
    for name, face in zip(rows[names], values.tolist(), strict=True):
        if isinstance(name, str):
            yield Given(name, face)


def _is_face(category: object) -> bool:
    return "face" in str(category).lower()


def _read_coco(path: Path, prior: str) -> Iterator[Given]:
    pictures, categories, annotations = {}, {}, []
    for entry in read_entries(path):
        value = entry.value
        if not isinstance(value, dict):
            continue
        if entry.section == "images" and isinstance(value.get("file_name"), str):
            sides = (value.get("width"), value.get("height"))
            size = sides if all(isinstance(side, int) and side > 0 for side in sides) else None
            pictures[read_id(value.get("id"))] = value["file_name"], size
        elif entry.section == "categories":
            categories[read_id(value.get("id"))] = value
        elif entry.section == "annotations":
            kind, given = read_id(value.get("category_id")), value.get("bbox" if prior == "boxes" else "keypoints")
            annotations.append((read_id(value.get("image_id")), kind, given))
    for picture, kind, given in annotations:
        category = categories.get(kind, {})
        values = _box(given, category) if prior == "boxes" else _points(given, category)
        if values and picture in pictures:
            yield Given(pictures[picture][0], values, pictures[picture][1])


def _numbers(given: object) -> list[float]:
    whole = isinstance(given, list) and all(isinstance(value, int | float) for value in given)
    return [float(value) for value in given] if whole else []


def _box(given: object, category: dict) -> list[float] | None:
    box = _numbers(given)
    return box if len(box) == 4 and (not category or _is_face(category.get("name"))) else None


def _points(given: object, category: dict) -> list[float] | None:
    """Return the five points among keypoints; a keypoint of visibility 0 is not known."""
    numbers, names = _numbers(given), category.get("keypoints")
    if not isinstance(names, list) or len(numbers) != 3 * len(names):
        return None
    seen = {
        str(name).lower(): numbers[3 * place : 3 * place + 2]
        for place, name in enumerate(names)
        if numbers[3 * place + 2]
    }
    found = [next((seen[name] for name in seen if name in known), [math.nan] * 2) for known in KEYPOINTS]
    return [value for point in found for value in point]
