"""Toothbrush: narrow and upright, no wider than the nose."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder
from workflow_scripts.occluders._moustache import COVERS as COVERS
from workflow_scripts.occluders._moustache import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._moustache import Cut, draw_moustache
from workflow_scripts.occluders._wearer import Wearer

CUT = Cut(
    outline=((0, 0.12), (0.2, 0.1), (0.38, 0.16), (0.43, 0.3), (0.44, 0.8), (0.4, 0.95), (0.2, 0.97), (0, 0.97)),
    grain=((0, 90), (0.5, 82)),
    length=0.08,
    density=0.93,
)


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a toothbrush moustache on the mean face."""
    return draw_moustache(canvas, style, wearer, rng, CUT)
