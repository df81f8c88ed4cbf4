"""Surgical mask: pleated non-woven cloth with a nose wire and ear loops."""

from functools import lru_cache

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, Wear, canvas_for, mirrored_outline
from workflow_scripts.occluders._fabric import any_color, draw_print, pick_color
from workflow_scripts.occluders._mask import COVERS as COVERS
from workflow_scripts.occluders._mask import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._mask import add_straps, creases, disarrange, line_at, strap_lines, wear
from workflow_scripts.occluders._wearer import Wearer

# The fabric's colours by style: (weight, RGB in 0..1); the weights need not add up to 1.
PLAIN_FABRICS = ((4, (0.53, 0.72, 0.96)), (1, (0.90, 0.92, 0.94)), (1, (0.56, 0.78, 0.70)))
VARIED_FABRICS = (
    (4, (0.60, 0.77, 0.90)),
    (3, (0.50, 0.70, 0.95)),
    (4, (0.90, 0.91, 0.92)),
    (2, (0.66, 0.84, 0.83)),
    (3, (0.11, 0.11, 0.12)),
    (1.5, (0.90, 0.60, 0.68)),
    (1, (0.35, 0.62, 0.50)),
    (0.7, (0.74, 0.68, 0.86)),
    (0.7, (0.90, 0.82, 0.66)),
    (0.7, (0.30, 0.33, 0.40)),
)
_PLEATS = (0.36, 0.53, 0.70)  # units; heights on the mean face
_STRAP_WIDTH = 0.018  # units
_PRINTED = 0.12  # of the masks bear a print
_WIDEST = 1.7  # largest (x / 0.5)^2, which lies beyond the mask's sides


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a surgical mask on the mean face."""
    varied = style == "varied"
    wide, long, high = (rng.normal(0, spread) for spread in ((0.03, 0.03, 0.015) if varied else (0.01, 0.01, 0.01)))
    side = 0.555 + wide
    outline = mirrored_outline(
        [
            (0, 0.05 - high), (0.13, 0.065 - high), (0.30, 0.125), (side, 0.25), (side + 0.005, 0.40),
            (side - 0.03, 0.58), (0.38 + wide / 2, 0.77 + long), (0.19, 0.915 + long), (0, 0.965 + long),
        ],
        corners=(3,),
    )  # fmt: skip
    straps = strap_lines(wearer.turn, style, [((side - 0.01, 0.275), (0, 0)), ((side - 0.04, 0.55), (0, 0.05))])
    if varied:
        outline, straps = disarrange(rng, outline, straps)
    canvas = canvas.around(np.concatenate([outline, *straps]), _STRAP_WIDTH)
    alpha = canvas.fill(outline)
    color = wearer.dyed(pick_color(rng, VARIED_FABRICS if varied else PLAIN_FABRICS, 0.03 if varied else 0.01))
    painted = color[:, None, None]
    if varied and rng.random() < _PRINTED:
        painted = painted + (any_color(rng)[:, None, None] - painted) * draw_print(canvas, rng)
    relief, shade = _pleats(canvas, rng, 0.015 if varied else 0.003)
    relief += _vault(canvas.scale)[canvas.place]
    inset = canvas.inset(alpha)
    shade *= (1 - 0.08 * line_at(canvas, inset - 0.035)) * (0.92 + 0.08 * np.minimum(inset / 0.012, 1))
    if varied:
        relief += creases(canvas, rng, 5, 0.012)
    body = DrawnOccluder(canvas, painted, alpha, relief, shade, wear(rng) if varied else Wear())
    loops = color if rng.random() < 0.5 and color.mean() < 0.4 else np.float32([0.93, 0.93, 0.93])
    return add_straps(body, straps, _STRAP_WIDTH, loops)


@lru_cache
def _vault(scale: int) -> np.ndarray:
    """Return the relief that all surgical masks have, on the whole face: bent over it, with a wire over the nose."""
    canvas = canvas_for(scale)
    wire = np.exp(-np.square((canvas.y - 0.105 - 0.9 * canvas.x**2) / 0.018) - np.square(np.square(canvas.x / 0.22)))
    return 0.006 * wire - (0.45 * canvas.x**2 + 0.15 * np.square(canvas.y - 0.4))


def _pleats(canvas: Canvas, rng: np.random.Generator, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return relief and shade of three pleats: each overhangs the cloth below, and they draw together sideways."""
    relief, shade = np.zeros(canvas.shape, np.float32), np.ones(canvas.shape, np.float32)
    outward = np.minimum(np.square(canvas.x / 0.5), _WIDEST)
    for height in _PLEATS:
        depth, height = rng.uniform(0.7, 1.2), height + rng.normal(0, spread)
        bend = 0.03 - 0.24 * (height - 0.40)
        near = canvas.rows(height - 0.06 + min(0, bend * _WIDEST), height + 0.2 + max(0, bend * _WIDEST))
        below = (canvas.y[near] - height) - bend * outward
        hidden = below >= 0
        relief[near] += np.maximum((0.014 * depth) * (1 + below / 0.06), 0) * ~hidden
        shade[near] *= 1 - (0.2 * depth) * np.exp(np.minimum(below / -0.03, 0)) * hidden
    return relief, shade
