"""Scarf or collar: knitted or woven cloth before the chin and the neck."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder
from workflow_scripts.occluders._fabric import any_color, draw_print, weave
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._mask import creases
from workflow_scripts.occluders._placement import FACE
from workflow_scripts.occluders._wearer import Wearer

PLACEMENT = FACE
COVERS = Covers(area=(0.02, 0.6), eyes=(0, 0))


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw the cloth on the mean face, from below the mouth to below the chin."""
    slope, bulge = rng.normal(0, 0.1), rng.uniform(0, 0.2)
    edge = rng.uniform(0.68, 0.92) + slope * canvas.x - bulge * canvas.x**2 + 0.02 * canvas.noise(rng, 0.3)
    alpha = np.clip((canvas.y - edge) * canvas.scale + 0.5, 0, 1).astype(np.float32)
    oval = 1 - np.sqrt((canvas.x / 0.95) ** 2 + ((canvas.y - 0.85) / 0.34) ** 2)  # it lies round the neck
    alpha *= np.clip(oval * 0.3 * canvas.scale + 0.5, 0, 1)
    color = wearer.dyed(any_color(rng))[:, None, None]
    if style == "varied" and rng.random() < 0.4:
        color = color + (any_color(rng)[:, None, None] - color) * draw_print(canvas, rng)
    relief = creases(canvas, rng, 7, 0.03)
    shade = 1 + rng.uniform(0.03, 0.12) * weave(canvas, rng.uniform(20, 60))
    shade *= 0.8 + 0.2 * np.clip((canvas.y - edge) / 0.04, 0, 1)  # the edge is turned in
    return DrawnOccluder(canvas, color, alpha, relief, shade.astype(np.float32))
