"""What all face masks share: where they sit, how they are worn, straps, seams and creases."""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, Drawing, Wear, smooth
from workflow_scripts.occluders._placement import Placement

PLACEMENT = Placement(seam=(28, 8), anchors=(1, 2, 3, 4, 5, 6, 7))
_EAR = (0.69, 0.04)  # on the mean face; a turned head shows more of the cheek before it
_HIDDEN_BELOW = -0.25  # a side turned away more than this hides its straps

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
        ear = np.array(_EAR) * (1 + 0.5 * near, 1)
        for start, offset in ends:
            end = ear + offset
            middle = (end + start) / 2 + (0.005, 0.015)
            lines.append(smooth(np.array([start, middle, end]) * (sign, 1), closed=False))
    if not lines:
        return body
    straps = canvas.stroke(lines, width)
    color = np.asarray(color, np.float32)
    return Drawing(
        color + (body.color - color) * body.alpha[..., None],
        np.maximum(body.alpha, straps),
        body.relief,
        body.shade * body.alpha + 0.92 * (1 - body.alpha),
        body.wear,
    )


def line_at(canvas: Canvas, distance: np.ndarray) -> np.ndarray:
    """Return a thin line, 1 where `distance` (in units) is 0, as wide as the canvas can show."""
    return np.clip(1.2 - np.abs(distance) * canvas.scale, 0, 1)


def creases(canvas: Canvas, rng: np.random.Generator, most: int, height: float) -> np.ndarray:
    """Return the relief of a few random folds and dents, up to about `height` units, float32 (h, w)."""
    relief = 0.4 * height * canvas.noise(rng, 0.14)
    for _ in range(rng.integers(1, most + 1)):
        start = rng.uniform((-0.5, 0.15), (0.5, 0.9))
        relief += rng.uniform(-height, height) * _fold(
            canvas, start, start + rng.normal(0, 0.3, 2), rng.uniform(0.02, 0.06)
        )
    return relief


def _fold(canvas: Canvas, start: np.ndarray, end: np.ndarray, width: float) -> np.ndarray:
    """Return a ridge of height 1 along a segment, fading at its ends, float32 (h, w)."""
    length = float(np.hypot(*(end - start))) + 1e-6
    along_x, along_y = ((end - start) / length).astype(np.float32)
    across = (canvas.x - np.float32(start[0])) * along_y - (canvas.y - np.float32(start[1])) * along_x
    middle = ((start + end) / 2).astype(np.float32)
    along = (canvas.x - middle[0]) * along_x + (canvas.y - middle[1]) * along_y
    return np.exp(-((across / np.float32(width)) ** 2) - (along / np.float32(length / 2)) ** 2)
