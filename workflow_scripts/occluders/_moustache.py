"""What all moustaches share: hair, stroke by stroke, between the nose's base and the upper lip's line.

A cut is given in coordinates of the upper lip: u across, 0 in the middle and 1 at the mouth's corner; v down, 0 at the
nose's base and 1 at the lip's line. Both lines are the face's own, so that a smile, an open or a crooked mouth bend the
moustache.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from workflow_scripts.occluders._canvas import LEFT, TOP, Canvas, Drawing, smooth
from workflow_scripts.occluders._face import Face
from workflow_scripts.occluders._fit import Covers
from workflow_scripts.occluders._placement import Placement

# The jaw's points keep what lies beyond the mouth's corners on the cheek.
PLACEMENT = Placement(seam=(27, 51), anchors=(3, 4, 31, 32, 48, 49, 50), wraps=False)
_REACH = (-0.6, 0.2, 0.6, 0.78)  # left, top, right, bottom of the part of the canvas that is drawn on
COVERS = Covers(area=(0.001, 0.1), mouth=(0, 0.12), eyes=(0, 0), nostrils=(0, 0.25))

_FINE = 256  # pixels per unit at which hairs are drawn, at least
_HAIRS = 1000  # roots tried in the box around the cut
_POINTS = 5  # of a hair's curve
_TONES = (0.5, 0.75, 1.0, 1.2, 1.5)  # of hairs beside the mean; drawn in this order, so that light ones lie on top
_FACTOR_BITS = 4
_UNDER = 0.75  # what lies between the hairs is their shadow
_PLAIN = np.array([(0.10, 0.08, 0.07), (0.16, 0.11, 0.08), (0.26, 0.17, 0.10)], np.float32)
_GREY = np.float32([0.62, 0.61, 0.60])
_CORNER = 0.28  # of the mean face's mouth
_MARGIN = 0.012  # units between the hair and the lip's line


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


def draw_moustache(canvas: Canvas, style: str, face: Face, rng: np.random.Generator, cut: Cut) -> Drawing:
    """Draw hair on the mean face; the plain style has few colours, full density and no disorder."""
    varied = style == "varied"
    patch = _Patch(canvas)
    outlines = [_side(cut, face, side, rng, varied) for side in (0, 1)]
    region = patch.fill(np.concatenate([outlines[1], outlines[0][::-1]]))
    density = np.float32(cut.density * (rng.uniform(0.6, 1.05) if varied else 1))
    base = _color(face, rng, varied)
    tone, hairs = _hairs(patch, region, cut, face, rng, varied)

    clumps = 1 + 0.12 * patch.noise(rng, 0.035)
    soft = cv2.GaussianBlur(region, (0, 0), 0.016 * patch.scale)
    thin = 1 + (0.35 if varied else 0.1) * patch.noise(rng, 0.05)
    under = np.clip(density * thin * np.clip(1.6 * soft - 0.45, 0, 1), 0, 0.95)
    free = _above_lips(patch, face)
    alpha = (1 - (1 - under) * (1 - hairs * np.minimum(density + 0.1, 1))) * free
    bright = np.where(hairs > 0, tone * hairs + _UNDER * (1 - hairs), _UNDER).astype(np.float32) * clumps
    bright, alpha = patch.shrink(bright * alpha), patch.shrink(alpha)
    bright = np.where(alpha > 1e-3, bright / np.maximum(alpha, 1e-3), _UNDER)
    color = np.clip(base[:, None, None] * bright, 0, 1)
    relief = 0.02 * cv2.GaussianBlur(alpha, (0, 0), 0.02 * canvas.scale) + 0.002 * bright * alpha
    return Drawing(patch.canvas, color, np.clip(alpha, 0, 1), relief, np.ones(alpha.shape, np.float32))


class _Patch:
    """The part of the canvas that a moustache reaches, some times as fine.

    Attributes:
        scale: pixels per unit.
        canvas: the same part at the canvas's own scale.
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
        return np.round(((points - self.canvas.origin) * self.scale - 0.5) * 2**_FACTOR_BITS).astype(np.int32)

    def fill(self, outline: np.ndarray) -> np.ndarray:
        """Return the inside of a closed outline (n, 2) as float32 in 0..1."""
        inside = np.zeros(self.shape, np.uint8)
        cv2.fillPoly(inside, [self.to_fixed_point(outline)], 255, cv2.LINE_AA, _FACTOR_BITS)
        return inside * np.float32(1 / 255)

    def noise(self, rng: np.random.Generator, cell: float) -> np.ndarray:
        """Return smooth noise of about unit variance whose bumps are about `cell` units wide."""
        left, top, right, bottom = _REACH
        coarse = rng.standard_normal((int((bottom - top) / cell) + 2, int((right - left) / cell) + 2), dtype=np.float32)
        return cv2.resize(coarse, self.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def shrink(self, plane: np.ndarray) -> np.ndarray:
        """Return a plane at the canvas's own scale."""
        return plane if self.factor == 1 else cv2.resize(plane, self.canvas.shape[::-1], interpolation=cv2.INTER_AREA)


def _side(cut: Cut, face: Face, side: int, rng: np.random.Generator, varied: bool) -> np.ndarray:
    """Return one half's outline on the canvas, (n, 2) from the top of the middle to its bottom."""
    points = np.array(cut.outline)
    if varied:
        points = points * (1 + 0.05 * rng.standard_normal(), 1)
        points[1:-1, 1] += 0.03 * rng.standard_normal(len(points) - 2)
    return smooth(to_canvas(face, points * (1 if side else -1, 1)), closed=False)


def to_canvas(face: Face, points: np.ndarray) -> np.ndarray:
    """Map (…, 2) u, v of the upper lip to the canvas."""
    u, v = points[..., 0], points[..., 1]
    corners = np.maximum(np.abs(face.points[[48, 54], 0]), 0.12)
    corner = np.where(u < 0, corners[0], corners[1])
    # A smile widens the lip, not the hair's ends beyond it.
    beyond = np.maximum(np.abs(u) - 1, 0) * np.minimum(corner, _CORNER)
    x = np.sign(u) * (np.minimum(np.abs(u), 1) * corner + beyond)
    lip = _line(face.points[48:55], x, 0.15) - _MARGIN
    nose = np.minimum(_line(face.points[31:36], x, 0.35), lip - 0.02)
    return np.stack([x, nose + v * (lip - nose)], -1)


def _line(points: np.ndarray, x: np.ndarray, fall: float) -> np.ndarray:
    """Return the height at x of the line through points (n, 2), beyond its ends falling by `fall` for each unit."""
    order = np.argsort(points[:, 0])
    across, heights = points[order, 0], points[order, 1]
    beyond = np.maximum(across[0] - x, 0) + np.maximum(x - across[-1], 0)
    return np.interp(x, across, heights) + fall * beyond


def _hairs(
    patch: _Patch, region: np.ndarray, cut: Cut, face: Face, rng: np.random.Generator, varied: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return tone (1 the mean) and alpha of the hairs, float32 each."""
    outline = np.array(cut.outline)
    reach, (top, bottom) = outline[:, 0].max(), (outline[:, 1].min(), outline[:, 1].max())
    roots = rng.uniform((-reach, top), (reach, bottom), (_HAIRS, 2))
    disorder, bend = rng.standard_normal((2, _HAIRS)) * (14 if varied else 8)
    lengths = cut.length * rng.uniform(0.6, 1.2, _HAIRS)
    tones = rng.integers(0, len(_TONES), _HAIRS)

    start = to_canvas(face, roots)
    columns, rows = (patch.to_fixed_point(start) >> _FACTOR_BITS).T
    inside = (rows >= 0) & (rows < patch.shape[0]) & (columns >= 0) & (columns < patch.shape[1])
    inside[inside] = region[rows[inside], columns[inside]] > 0.5
    angles = np.interp(np.abs(roots[:, 0]), *np.array(cut.grain).T) + disorder
    steps = np.linspace(0, 1, _POINTS)
    heading = np.radians(angles[:, None] + bend[:, None] * steps)
    outward = np.where(roots[:, 0] < 0, -1, 1)[:, None]
    # A root in the middle of the hair: tips cross the outline by half a length at most.
    path = (steps - 0.4) * lengths[:, None]
    curves = start[:, None] + np.stack([outward * np.cos(heading), np.sin(heading)], -1) * path[..., None]
    fixed = patch.to_fixed_point(curves)

    tone, alpha = np.zeros(patch.shape, np.uint8), np.zeros(patch.shape, np.uint8)
    thickness = max(1, round(patch.scale / _FINE))
    for number, value in enumerate(_TONES):
        lines = list(fixed[inside & (tones == number)])
        for plane, level in ((tone, round(128 * value)), (alpha, 255)):
            cv2.polylines(plane, lines, False, level, thickness, cv2.LINE_AA, _FACTOR_BITS)
    return tone * np.float32(1 / 128), alpha * np.float32(1 / 255)


def _above_lips(patch: _Patch, face: Face) -> np.ndarray:
    """Return 0 on the lips and close to them, 1 elsewhere, with a soft edge."""
    lips = patch.fill(face.points[48:60])
    grown = cv2.dilate(lips, np.ones((3, 3), np.uint8), iterations=max(1, round(0.5 * _MARGIN * patch.scale)))
    return 1 - cv2.GaussianBlur(grown, (0, 0), 0.25 * _MARGIN * patch.scale + 0.5)


def _color(face: Face, rng: np.random.Generator, varied: bool) -> np.ndarray:
    """Return the hair's mean colour, float32 (3,): near the brows', now and then greyer."""
    if not varied:
        return _PLAIN[rng.integers(len(_PLAIN))]
    color = face.hair_color() * np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.02, 3))
    grey = rng.uniform(0.2, 0.7) if rng.random() < 0.08 else 0.0
    return np.clip(color + grey * (_GREY - color), 0.015, 0.9).astype(np.float32)
