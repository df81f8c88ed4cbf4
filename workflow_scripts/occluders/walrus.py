"""Walrus: thick and bushy, hanging past the mouth's corners."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder
from workflow_scripts.occluders._moustache import COVERS as COVERS
from workflow_scripts.occluders._moustache import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._moustache import Cut, draw_moustache
from workflow_scripts.occluders._wearer import Wearer

CUT = Cut(
    outline=(
        (0, 0.24),
        (0.2, 0.18),
        (0.55, 0.22),
        (0.9, 0.45),
        (1.2, 1.0),
        (1.32, 1.7),
        (1.22, 1.9),
        (1.08, 1.5),
        (0.95, 1.12),
        (0.5, 0.98),
        (0, 0.98),
    ),
    grain=((0, 85), (0.4, 70), (1.3, 65)),
    length=0.15,
    density=0.97,
)


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a walrus moustache on the mean face."""
    return draw_moustache(canvas, style, wearer, rng, CUT)
