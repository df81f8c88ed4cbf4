"""Fingers of a hand that is held to the face from a side or from below."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, smooth
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._placement import FACE
from workflow_scripts.occluders._wearer import Wearer

PLACEMENT = FACE
COVERS = Covers(area=(0.01, 0.5), eyes=(0, 0.3))
_WIDTH = 0.12  # units; of a finger


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw two to four fingers on the mean face, in the colour of the cheeks."""
    side = rng.choice((-1, 1))
    angle = rng.uniform(0.1, 1.3)  # radians; 0: from the side, pi / 2: from below
    along = np.array([-side * np.cos(angle), -np.sin(angle)])
    across = np.array([along[1], -along[0]])
    middle = np.array([side * rng.uniform(0, 0.35), rng.uniform(0.35, 0.8)])
    count = rng.integers(2, 5)
    alpha, shade = np.zeros(canvas.shape, np.float32), np.ones(canvas.shape, np.float32)
    relief = np.zeros(canvas.shape, np.float32)
    for number in range(count):
        tip = middle + across * (number - (count - 1) / 2) * _WIDTH * 1.02 + along * rng.normal(0, 0.05)
        root = tip - along * 1.2
        bend = (tip + root) / 2 + across * rng.normal(0, 0.02)
        finger = canvas.stroke(smooth(np.array([root, bend, tip]), closed=False)[None], _WIDTH * rng.uniform(0.88, 1))
        inset = canvas.inset(finger) / (_WIDTH / 2)
        roundness = np.sqrt(np.clip(inset * (2 - inset), 0, 1))
        relief = np.where(finger > alpha * 0.5, 0.05 * roundness, relief)
        shade = np.where(finger > 0.5, 0.7 + 0.3 * roundness, shade)
        alpha = np.maximum(alpha, finger)
    color = np.clip(wearer.dyed(wearer.skin_color()) * rng.uniform(0.95, 1.25), 0, 1)
    return DrawnOccluder(canvas, color[:, None, None].astype(np.float32), alpha, relief, shade)
