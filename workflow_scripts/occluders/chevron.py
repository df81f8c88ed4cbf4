"""Chevron: full and broad, its ends falling to the mouth's corners."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder
from workflow_scripts.occluders._moustache import COVERS as COVERS
from workflow_scripts.occluders._moustache import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._moustache import Cut, draw_moustache
from workflow_scripts.occluders._wearer import Wearer

CUT = Cut(
    outline=(
        (0, 0.3),
        (0.15, 0.2),
        (0.4, 0.25),
        (0.7, 0.5),
        (1.0, 0.85),
        (1.12, 1.15),
        (0.95, 1.1),
        (0.6, 0.95),
        (0.2, 0.95),
        (0, 0.9),
    ),
    grain=((0, 80), (0.3, 62), (1.1, 42)),
    length=0.10,
    density=0.9,
)


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a chevron moustache on the mean face."""
    return draw_moustache(canvas, style, wearer, rng, CUT)
