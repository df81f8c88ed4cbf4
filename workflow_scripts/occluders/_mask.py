"""What all face masks share: where they sit, how they are worn, straps, seams and creases."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, Drawing, Wear, smooth
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._placement import FACE

PLACEMENT = FACE
COVERS = Covers(area=(0.04, 0.6), mouth=(0.95, 1), eyes=(0, 0.02))
_EAR = (0.69, 0.04)  # on the mean face; a turned head shows more of the cheek before it
_HIDDEN_BELOW = -0.25  # a side turned away more than this hides its straps
_STRAP = smooth(np.eye(3), closed=False)  # (m, 3), weights of a strap's two ends and middle in its points
_SHORTEST = 0.02  # units; a shorter fold is as long as wide

Point = tuple[float, float]


def wear(rng: np.random.Generator) -> Wear:
    """Draw how carelessly a mask is worn: a little off, a little crooked, and one in four low on the nose."""
    right, down, turn = rng.normal(0, (0.01, 0.02, 0.025))
    return Wear(right, down + (rng.uniform(0.02, 0.11) if rng.random() < 0.25 else 0), turn)


def add_straps(
    canvas: Canvas,
    body: Drawing,
    turn: float,
    style: str,
    ends: Sequence[tuple[Point, Point]],
    width: float,
    color: np.ndarray,
) -> Drawing:
    """Draw straps behind a mask.

    Args:
        canvas: the grid.
        body: the mask.
        turn: of the face, see `Pose`.
        style: the plain style has straps only on the near side of a turned face, as the published tool.
        ends: for each strap of the right side its ends, on the mask and, relative to the ear, at the ear.
        width: in units.
        color: (3,) RGB in 0..1.
    """
    lines = []
    for sign, near in ((-1, turn), (1, -turn)):
        if near < (-_HIDDEN_BELOW if style == "plain" else _HIDDEN_BELOW):
            continue
        ear = _EAR[0] * (1 + 0.5 * near), _EAR[1]
        for (x, y), offset in ends:
            end_x, end_y = ear[0] + offset[0], ear[1] + offset[1]
            middle = (x + end_x) / 2 + 0.005, (y + end_y) / 2 + 0.015
            lines.append(_STRAP @ np.array([(sign * x, y), (sign * middle[0], middle[1]), (sign * end_x, end_y)]))
    if not lines:
        return body
    straps = canvas.stroke(lines, width)
    color = np.asarray(color, np.float32)[:, None, None]
    return Drawing(
        color + (body.color - color) * body.alpha,
        np.maximum(body.alpha, straps),
        body.relief,
        0.92 + (body.shade - 0.92) * body.alpha,
        body.wear,
    )


def line_at(canvas: Canvas, distance: np.ndarray) -> np.ndarray:
    """Return a thin line, 1 where `distance` (in units) is 0, as wide as the canvas can show."""
    return np.clip(1.2 - np.abs(distance) * canvas.scale, 0, 1)


def creases(canvas: Canvas, rng: np.random.Generator, most: int, height: float) -> np.ndarray:
    """Return the relief of a few random folds and dents, up to about `height` units, float32 (h, w).

    A fold is a ridge along a segment, `exp(-u^2 - v^2)` with u across and v along it. The exponents are quadratic in x
    and y, so that one product of matrices gives those of all folds.
    """
    bumps = canvas.noise(rng, 0.14)
    heights, exponents = [], []
    for _ in range(rng.integers(1, most + 1)):
        x, y = rng.uniform((-0.5, 0.15), (0.5, 0.9)).tolist()
        heights.append(rng.uniform(-height, height))
        reach_x, reach_y = rng.normal(0, 0.3, 2).tolist()
        exponents.append(_fold(x, y, reach_x, reach_y, rng.uniform(0.02, 0.06)))
    ridges = np.exp(np.array(exponents, np.float32) @ _monomials(canvas))
    folds = np.array(heights, np.float32) @ ridges
    return folds.reshape(canvas.shape) + 0.4 * height * bumps


def _fold(x: float, y: float, reach_x: float, reach_y: float, width: float) -> list[float]:
    """Return the exponent of a fold from (x, y) over a reach as coefficients of `_monomials`."""
    length = max(float(np.hypot(reach_x, reach_y)), 1e-6)
    along_x, along_y = reach_x / length, reach_y / length
    length = max(length, _SHORTEST)
    a, b = along_y / width, -along_x / width
    c = -(a * x + b * y)
    d, e = 2 * along_x / length, 2 * along_y / length
    f = -(d * (x + reach_x / 2) + e * (y + reach_y / 2))
    squares = -(a * a + d * d), -2 * (a * b + d * e), -(b * b + e * e)
    return [*squares, -2 * (a * c + d * f), -2 * (b * c + e * f), -(c * c + f * f)]


@lru_cache
def _monomials(canvas: Canvas) -> np.ndarray:
    """Return x^2, xy, y^2, x, y and 1 of the canvas's pixels, float32 (6, h * w)."""
    x, y = np.broadcast_arrays(canvas.x, canvas.y)
    return np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)]).reshape(6, -1)
