"""Holes that are cut into faces: hulls of face parts, a box, free-form strokes, and pictures of holes that users give.

A hole is bool (S, S), True where the picture is taken away. Landmarks may lie beyond the picture; what a hole would
cover there is cut off by the border.
"""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np

from workflow_scripts.core import guard
from workflow_scripts.core.cli import BadItem
from workflow_scripts.core.randomness import draw_weighted, stable_hash
from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.sources._listing import walk
from workflow_scripts.sources._pictures import decode_picture
from workflow_scripts.sources._stores import FolderStore
from workflow_scripts.systems._completion.config import Holes, class_shares

# The points whose convex hull is a part. Brows belong to the eyes, because they tell where hidden eyes look and blink.
PARTS = {
    "eyes": groups.numbers(groups.RIGHT_BROW, groups.LEFT_BROW, groups.EYES),
    "nose": groups.numbers(groups.NOSE),
    "mouth": groups.numbers(groups.MOUTH),
    "lower_half": groups.numbers(slice(2, 15), groups.NOSE_UNDERSIDE),  # the jaw below the eyes' height
    "face": groups.numbers(slice(0, groups.COUNT)),
}
PART_SHARES = (0.004, 0.9)  # of the picture; a hull with less hides nothing, and one with more leaves nothing to see
STROKE_SHARES = (0.1, 0.6)  # of the picture; what strokes cover in training
# Strokes, as fractions of the picture's side, and radians; after Yu et al. 2019, whose side is 256 pixels.
BRUSHES = (12 / 256, 40 / 256)  # widths
STEP = math.sqrt(2) / 8  # mean length of a straight piece; its standard deviation is half of it
VERTICES = (4, 13)  # straight pieces of a stroke, the last number excluded
SWERVES = (14 / 15 * math.pi / 3, 22 / 15 * math.pi / 3)  # by which pieces turn to the one and to the other side
FINER = 0.8  # factor of the width when a piece would cover too much
LIGHT = 127  # grey level; lighter pixels of a given picture are the hole
MAX_PIXELS = 50_000_000  # of a given picture


class Hole(NamedTuple):
    """A hole, bool (S, S), and its shape: the name of a face part, `box`, `strokes` or `given`."""

    shape: str
    mask: np.ndarray


def training_hole(holes: Holes, landmarks: np.ndarray, size: int, rng: np.random.Generator) -> Hole:
    """Return a hole of one of the kinds of `holes.mix`.

    Args:
        holes: the configuration.
        landmarks: (68, 2), x and y in pixels.
        size: pixels of each side.
        rng: of the item and variant.

    Raises:
        BadItem: no part of the face lies in the picture.
    """
    kind = draw_weighted(rng, [(weight, kind) for kind, weight in holes.mix.items()])
    if kind == "strokes":
        return Hole("strokes", stroke_hole(landmarks, size, STROKE_SHARES, rng))
    return class_hole(kind, holes, landmarks, size, rng)


def class_hole(name: str, holes: Holes, landmarks: np.ndarray, size: int, rng: np.random.Generator) -> Hole:
    """Return a hole of one of `holes.classes`; see `training_hole`."""
    if name == "box":
        return Hole("box", box_hole(size, holes.box))
    if name != "parts":
        return Hole("strokes", stroke_hole(landmarks, size, class_shares(name), rng))
    for number in rng.permutation(len(holes.parts)):
        part = holes.parts[number]
        mask = part_hole(part, landmarks, size, holes.margin)
        if PART_SHARES[0] <= mask.mean() <= PART_SHARES[1]:
            return Hole(part, mask)
    raise BadItem(
        "no face part in the crop",
        f"{', '.join(holes.parts)}: the hull of each is beyond the crop or fills it; give a clearer picture or a "
        "wider `crop: {frame: …}`",
    )


def part_hole(part: str, landmarks: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Return the convex hull of a face part, grown on all sides.

    All sides grow by as many pixels, so that a profile's hull, which can be as thin as a line, becomes a hole too.

    Args:
        part: a key of `PARTS`.
        landmarks: (68, 2), x and y in pixels.
        size: pixels of each side.
        margin: by which it grows, over the longer extent of all landmarks.
    """
    return _hull(landmarks[PARTS[part]], size, margin * np.ptp(landmarks, axis=0).max())


def face_area(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Return the face inside its outline, bool (size, size): the convex hull of its landmarks (68, 2)."""
    return _hull(landmarks, size, 0)


def _hull(points: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Return the convex hull of points, grown by so many pixels."""
    hull = cv2.convexHull(np.rint(points).astype(np.int32))
    hole = np.zeros((size, size), np.uint8)
    cv2.fillPoly(hole, [hull], 1)
    cv2.polylines(hole, [hull], True, 1, _thickness(margin))
    return hole > 0


def _thickness(radius: float) -> int:
    """Return with which thickness OpenCV draws a line that reaches so many pixels to each side of its middle."""
    return max(1, 2 * round(radius))


def box_hole(size: int, side: float) -> np.ndarray:
    """Return the box in the centre, whose side is a fraction of the picture's, in 0..1."""
    pixels = max(1, round(side * size))
    start = (size - pixels) // 2
    hole = np.zeros((size, size), bool)
    hole[start : start + pixels, start : start + pixels] = True
    return hole


def stroke_hole(landmarks: np.ndarray, size: int, shares: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Return free-form strokes that cover a share of the picture within limits.

    Walks of a brush, after Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019. The first one
    begins in the face. The share that is wanted is drawn evenly within the limits; pieces are drawn until it is
    reached, or the next one would cover too much. While too little is covered, such a piece is drawn finer.

    Args:
        landmarks: (68, 2), x and y in pixels.
        size: pixels of each side.
        shares: of the picture; the lower one is reached, the upper one is not. They differ by 0.01 or more.
        rng: of the item.
    """
    wanted = rng.uniform(*shares)
    hole, fineness = np.zeros((size, size), np.uint8), 1.0
    for start, end, width in _brush_pieces(landmarks, size, rng):
        grown = cv2.line(hole.copy(), start, end, 1, _thickness(width * fineness / 2))
        share = grown.mean()
        if share >= shares[1]:
            if hole.mean() >= shares[0]:
                break  # in a small picture, a piece can be larger than what is left to the share that is wanted
            fineness *= FINER
            continue
        hole = grown
        if share >= wanted:
            break
    return hole > 0


def _brush_pieces(
    landmarks: np.ndarray, size: int, rng: np.random.Generator
) -> Iterator[tuple[tuple[int, int], tuple[int, int], float]]:
    """Yield straight pieces of strokes without end: both ends, and the brush's width in pixels."""
    low, high = np.clip([landmarks.min(axis=0), landmarks.max(axis=0)], 0, size - 1)
    while True:
        place, heading = rng.uniform(low, high), rng.uniform(0, 2 * math.pi)
        for piece in range(rng.integers(*VERTICES)):
            direction = heading + (-1) ** piece * rng.uniform(*SWERVES)
            length = np.clip(rng.normal(STEP, STEP / 2), 0, 2 * STEP) * size
            goal = np.clip(place + length * np.array([math.cos(direction), math.sin(direction)]), 0, size - 1)
            start, end = (tuple(np.rint(point).astype(int).tolist()) for point in (place, goal))
            yield start, end, rng.uniform(*BRUSHES) * size
            place = goal
        low, high = 0, [size - 1, size - 1]  # further strokes begin anywhere


class GivenHoles:
    """Pictures of holes that a user gives: each item gets that of its own name, or else one by its name's hash.

    Args:
        folder: where they are, in folders below it too. An item's own one has its path and name, and an ending of its
            own in place of the item's or after it; frames of a clip also have that of the clip in common.
        seed: of the configuration.

    Raises:
        UserError: there is no such folder, or no picture in it.
    """

    def __init__(self, folder: Path, seed: int):
        self._store, self._seed = FolderStore(folder), seed
        self._files = [file.path for file in walk(folder, "holes.given").files]
        self._own = {_stem(file): file for file in self._files}

    def choose(self, item: str) -> str:
        """Return the path, below the folder, of the picture that an item gets."""
        chosen = self._files[stable_hash(self._seed, "given hole", item) % len(self._files)]
        return self._own.get(item) or self._own.get(_stem(item), chosen)

    def read(self, file: str, size: int) -> Hole:
        """Return the light pixels of a picture, stretched to `size` pixels each way.

        Raises:
            BadItem: it is no picture, or none or all of its pixels are light.
        """
        try:
            with guard.reading(file, MAX_PIXELS):
                picture = decode_picture(self._store.read(file, 8 * MAX_PIXELS), MAX_PIXELS)
        except BadItem as bad:
            raise BadItem("given hole cannot be used", f"{file}: {bad.reason}, {bad.detail}") from bad
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        hole = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA) > LIGHT
        if hole.all() or not hole.any():
            what = "everywhere, which leaves nothing to see" if hole.any() else "nowhere, so that there is no hole"
            raise BadItem("given hole cannot be used", f"{file}: it is light {what}; correct or remove it")
        return Hole("given", hole)


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))
