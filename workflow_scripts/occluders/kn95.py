"""KN95 and N95 respirators: folded along the middle, or a moulded cup."""

import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, Wear, mirrored_outline
from workflow_scripts.occluders._fabric import pick_color
from workflow_scripts.occluders._mask import COVERS as COVERS
from workflow_scripts.occluders._mask import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._mask import add_straps, creases, disarrange, line_at, strap_lines, wear
from workflow_scripts.occluders._wearer import Wearer

_WHITE = (0.95, 0.95, 0.94)
# (weight, RGB in 0..1); the weights need not add up to 1.
PLAIN_FABRICS = ((1, _WHITE),)
VARIED_FABRICS = (
    (6, _WHITE),
    (2, (0.86, 0.86, 0.85)),
    (1.5, (0.12, 0.12, 0.13)),
    (1, (0.62, 0.64, 0.68)),
    (0.7, (0.66, 0.78, 0.90)),
    (0.5, (0.90, 0.70, 0.74)),
    (0.7, (0.82, 0.77, 0.68)),
)
_BAND_WIDTH, _LOOP_WIDTH = 0.022, 0.02  # units; of a cup and of a folded mask
_YELLOW_BANDS = np.array([0.92, 0.83, 0.40], np.float32)


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Draw a respirator on the mean face; the plain style has the white cup only."""
    if style == "plain" or rng.random() < 0.45:
        return _cup(canvas, style, wearer, rng)
    return _folded(canvas, style, wearer, rng)


def _cup(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    varied = style == "varied"
    wide, long = (rng.normal(0, spread) for spread in ((0.03, 0.025) if varied else (0.01, 0.01)))
    side = 0.45 + max(wide, -0.02)  # no cup is narrower than a smile
    outline = mirrored_outline(
        [
            (0, 0.05), (0.07, 0.055), (0.15, 0.10), (0.24, 0.20), (0.36 + wide / 2, 0.285), (side - 0.03, 0.38),
            (side, 0.51), (side - 0.015, 0.64), (0.37 + wide, 0.775), (0.24, 0.905 + long),
            (0.11, 0.96 + long), (0, 0.97 + long),
        ]
    )  # fmt: skip
    corners = ((side - 0.03, 0.45), (side - 0.045, 0.67))
    straps = strap_lines(wearer.turn, style, [(corners[0], (0, -0.02)), (corners[1], (0, 0.42))])
    if varied:
        outline, straps = disarrange(rng, outline, straps)
    canvas = canvas.around(np.concatenate([outline, *straps]), _BAND_WIDTH)
    alpha = canvas.fill(outline)
    inset = canvas.inset(alpha)
    color = wearer.dyed(pick_color(rng, VARIED_FABRICS if varied else PLAIN_FABRICS, 0.02 if varied else 0.01))
    radius = np.sqrt((canvas.x / side) ** 2 + ((canvas.y - 0.55) / 0.5) ** 2)
    relief = 0.22 * np.sqrt(np.clip(1.35 - radius**2, 0.05, None)) + 0.01 * np.exp(-(((inset - 0.04) / 0.018) ** 2))
    shade = (1 - 0.12 * line_at(canvas, inset - 0.075)) * (0.90 + 0.10 * np.clip(inset / 0.02, 0, 1))
    shade *= 1 - 0.10 * np.exp(-(((radius - 0.82) / 0.05) ** 2)) * (canvas.y < 0.28) * (np.abs(canvas.x) < 0.2)
    shade *= 1 - 0.35 * _lettering(canvas, rng, (0, 0.83), (0.2, 0.07))
    if varied:
        relief += creases(canvas, rng, 2, 0.006)
        shade *= 1 + 0.015 * canvas.noise(rng, 0.03)
    bands = _YELLOW_BANDS if rng.random() < 0.6 else np.float32([0.92, 0.92, 0.90])
    tabs = np.array([[(sign * (x - 0.03), y), (sign * (x + 0.01), y)] for x, y in corners for sign in (-1, 1)])
    painted = color[:, None, None] + (bands - color)[:, None, None] * (0.8 * canvas.stroke(tabs, 0.035))
    body = DrawnOccluder(canvas, painted, alpha, relief, shade, wear(rng) if varied else Wear())
    return add_straps(body, straps, _BAND_WIDTH, bands)


def _folded(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    wide, long, peak = (rng.normal(0, spread) for spread in (0.025, 0.03, 0.02))
    side = 0.58 + wide
    outline = mirrored_outline(
        [
            (0, 0.035 - peak), (0.10, 0.085), (0.28, 0.18), (side, 0.32), (side, 0.46), (side - 0.06, 0.585),
            (0.33, 0.84 + long), (0.12, 0.985 + long), (0, 1.02 + long),
        ],
        corners=(0, 3),
    )  # fmt: skip
    straps = strap_lines(wearer.turn, style, [((side - 0.01, 0.34), (0, 0)), ((side - 0.05, 0.55), (0, 0.07))])
    outline, straps = disarrange(rng, outline, straps)
    canvas = canvas.around(np.concatenate([outline, *straps]), _LOOP_WIDTH)
    alpha = canvas.fill(outline)
    inset = canvas.inset(alpha)
    color = wearer.dyed(pick_color(rng, VARIED_FABRICS, 0.02))
    relief = -rng.uniform(0.3, 0.55) * np.abs(canvas.x) - 0.2 * canvas.x**2 - 0.25 * (canvas.y - 0.45) ** 2
    relief += 0.02 * np.exp(-((canvas.x / 0.02) ** 2)) + creases(canvas, rng, 4, 0.010)
    shade = 0.92 + 0.08 * np.clip(inset / 0.012, 0, 1)
    for distance in (0.03, 0.055):
        shade *= 1 - 0.12 * line_at(canvas, inset - distance)
    shade *= 1 - 0.2 * line_at(canvas, canvas.x)
    if rng.random() < 0.6:
        shade *= 1 - 0.3 * _lettering(canvas, rng, (float(rng.choice((-0.3, 0.3))), 0.6), (0.12, 0.05))
    if rng.random() < 0.5:
        shade *= 1 - 0.14 * (np.abs(canvas.x) < 0.2) * np.exp(
            -(((canvas.y - 0.12 - 0.5 * np.abs(canvas.x)) / 0.02) ** 4)
        )
    body = DrawnOccluder(
        canvas,
        color[:, None, None],
        alpha,
        relief,
        shade,
        wear(rng),
    )
    return add_straps(body, straps, _LOOP_WIDTH, np.float32([0.93, 0.93, 0.93]))


def _lettering(
    canvas: Canvas, rng: np.random.Generator, middle: tuple[float, float], reach: tuple[float, float]
) -> np.ndarray:
    """Return rows of speckle in an oval, which look like print too small to read: float32 (h, w) in 0..1.

    Args:
        canvas: the mean face.
        rng: the item's generator.
        middle: x and y of the oval's middle, in units.
        reach: half the oval's width and height, in units.
    """
    inside = ((canvas.x - middle[0]) / reach[0]) ** 2 + ((canvas.y - middle[1]) / reach[1]) ** 2 < 1
    rows = np.sin(2 * np.pi * (canvas.y - middle[1]) / 0.045) > -0.2
    return np.clip(canvas.noise(rng, 0.015), 0, 1) * inside * rows
