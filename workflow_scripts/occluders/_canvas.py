"""What the kinds draw on: the mean frontal face as a grid of pixels, with the shapes and the noise that they share.

Lengths are in units of the mean face: the distance from the bridge of the nose to the chin is 1. Left and right are
those of the picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

LEFT, TOP, WIDTH, HEIGHT = -1.0, -0.15, 2.0, 1.35  # units; place and size of the whole canvas
# Pixels per unit; few, so that the grids are cached.
_SCALES = (*range(32, 128, 8), *range(128, 256, 16), *range(256, 513, 32))
_FRACTION_BITS = 4  # of the coordinates given to OpenCV, which are fixed-point numbers
_SOFT = 3  # canvas pixels beyond an outline, for its soft edge and for the slopes at that edge


@dataclass(frozen=True, eq=False)
class Canvas:
    """The mean frontal face, or a part of it, as a pixel grid.

    Attributes:
        scale: pixels per unit.
        x: float32 (1, w), positions of the columns' centres, growing to the right; 0 is the middle of the face.
        y: float32 (h, 1), positions of the rows' centres, growing downwards; 0 is the bridge of the nose, 1 the chin.
        place: the rows and columns that it has of the grid of the whole face.
    """

    scale: int
    x: np.ndarray
    y: np.ndarray
    place: tuple[slice, slice]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y.shape[0], self.x.shape[1]

    @property
    def origin(self) -> tuple[float, float]:
        """The canvas's left and upper edge in units."""
        rows, columns = self.place
        return LEFT + columns.start / self.scale, TOP + rows.start / self.scale

    def part(self, left: int, top: int, right: int, bottom: int) -> "Canvas":
        """Return the part between these columns and rows, as far as the canvas has them."""
        (height, width), (rows, columns) = self.shape, self.place
        left, right, top, bottom = max(left, 0), min(right, width), max(top, 0), min(bottom, height)
        place = slice(rows.start + top, rows.start + bottom), slice(columns.start + left, columns.start + right)
        return Canvas(self.scale, self.x[:, left:right], self.y[top:bottom], place)

    def around(self, points: np.ndarray, margin: float) -> "Canvas":
        """Return the part that holds points (n, 2), with a margin in units around them."""
        left, top, width, height = cv2.boundingRect(self.to_pixels(points).astype(np.float32))
        margin = _SOFT + math.ceil(margin * self.scale)
        return self.part(left - margin, top - margin, left + width + margin, top + height + margin)

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Return canvas pixel coordinates of points (..., 2)."""
        left, top = self.origin
        return np.asarray(points, np.float64) * self.scale - (left * self.scale + 0.5, top * self.scale + 0.5)

    def rows(self, first: float, last: float) -> slice:
        """Return the rows between two heights, which are given in units."""
        start, stop = (round((y - TOP) * self.scale) - self.place[0].start for y in (first, last))
        return slice(max(start, 0), max(stop, 0))

    def fill(self, outline: np.ndarray) -> np.ndarray:
        """Return the antialiased inside of a closed outline (n, 2) as float32 (h, w) in 0..1."""
        alpha = np.zeros(self.shape, np.uint8)
        cv2.fillPoly(alpha, [self._fixed_point(outline)], 255, cv2.LINE_AA, _FRACTION_BITS)
        return alpha * np.float32(1 / 255)

    def stroke(self, lines: np.ndarray, width: float) -> np.ndarray:
        """Return antialiased open lines as float32 (h, w) in 0..1.

        Args:
            lines: (k, n, 2), k lines of n points each, in units.
            width: width of the lines in units.
        """
        alpha = np.zeros(self.shape, np.uint8)
        cv2.polylines(
            alpha,
            list(self._fixed_point(lines)),
            False,
            255,
            max(1, round(width * self.scale)),
            cv2.LINE_AA,
            _FRACTION_BITS,
        )
        return alpha * np.float32(1 / 255)

    def inset(self, alpha: np.ndarray) -> np.ndarray:
        """Return each pixel's distance in units from the edge of the area that `alpha` covers, 0 outside it."""
        return cv2.distanceTransform((alpha > 0.5).view(np.uint8), cv2.DIST_L2, 3) * np.float32(1 / self.scale)

    def noise(self, rng: np.random.Generator, cell: float) -> np.ndarray:
        """Return smooth noise of unit variance whose bumps are about `cell` units wide, float32 (h, w).

        The random numbers do not depend on the canvas's scale, nor on which part of the face it is.
        """
        rows, columns = int(HEIGHT / cell) + 2, int(WIDTH / cell) + 2
        coarse = rng.standard_normal((rows, columns), dtype=np.float32)
        down = _cubic_weights(rows, round(HEIGHT * self.scale))[self.place[0]]
        across = _cubic_weights(columns, round(WIDTH * self.scale))[self.place[1]]
        return down @ coarse @ across.T

    def _fixed_point(self, points: np.ndarray) -> np.ndarray:
        return np.rint(self.to_pixels(points) * 2**_FRACTION_BITS).astype(np.int32)


@dataclass(frozen=True)
class Wear:
    """How far an occluder sits out of place.

    Attributes:
        right: movement to the right, in units.
        down: movement downwards, in units.
        turn: turn clockwise, in radians.
    """

    right: float = 0.0
    down: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True)
class DrawnOccluder:
    """An occluder on the mean face, before light.

    Attributes:
        canvas: the part of the mean face that it is drawn on; nothing of it lies beyond.
        color: the surface's own colour, RGB float32 (3, h, w) in 0..1, or (3, 1, 1) if it is the same everywhere.
        alpha: float32 (h, w), 0..1.
        relief: height of the surface in units, float32 (h, w); the light shows its slope.
        shade: float32 (h, w), a factor for what a relief cannot show, as folds that hide light, and thin cloth.
        wear: how far it sits out of place.
    """

    canvas: Canvas
    color: np.ndarray
    alpha: np.ndarray
    relief: np.ndarray
    shade: np.ndarray
    wear: Wear = Wear()


def canvas_for(pixels_per_unit: float) -> Canvas:
    """Return the coarsest of a few cached canvases that is at least as fine as asked, or else the finest."""
    return _canvas(next((s for s in _SCALES if s >= pixels_per_unit), _SCALES[-1]))


@lru_cache(maxsize=len(_SCALES))
def _canvas(scale: int) -> Canvas:
    x = (np.arange(round(WIDTH * scale), dtype=np.float32) + 0.5) / scale + LEFT
    y = (np.arange(round(HEIGHT * scale), dtype=np.float32) + 0.5) / scale + TOP
    for axis in (x, y):
        axis.setflags(write=False)
    return Canvas(scale, x[None, :], y[:, None], (slice(0, len(y)), slice(0, len(x))))


@lru_cache
def _cubic_weights(count: int, size: int) -> np.ndarray:
    """Return the weights (size, count) by which `count` values are interpolated to `size`."""
    return cv2.resize(np.eye(count, dtype=np.float32), (count, size), interpolation=cv2.INTER_CUBIC)


def smooth(points: np.ndarray, steps: int = 8, closed: bool = True) -> np.ndarray:
    """Return a Catmull-Rom curve through points.

    Args:
        points: (n, dimensions).
        steps: number of segments between two consecutive points.
        closed: whether the last point is followed by the first.

    Returns:
        float64 (m, dimensions).
    """
    points = np.asarray(points, np.float64)
    if closed:
        before, after, last = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
        before, points, after, last = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[:, None, None]
    curve = 0.5 * (
        2 * points
        + t * (after - before)
        + t**2 * (2 * before - 5 * points + 4 * after - last)
        + t**3 * (3 * points - 3 * after + last - before)
    )
    curve = curve.swapaxes(0, 1).reshape(-1, points.shape[1])
    return curve if closed else np.concatenate([curve, after[-1:]])


def mirrored_outline(half: Sequence[tuple[float, float]], corners: Sequence[int] = ()) -> np.ndarray:
    """Return the closed outline of a symmetric shape, float64 (m, 2).

    Args:
        half: points of the right half, from the top of the middle to its bottom: x >= 0, and 0 for the first and last.
        corners: positions in `half` of the points that stay sharp.
    """
    across, down = _outline_weights(len(half), tuple(corners))
    x, y = np.array(half, np.float64).T
    return np.array([across @ x, down @ y]).T


@lru_cache
def _outline_weights(count: int, corners: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (m, count) that the points of half an outline have in the x and in the y of the whole."""
    right = np.repeat(np.eye(count), [3 if i in corners else 1 for i in range(count)], axis=0)
    left = right[-2:0:-1]
    return smooth(np.concatenate([right, -left])), smooth(np.concatenate([right, left]))
