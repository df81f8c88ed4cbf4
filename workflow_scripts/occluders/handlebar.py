"""Handlebar: long, combed outward, its ends curled up."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder
from workflow_scripts.occluders._moustache import COVERS as COVERS
from workflow_scripts.occluders._moustache import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._moustache import Cut, draw_moustache
from workflow_scripts.occluders._wearer import Wearer

CUT = Cut(
    outline=(
        (0, 0.4),
        (0.2, 0.25),
        (0.55, 0.35),
        (0.95, 0.75),
        (1.25, 0.75),
        (1.5, 0.2),
        (1.53, -0.1),
        (1.57, 0.3),
        (1.35, 1.0),
        (1.0, 1.1),
        (0.5, 0.95),
        (0.15, 0.9),
        (0, 0.78),
    ),
    grain=((0, 60), (0.3, 30), (0.9, 15), (1.2, -20), (1.6, -75)),
    length=0.12,
    density=0.92,
)


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a handlebar moustache on the mean face."""
    return draw_moustache(canvas, style, wearer, rng, CUT)
