"""Strands of the wearer's own hair that fall over the face from a side."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, smooth
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._placement import FACE
from workflow_scripts.occluders._wearer import Wearer

PLACEMENT = FACE
COVERS = Covers(area=(0.001, 0.5))
_HAIR = 0.012  # units; the thinnest strand


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw some strands on the mean face, in the colour of the brows."""
    side = rng.choice((-1, 1))
    root, end = np.array([side * rng.uniform(0.45, 0.75), -0.1]), np.array([side * rng.uniform(0.1, 0.6), 1.1])
    alpha = np.zeros(canvas.shape, np.float32)
    knots = np.array([root, (root + end) / 2 + (rng.normal(0, 0.12), 0), end])
    for _ in range(rng.integers(4, 16)):
        shift = np.zeros((3, 2))
        shift[:, 0] = rng.normal(0, 0.14, 3)
        shift[2, 1] = -rng.uniform(0, 0.4)
        lines = smooth(knots + shift, closed=False)[None]
        lock = canvas.stroke(lines, _HAIR * rng.uniform(1, 2.5))
        alpha = np.maximum(alpha, lock * np.float32(rng.uniform(0.6, 1)))
    color = wearer.dyed(wearer.hair_color())[:, None, None]
    plain = np.zeros(canvas.shape, np.float32)
    return DrawnOccluder(canvas, color, alpha, plain, plain + 1)
