"""Cloth mask: two sewn or moulded halves with a middle seam, plain or printed."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, Wear, mirrored_outline
from workflow_scripts.occluders._fabric import any_color, draw_print, pick_color, weave
from workflow_scripts.occluders._mask import COVERS as COVERS
from workflow_scripts.occluders._mask import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._mask import add_straps, creases, disarrange, line_at, strap_lines, wear
from workflow_scripts.occluders._wearer import Wearer

# The fabric's colours by style: (weight, RGB in 0..1); the weights need not add up to 1.
PLAIN_FABRICS = ((5, (0.12, 0.12, 0.13)), (1, (0.88, 0.88, 0.88)), (1, (0.45, 0.46, 0.48)), (1, (0.22, 0.30, 0.45)))
VARIED_FABRICS = (
    (6, (0.10, 0.10, 0.11)),
    (3, (0.28, 0.30, 0.34)),
    (2, (0.16, 0.19, 0.28)),
    (2, (0.52, 0.54, 0.60)),
    (2, (0.88, 0.88, 0.86)),
    (1, (0.70, 0.15, 0.20)),
    (1, (0.78, 0.73, 0.62)),
)


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a cloth mask on the mean face."""
    varied = style == "varied"
    moulded = varied and rng.random() < 0.35
    outline, side = _shape(rng, varied, moulded)
    straps = strap_lines(wearer.turn, style, [((side - 0.01, 0.275), (0, 0)), ((side - 0.03, 0.47), (0, 0.05))])
    strap_width = 0.04 if moulded else 0.02
    if varied:
        outline, straps = disarrange(rng, outline, straps)
    canvas = canvas.around(np.concatenate([outline, *straps]), strap_width)
    alpha = canvas.fill(outline)
    inset = canvas.inset(alpha)
    color = wearer.dyed(
        any_color(rng)
        if varied and rng.random() < 0.25
        else pick_color(rng, VARIED_FABRICS if varied else PLAIN_FABRICS, 0.03 if varied else 0.01)
    )
    painted = color[:, None, None]
    if varied and not moulded and rng.random() < 0.35:
        share = draw_print(canvas, rng)
        painted = painted + (any_color(rng)[:, None, None] - painted) * share

    # Each half falls away from the ridge along the seam.
    relief = -rng.uniform(0.15, 0.35) * np.abs(canvas.x) - 0.35 * canvas.x**2 - 0.25 * (canvas.y - 0.45) ** 2
    if varied:
        relief += creases(canvas, rng, 3 if moulded else 7, 0.010 if moulded else 0.016)
    shade = 1 + (0.015 if moulded else rng.uniform(0.04, 0.14)) * weave(canvas, 45)
    shade *= 1 - 0.3 * line_at(canvas, canvas.x)
    shade *= 0.85 + 0.15 * np.clip(inset / 0.015, 0, 1)
    if not moulded:
        shade *= 1 - 0.15 * line_at(canvas, inset - 0.045)
    body = DrawnOccluder(
        canvas,
        painted,
        alpha,
        relief,
        shade,
        wear(rng) if varied else Wear(),
    )
    loops = color if moulded or rng.random() < 0.7 else np.full(3, 0.9 if color.mean() > 0.5 else 0.08, np.float32)
    return add_straps(body, straps, strap_width, loops)


def _shape(rng: np.random.Generator, varied: bool, moulded: bool) -> tuple[np.ndarray, float]:
    """Return outline (n, 2) and half width; sewn masks end in a straight side, moulded ones in a notch by the ear."""
    wide, long = (rng.normal(0, spread) for spread in ((0.025, 0.03) if varied else (0.01, 0.01)))
    peak = rng.uniform(-0.02, 0.05) if varied else 0.005
    side = 0.63 + wide
    top = [(0, 0.075 - peak), (0.16, 0.13 - peak / 2), (0.40, 0.22), (side, 0.27 if not moulded else 0.19)]
    edge = [(side, 0.34), (side - 0.025, 0.48), (side - 0.09, 0.635)]
    if moulded:
        edge = [
            (side - 0.055, 0.26),
            (side - 0.075, 0.34),
            (side - 0.045, 0.42),
            (side - 0.015, 0.47),
            (side - 0.08, 0.64),
        ]
    bottom = [(0.43, 0.765 + long), (0.30, 0.88 + long), (0.15, 0.955 + long), (0, 0.98 + long)]
    return mirrored_outline(top + edge + bottom, corners=(0, 3)), side
