"""Pencil: a thin line just above the lip, parted in the middle."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder
from workflow_scripts.occluders._moustache import COVERS as COVERS
from workflow_scripts.occluders._moustache import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._moustache import Cut, draw_moustache
from workflow_scripts.occluders._wearer import Wearer

CUT = Cut(
    outline=(
        (0.03, 0.72),
        (0.2, 0.62),
        (0.5, 0.62),
        (0.8, 0.75),
        (1.02, 0.98),
        (0.98, 1.05),
        (0.6, 0.95),
        (0.2, 0.95),
        (0.03, 0.97),
    ),
    grain=((0, 50), (1, 25)),
    length=0.05,
    density=0.8,
)


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a pencil moustache on the mean face."""
    return draw_moustache(canvas, style, wearer, rng, CUT)
