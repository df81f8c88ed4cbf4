"""What all face masks share: where they sit, how they are worn, straps, seams and creases."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, Wear, canvas_for, smooth
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._placement import FACE

PLACEMENT = FACE
COVERS = Covers(area=(0.04, 0.6), mouth=(0.95, 1), eyes=(0, 0.02))
_EAR = (0.69, 0.04)  # units; the ear of the mean face. A turned head shows more of the cheek before its near ear
_HIDDEN_BELOW = -0.25  # a side that is turned away by more than this hides its straps
_STRAP = smooth(np.eye(3), closed=False)  # (m, 3), weights of a strap's two ends and middle in each point of its curve
_CARELESS = 1 / 12  # of the masks that are worn low, and of those that stand open
_SHORTEST = 0.02  # units; a fold is at least this long

Point = tuple[float, float]


def wear(rng: np.random.Generator) -> Wear:
    """Draw how carelessly a mask is worn: each is a little off and crooked, and one in four sits low on the nose."""
    right, down, turn = rng.normal(0, 0.01), rng.normal(0, 0.02), rng.normal(0, 0.025)
    return Wear(right, down + (rng.uniform(0.02, 0.11) if rng.random() < 0.25 else 0), turn)


def disarrange(rng: np.random.Generator, outline: np.ndarray, straps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask's outline (n, 2) and straps (k, m, 2) as a careless wearer has them.

    One mask in twelve is pulled down, as far as below the tip of the nose, its lower edge staying where it is. One in
    twelve stands open at a side, whose edge lies farther in. The straps still reach the ears.
    """
    low = rng.uniform(0.1, 0.32) if rng.random() < _CARELESS else 0.0
    gap = rng.uniform(0.1, 0.3) * rng.choice((-1, 1)) if rng.random() < _CARELESS else 0.0
    if not low and not gap:
        return outline, straps
    top, bottom = outline[:, 1].min(), outline[:, 1].max()

    def move(points: np.ndarray) -> np.ndarray:
        x, y = np.moveaxis(points, -1, 0)
        inward = np.maximum(x * gap, 0) * np.sign(gap)
        return np.stack([-inward, low * np.clip((bottom - y) / (bottom - top), 0, 1)], -1)

    at_mask = np.linspace(1, 0, straps.shape[1])[:, None]  # a strap's first point is on the mask, its last at the ear
    return outline + move(outline), straps + move(straps) * at_mask


def strap_lines(turn: float, style: str, ends: Sequence[tuple[Point, Point]]) -> np.ndarray:
    """Return the lines of the straps that are seen, (k, m, 2).

    Args:
        turn: how far the face is turned, see `Pose`.
        style: the plain style shows the straps of the near side of a turned face only, as the published tool does.
        ends: the two ends of each strap of the canvas's right side: on the mask, and at the ear, relative to the ear.
    """
    knots = []
    for sign, near in ((-1, turn), (1, -turn)):
        if near < (-_HIDDEN_BELOW if style == "plain" else _HIDDEN_BELOW):
            continue
        ear = _EAR[0] * (1 + 0.5 * near), _EAR[1]
        for (x, y), offset in ends:
            end_x, end_y = ear[0] + offset[0], ear[1] + offset[1]
            middle = (x + end_x) / 2 + 0.005, (y + end_y) / 2 + 0.015
            knots.append([(sign * x, y), (sign * middle[0], middle[1]), (sign * end_x, end_y)])
    return _STRAP @ np.array(knots).reshape(-1, 3, 2)


def add_straps(body: DrawnOccluder, lines: np.ndarray, width: float, color: np.ndarray) -> DrawnOccluder:
    """Draw straps behind a mask.

    Args:
        body: the mask, on a canvas that also holds the straps.
        lines: the result of `strap_lines`.
        width: width of a strap in units.
        color: (3,), RGB in 0..1.
    """
    if not len(lines):
        return body
    straps = body.canvas.stroke(lines, width)
    color = np.asarray(color, np.float32)[:, None, None]
    return DrawnOccluder(
        body.canvas,
        color + (body.color - color) * body.alpha,
        np.maximum(body.alpha, straps),
        body.relief,
        0.92 + (body.shade - 0.92) * body.alpha,
        body.wear,
    )


def line_at(canvas: Canvas, distance: np.ndarray) -> np.ndarray:
    """Return the thinnest line that the canvas can show, float32 (h, w) in 0..1: it is 1 where `distance` is 0.

    Args:
        canvas: the mean face.
        distance: (h, w), the distance of each pixel from the line in units.
    """
    return np.minimum(np.maximum(1.2 - np.abs(distance) * canvas.scale, 0), 1)


def creases(canvas: Canvas, rng: np.random.Generator, most: int, height: float) -> np.ndarray:
    """Return the relief of a few random folds and dents, up to about `height` units, float32 (h, w).

    A fold is a ridge along a segment, `exp(-u^2 - v^2)` with u across and v along it. The exponents are quadratic in x
    and y, so that two products of matrices give the exponents of all folds.

    Args:
        canvas: the mean face.
        rng: the item's generator.
        most: largest number of folds.
        height: largest height of a fold in units.
    """
    bumps = canvas.noise(rng, 0.14)
    heights, exponents = [], []
    for _ in range(rng.integers(1, most + 1)):
        x, y = rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.9)
        heights.append(rng.uniform(-height, height))
        reach_x, reach_y = rng.normal(0, 0.3, 2).tolist()
        exponents.append(_fold(x, y, reach_x, reach_y, rng.uniform(0.02, 0.06)))
    (rows, columns), (powers_y, powers_x) = canvas.place, _powers(canvas.scale)
    ridges = powers_y[rows] @ (np.array(exponents, np.float32) @ powers_x[columns].T)
    np.exp(ridges, out=ridges)
    folds = np.array(heights, np.float32) @ ridges.reshape(len(heights), -1)
    bumps *= 0.4 * height
    bumps += folds.reshape(canvas.shape)
    return bumps


@lru_cache
def _powers(scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 1, y, y^2 of the rows and 1, x, x^2 of the columns of the whole face, float32 (h, 3) and (w, 3)."""
    canvas = canvas_for(scale)
    down, across = (np.vander(axis.ravel(), 3, increasing=True).astype(np.float32) for axis in (canvas.y, canvas.x))
    return down, across


def _fold(x: float, y: float, reach_x: float, reach_y: float, width: float) -> list[list[float]]:
    """Return the exponent of a fold from (x, y) over a reach: its coefficients of y^i x^j, (3, 3)."""
    length = max(math.hypot(reach_x, reach_y), 1e-6)
    along_x, along_y = reach_x / length, reach_y / length
    length = max(length, _SHORTEST)
    a, b = along_y / width, -along_x / width
    c = -(a * x + b * y)
    d, e = 2 * along_x / length, 2 * along_y / length
    f = -(d * (x + reach_x / 2) + e * (y + reach_y / 2))
    return [
        [-(c * c + f * f), -2 * (a * c + d * f), -(a * a + d * d)],
        [-2 * (b * c + e * f), -2 * (a * b + d * e), 0],
        [-(b * b + e * e), 0, 0],
    ]
