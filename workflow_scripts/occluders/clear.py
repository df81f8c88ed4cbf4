"""Mask with a clear window before the mouth, as those who read lips ask for, or clear as a whole."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, Wear, mirrored_outline
from workflow_scripts.occluders._fabric import any_color, pick_color
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._mask import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._mask import add_straps, creases, disarrange, line_at, strap_lines, wear
from workflow_scripts.occluders._wearer import Wearer

COVERS = Covers(area=(0.01, 0.6), eyes=(0, 0.02))  # plastic hides little
FABRICS = ((3, (0.90, 0.91, 0.92)), (2, (0.55, 0.74, 0.92)), (2, (0.11, 0.11, 0.12)))  # (weight, RGB in 0..1)
_PLASTIC = np.float32([0.93, 0.95, 0.96])
_WHOLLY = 0.25  # of these masks are clear as a whole, within their rim
_RIM, _STRAP_WIDTH = 0.045, 0.02  # units


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a mask with a window on the mean face."""
    varied = style == "varied"
    wide, long = (rng.normal(0, 0.03 if varied else 0.01) for _ in range(2))
    side = 0.56 + wide
    outline = mirrored_outline(
        [
            (0, 0.07), (0.16, 0.10), (0.36, 0.18), (side, 0.27), (side, 0.40),
            (side - 0.05, 0.60), (0.38, 0.79 + long), (0.19, 0.93 + long), (0, 0.97 + long),
        ],
        corners=(3,),
    )  # fmt: skip
    straps = strap_lines(wearer.turn, style, [((side - 0.01, 0.29), (0, 0)), ((side - 0.05, 0.56), (0, 0.05))])
    if varied:
        outline, straps = disarrange(rng, outline, straps)
    canvas = canvas.around(np.concatenate([outline, *straps]), _STRAP_WIDTH)
    body = canvas.fill(outline)
    inset = canvas.inset(body)
    color = wearer.dyed(any_color(rng) if varied and rng.random() < 0.3 else pick_color(rng, FABRICS, 0.02))
    window = _window(canvas, rng, inset)
    # Plastic shows the light as broad streaks, and is a little dull.
    streaks = np.clip(canvas.noise(rng, 0.25) - rng.uniform(0.2, 1.2), 0, 1)
    plastic = np.clip(rng.uniform(0.06, 0.3) + 0.5 * streaks, 0, 0.9)
    shade = (1 - 0.25 * line_at(canvas, window - 0.5)) * (0.9 + 0.1 * np.clip(inset / 0.015, 0, 1))
    relief = -0.4 * canvas.x**2 - 0.2 * (canvas.y - 0.45) ** 2
    if varied:
        relief += creases(canvas, rng, 3, 0.010) * (1 - window)
    drawing = DrawnOccluder(
        canvas,
        color[:, None, None] + (_PLASTIC - color)[:, None, None] * window,
        body * (1 - window * (1 - plastic)),
        relief,
        shade,
        wear(rng) if varied else Wear(),
    )
    return add_straps(drawing, straps, _STRAP_WIDTH, color)


def _window(canvas: Canvas, rng: np.random.Generator, inset: np.ndarray) -> np.ndarray:
    """Return where the plastic is, float32 (h, w) in 0..1: an oval before the mouth, or all within the rim."""
    if rng.random() < _WHOLLY:
        return np.clip((inset - _RIM) * canvas.scale, 0, 1)
    across, along = rng.uniform(0.26, 0.38), rng.uniform(0.14, 0.22)
    oval = 1 - np.sqrt((canvas.x / across) ** 2 + ((canvas.y - 0.57) / along) ** 2)
    return np.clip(oval * along * canvas.scale + 0.5, 0, 1).astype(np.float32)
