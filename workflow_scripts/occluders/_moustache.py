"""What all moustaches share: hair, stroke by stroke, between the nose's base and the upper lip's line.

A cut is given in coordinates of the upper lip: u across, 0 in the middle and 1 at the mouth's corner; v down, 0 at the
nose's base and 1 at the lip's line. Both lines are the face's own, so that a smile, an open or a crooked mouth bend the
moustache.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.occluders._canvas import LEFT, TOP, Canvas, DrawnOccluder, smooth
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._placement import Placement
from workflow_scripts.occluders._wearer import Wearer

# A moustache lies between nose and upper lip; two points of the jaw keep its ends beyond the mouth on the cheek.
_ANCHORS = (
    *groups.numbers(groups.RIGHT_JAW)[3:5],
    *groups.numbers(groups.NOSE_BASE)[:2],
    *groups.numbers(groups.UPPER_LIP)[:3],
)
PLACEMENT = Placement(seam=(groups.NOSE_TOP, groups.UPPER_LIP_MIDDLE), anchors=_ANCHORS, wraps=False)
_REACH = (-0.6, 0.2, 0.6, 0.78)  # units; left, top, right and bottom of the part of the canvas that is drawn on
COVERS = Covers(area=(0.001, 0.1), mouth=(0, 0.12), eyes=(0, 0), nostrils=(0, 0.25))

_FINE = 256  # hairs are drawn at this many pixels per unit at least
_HAIRS = 1000  # hairs whose roots are drawn in the box around the cut; those outside the cut are left out
_HAIR_POINTS = 5  # points of a hair's curve
_TONES = (0.5, 0.75, 1.0, 1.2, 1.5)  # brightness of a hair over the mean; drawn in this order, light hairs on top
_FRACTION_BITS = 4  # of the coordinates given to OpenCV, which are fixed-point numbers
_UNDER = 0.75  # brightness between the hairs, where their shadow lies, over the mean
# Colours of hair, RGB in 0..1: those of the plain style, and what the varied style mixes in for a grey moustache.
PLAIN_HAIR = np.array([(0.10, 0.08, 0.07), (0.16, 0.11, 0.08), (0.26, 0.17, 0.10)], np.float32)
GREY_HAIR = np.float32([0.62, 0.61, 0.60])
_GREY_CHANCE = 0.08
_CORNER = 0.28  # units; half the width of the mean face's mouth
_MARGIN = 0.012  # units; distance of the hair from the lip's line


@dataclass(frozen=True)
class Cut:
    """A moustache's shape.

    Attributes:
        outline: (u, v) of the right half, from the top of the middle round to its bottom.
        grain: (u, angle), the direction in which hair grows in degrees: 0 outward, 90 down, negative up.
        length: of a hair in units.
        density: how much of the skin below is hidden, 0..1.
    """

    outline: tuple[tuple[float, float], ...]
    grain: tuple[tuple[float, float], ...]
    length: float
    density: float


def draw_moustache(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator, cut: Cut) -> DrawnOccluder:
    """Draw a moustache of a cut on the mean face.

    Args:
        canvas: the mean face.
        style: `plain`: few colours, full density, little disorder; `varied`: the wearer's colour, thin places.
        wearer: whose lip and nose the moustache follows.
        rng: the only source of randomness.
        cut: the moustache's shape.
    """
    varied = style == "varied"
    patch = _Patch(canvas)
    outlines = [_side(cut, wearer, side, rng, varied) for side in (0, 1)]
    region = patch.fill(np.concatenate([outlines[1], outlines[0][::-1]]))
    density = np.float32(cut.density * (rng.uniform(0.6, 1.05) if varied else 1))
    base = wearer.dyed(moustache_color(wearer, rng, varied))
    tone, hairs = _hairs(patch, region, cut, wearer, rng, varied)

    clumps = 1 + 0.12 * patch.noise(rng, 0.035)
    soft = cv2.GaussianBlur(region, (0, 0), 0.016 * patch.scale)
    thin = 1 + (0.35 if varied else 0.1) * patch.noise(rng, 0.05)
    under = np.clip(density * thin * np.clip(1.6 * soft - 0.45, 0, 1), 0, 0.95)
    free = _above_lips(patch, wearer)
    alpha = (1 - (1 - under) * (1 - hairs * np.minimum(density + 0.1, 1))) * free
    bright = np.where(hairs > 0, tone * hairs + _UNDER * (1 - hairs), _UNDER).astype(np.float32) * clumps
    bright, alpha = patch.shrink(bright * alpha), patch.shrink(alpha)
    bright = np.where(alpha > 1e-3, bright / np.maximum(alpha, 1e-3), _UNDER)
    color = np.clip(base[:, None, None] * bright, 0, 1)
    relief = 0.02 * cv2.GaussianBlur(alpha, (0, 0), 0.02 * canvas.scale) + 0.002 * bright * alpha
    return DrawnOccluder(patch.canvas, color, np.clip(alpha, 0, 1), relief, np.ones(alpha.shape, np.float32))


class _Patch:
    """The part of the canvas that a moustache reaches, enlarged so that single hairs can be drawn.

    Attributes:
        factor: how many times as fine as the canvas.
        scale: pixels per unit.
        canvas: the same part at the canvas's own scale.
        shape: height and width in pixels.
    """

    def __init__(self, canvas: Canvas):
        left, top, right, bottom = _REACH
        self.factor = max(1, -(-_FINE // canvas.scale))
        self.scale = canvas.scale * self.factor
        left, right = int((left - LEFT) * canvas.scale), round((right - LEFT) * canvas.scale)
        top, bottom = int((top - TOP) * canvas.scale), round((bottom - TOP) * canvas.scale)
        self.canvas = canvas.part(left, top, right, bottom)
        self.shape = ((bottom - top) * self.factor, (right - left) * self.factor)

    def to_fixed_point(self, points: np.ndarray) -> np.ndarray:
        """Return OpenCV's drawing coordinates of points (…, 2) in units."""
        return np.round(((points - self.canvas.origin) * self.scale - 0.5) * 2**_FRACTION_BITS).astype(np.int32)

    def fill(self, outline: np.ndarray) -> np.ndarray:
        """Return the inside of a closed outline (n, 2) as float32 in 0..1."""
        inside = np.zeros(self.shape, np.uint8)
        cv2.fillPoly(inside, [self.to_fixed_point(outline)], 255, cv2.LINE_AA, _FRACTION_BITS)
        return inside * np.float32(1 / 255)

    def noise(self, rng: np.random.Generator, cell: float) -> np.ndarray:
        """Return smooth noise of about unit variance whose bumps are about `cell` units wide."""
        left, top, right, bottom = _REACH
        coarse = rng.standard_normal((int((bottom - top) / cell) + 2, int((right - left) / cell) + 2), dtype=np.float32)
        return cv2.resize(coarse, self.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def shrink(self, plane: np.ndarray) -> np.ndarray:
        """Return a plane at the canvas's own scale."""
        return plane if self.factor == 1 else cv2.resize(plane, self.canvas.shape[::-1], interpolation=cv2.INTER_AREA)


def _side(cut: Cut, wearer: Wearer, side: int, rng: np.random.Generator, varied: bool) -> np.ndarray:
    """Return one half's outline on the canvas, (n, 2) from the top of the middle to its bottom."""
    points = np.array(cut.outline)
    if varied:
        points = points * (1 + 0.05 * rng.standard_normal(), 1)
        points[1:-1, 1] += 0.03 * rng.standard_normal(len(points) - 2)
    return smooth(to_canvas(wearer, points * (1 if side else -1, 1)), closed=False)


def to_canvas(wearer: Wearer, points: np.ndarray) -> np.ndarray:
    """Return the points of the canvas, in units, that lie at u, v of the wearer's upper lip, both (…, 2)."""
    u, v = points[..., 0], points[..., 1]
    corners = np.maximum(np.abs(wearer.points[[groups.RIGHT_MOUTH_CORNER, groups.LEFT_MOUTH_CORNER], 0]), 0.12)
    corner = np.where(u < 0, corners[0], corners[1])
    # A smile widens the lip, not the hair's ends beyond it.
    beyond = np.maximum(np.abs(u) - 1, 0) * np.minimum(corner, _CORNER)
    x = np.sign(u) * (np.minimum(np.abs(u), 1) * corner + beyond)
    lip = _line(wearer.points[groups.UPPER_LIP], x, 0.15) - _MARGIN
    nose = np.minimum(_line(wearer.points[groups.NOSE_BASE], x, 0.35), lip - 0.02)
    return np.stack([x, nose + v * (lip - nose)], -1)


def _line(points: np.ndarray, x: np.ndarray, fall: float) -> np.ndarray:
    """Return the height at x of the line through points (n, 2), which falls by `fall` a unit beyond its ends."""
    order = np.argsort(points[:, 0])
    across, heights = points[order, 0], points[order, 1]
    beyond = np.maximum(across[0] - x, 0) + np.maximum(x - across[-1], 0)
    return np.interp(x, across, heights) + fall * beyond


def _hairs(
    patch: _Patch, region: np.ndarray, cut: Cut, wearer: Wearer, rng: np.random.Generator, varied: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return brightness (1 is the mean) and alpha in 0..1 of the hairs, float32 (h, w) of the patch each."""
    outline = np.array(cut.outline)
    reach, (top, bottom) = outline[:, 0].max(), (outline[:, 1].min(), outline[:, 1].max())
    roots = rng.uniform((-reach, top), (reach, bottom), (_HAIRS, 2))
    disorder, bend = rng.standard_normal((2, _HAIRS)) * (14 if varied else 8)
    lengths = cut.length * rng.uniform(0.6, 1.2, _HAIRS)
    tones = rng.integers(0, len(_TONES), _HAIRS)

    start = to_canvas(wearer, roots)
    columns, rows = (patch.to_fixed_point(start) >> _FRACTION_BITS).T
    inside = (rows >= 0) & (rows < patch.shape[0]) & (columns >= 0) & (columns < patch.shape[1])
    inside[inside] = region[rows[inside], columns[inside]] > 0.5
    angles = np.interp(np.abs(roots[:, 0]), *np.array(cut.grain).T) + disorder
    steps = np.linspace(0, 1, _HAIR_POINTS)
    heading = np.radians(angles[:, None] + bend[:, None] * steps)
    outward = np.where(roots[:, 0] < 0, -1, 1)[:, None]
    # The root is near the middle of the hair, so that a tip crosses the outline by little more than half a length.
    path = (steps - 0.4) * lengths[:, None]
    curves = start[:, None] + np.stack([outward * np.cos(heading), np.sin(heading)], -1) * path[..., None]
    fixed = patch.to_fixed_point(curves)

    tone, alpha = np.zeros(patch.shape, np.uint8), np.zeros(patch.shape, np.uint8)
    thickness = max(1, round(patch.scale / _FINE))
    for number, value in enumerate(_TONES):
        lines = list(fixed[inside & (tones == number)])
        for plane, level in ((tone, round(128 * value)), (alpha, 255)):
            cv2.polylines(plane, lines, False, level, thickness, cv2.LINE_AA, _FRACTION_BITS)
    return tone * np.float32(1 / 128), alpha * np.float32(1 / 255)


def _above_lips(patch: _Patch, wearer: Wearer) -> np.ndarray:
    """Return what of the hair is kept, float32: 0 on the lips and close to them, 1 elsewhere, with a soft edge."""
    lips = patch.fill(wearer.points[groups.OUTER_LIPS])
    grown = cv2.dilate(lips, np.ones((3, 3), np.uint8), iterations=max(1, round(0.5 * _MARGIN * patch.scale)))
    return 1 - cv2.GaussianBlur(grown, (0, 0), 0.25 * _MARGIN * patch.scale + 0.5)


def moustache_color(wearer: Wearer, rng: np.random.Generator, varied: bool) -> np.ndarray:
    """Draw the mean colour of a moustache's hair, float32 (3,), RGB in 0..1, without the light on it.

    The plain style draws one of `PLAIN_HAIR`. The varied style takes the colour of the wearer's own hair, as his brows
    show it (`Wearer.hair_color`), a little lighter or darker; one moustache in twelve is also greyer.
    """
    if not varied:
        return PLAIN_HAIR[rng.integers(len(PLAIN_HAIR))]
    color = wearer.hair_color() * np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.02, 3))
    grey = rng.uniform(0.2, 0.7) if rng.random() < _GREY_CHANCE else 0.0
    return np.clip(color + grey * (GREY_HAIR - color), 0.015, 0.9).astype(np.float32)
