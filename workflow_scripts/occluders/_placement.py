"""Where a drawing lies on a face: one perspective transform for each side of the face, both equal along the seam.

Left and right are those of the picture: the left side shows the person's right cheek.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from workflow_scripts.faces import landmark_groups as groups

# The landmarks of the left half and the middle of the mean frontal face, by their numbers: jaw, nose, lips. The second
# point of the nose's bridge (28) is at (0, 0) and the chin (8) at (0, 1); x grows to the right. They are the mean of
# dlib's landmarks on 201 frontal faces of aligned CelebA, made symmetric.
_HALF_FACE = {
    0: (-0.682, -0.107), 1: (-0.670, 0.076), 2: (-0.645, 0.257), 3: (-0.616, 0.435), 4: (-0.557, 0.603),
    5: (-0.455, 0.749), 6: (-0.324, 0.871), 7: (-0.172, 0.971), 8: (0.0, 1.0),
    27: (0.0, -0.121), 28: (0.0, 0.0), 29: (0.0, 0.121), 30: (0.0, 0.244),
    31: (-0.129, 0.314), 32: (-0.067, 0.337), 33: (0.0, 0.359),
    48: (-0.280, 0.517), 49: (-0.177, 0.480), 50: (-0.075, 0.463), 51: (0.0, 0.479),
    57: (0.0, 0.677), 58: (-0.082, 0.668), 59: (-0.184, 0.622),
}  # fmt: skip
_TURN_WIDENING = 0.37  # a turned face shows more cheek before the near ear, and less before the far one
_FRONT = [groups.NOSE_TIP, *groups.numbers(groups.OUTER_LIPS)]  # what stands out before the cheeks in profile
_FRONT_MARGIN = 1.15  # an occluder reaches this much farther than what stands out
FAR = -1e4  # pixels; a position that `cv2.remap` finds outside of every canvas


@dataclass(frozen=True)
class Placement:
    """The landmarks that carry a kind of occluder.

    Attributes:
        seam: two landmarks of the middle, the upper and the lower one; the line through them parts both sides.
        anchors: landmarks of the left side that its transform follows; the right side follows their mirror images.
        wraps: whether the occluder lies round the cheeks, of which a turned face shows more on one side, and over nose
            and lips.
    """

    seam: tuple[int, int]
    anchors: tuple[int, ...]
    wraps: bool = True


# The whole face, by its jaw without the ears.
FACE = Placement(seam=(28, groups.CHIN), anchors=tuple(groups.numbers(groups.RIGHT_JAW)[1:]))


@dataclass(frozen=True)
class Pose:
    """A placement solved for one face.

    Attributes:
        sides: float64 (2, 3, 3), homographies from the mean face's left and right half to pixels of the picture.
        seam: float64 (2, 2), x and y of the seam's upper and lower end in pixels.
        turn: -1..1; positive when the face is turned to the picture's right, so that its left side shows more.
        unit: pixels per unit of the mean face, which is the distance from the bridge of the nose to the chin.
    """

    sides: np.ndarray
    seam: np.ndarray
    turn: float
    unit: float


def solve_pose(landmarks: np.ndarray, placement: Placement) -> Pose | None:
    """Fit both sides' homographies to a face by least squares.

    With the seam's ends T (at height 0) and B (at height 1), side s maps (x, y) to
    `(T + y ((1 + h) B - T) + x a_s) / (1 + g_s x + h y)`. Both sides agree at x = 0 whatever the seven unknowns
    a_0, g_0, a_1, g_1 and h are, so that the drawing is continuous there. Multiplied by the denominator, the equations
    are linear.

    Args:
        landmarks: (68, 2), x and y in pixels.
        placement: which landmarks to follow.

    Returns:
        The pose, or None when the landmarks are degenerate: not finite, collapsed, or the seam outside the face.
    """
    points = np.asarray(landmarks, np.float64)
    if not np.isfinite(points).all():
        return None
    seam = top, bottom = points[[*placement.seam]]
    down = bottom - top
    length = math.hypot(*down.tolist())
    if length < 1:
        return None
    anchors = _anchors(placement)
    x, y = anchors.x[:, None], anchors.y[:, None]
    # Positions are in units of the seam, from its upper end, which keeps the equations well conditioned.
    points = (points - top) / length
    down = down / length
    across = np.array([down[1], -down[0]])
    targets = points[anchors.numbers]
    left, right = (targets.mean(1) @ across).tolist()
    if left >= 0 or right <= 0:
        return None
    turn = (-left - right) / (right - left)
    widening = np.zeros(2)
    if placement.wraps:
        # In profile, nose and lips stand out beyond the far cheek, and so does what covers them.
        front = (points[_FRONT] @ across).tolist()
        apart = min(_FRONT_MARGIN * min(front) - left, 0), max(_FRONT_MARGIN * max(front) - right, 0)
        targets = targets + np.array(apart)[:, None, None] * (x / x.mean()) * across
        widening = _TURN_WIDENING * turn * np.array([1, -1])

    equations = anchors.equations.copy()
    equations[0, :, :, 2], equations[1, :, :, 5] = -x * targets
    equations[..., 6] = y * (down - targets)
    equations = equations.reshape(-1, 7)
    values = (targets - y * down).reshape(-1, 1)
    solved, solution = cv2.solve(equations.T @ equations, equations.T @ values)
    if not solved:
        return None
    h = solution[6, 0]
    homographies = np.zeros((2, 3, 3))
    homographies[:, :, 0] = solution[:6].reshape(2, 3) / ((1 + widening) * (1, -1))[:, None]
    homographies[:, :, 1] = (1 + h) * down[0], (1 + h) * down[1], h
    homographies[:, 2, 2] = 1
    to_picture = np.array([[length, 0, top[0]], [0, length, top[1]], [0, 0, 1]])
    return Pose(to_picture @ homographies @ anchors.to_seam, seam, turn, length * anchors.to_seam[1, 1])


class _Anchors(NamedTuple):
    """What the equations of all faces have in common.

    Attributes:
        numbers: int (2, n), the landmarks of the left and of the right side.
        x: (n,), positions of the left landmarks on the mean face.
        y: (n,), heights of the landmarks: 0 at the seam's upper end and 1 at its lower end.
        equations: (2, n, 2, 7), coefficients by side, anchor, axis and unknown; 0 where they depend on the face.
        to_seam: (3, 3), from the mean face to heights of 0 to 1 on the seam.
    """

    numbers: np.ndarray
    x: np.ndarray
    y: np.ndarray
    equations: np.ndarray
    to_seam: np.ndarray


@cache
def _anchors(placement: Placement) -> _Anchors:
    (_, start), (_, end) = (_HALF_FACE[i] for i in placement.seam)
    left = placement.anchors
    x, y = np.array([_HALF_FACE[i] for i in left]).T
    # The equations are those of the left side; the right side is mirrored, and both are widened, after they are solved.
    equations = np.zeros((2, len(left), 2, 7))
    for side in (0, 1):
        for axis in (0, 1):
            equations[side, :, axis, 3 * side + axis] = x
    scale = 1 / (end - start)
    to_seam = np.array([[1, 0, 0], [0, scale, -start * scale], [0, 0, 1]])
    return _Anchors(np.array([left, [groups.MIRRORED[i] for i in left]]), x, (y - start) * scale, equations, to_seam)


def project(pose: Pose, points: np.ndarray) -> np.ndarray:
    """Return points (n, 2) of the mean face in pixels of the picture; a point beyond the horizon becomes NaN."""
    left, right = points @ pose.sides[:, :, :2].swapaxes(1, 2) + pose.sides[:, None, :, 2]
    mapped = np.where(points[:, :1] < 0, left, right)
    weight = mapped[:, 2:]
    weight[weight <= 0.05] = np.nan
    return mapped[:, :2] / weight


def unproject_points(pose: Pose, points: np.ndarray) -> np.ndarray:
    """Return points (n, 2) of the picture on the mean face; a point beyond the horizon lies far outside."""
    (top, bottom) = pose.seam
    offset, seam = points - top, bottom - top
    right = offset[:, :1] * seam[1] - offset[:, 1:] * seam[0] > 0
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    left_map, right_map = (homogeneous @ matrix.T for matrix in _inverses(pose))
    mapped = np.where(right, right_map, left_map)
    valid = mapped[:, 2:] > 1e-6
    return np.where(valid, mapped[:, :2] / np.where(valid, mapped[:, 2:], 1), 9)


def _inverses(pose: Pose) -> np.ndarray:
    """Return both sides' inverse homographies, float64 (2, 3, 3)."""
    return np.array([cv2.invert(side)[1] for side in pose.sides])


def unproject(pose: Pose, x: np.ndarray, y: np.ndarray, then: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pixels of a grid lie on the mean face, moved on by an affine matrix.

    Args:
        pose: where the face is.
        x: (w,), the columns' positions in pixels of the picture.
        y: (h,), the rows' positions.
        then: (3, 3), the matrix that is applied to points of the mean face.

    Returns:
        Two float32 arrays (h, w), x and y; both are `FAR` for a pixel beyond the horizon.
    """
    columns, rows = x.astype(np.float32), y.astype(np.float32)[:, None]
    (from_x, from_y), (to_x, to_y) = pose.seam
    seam = np.array([to_y - from_y, from_x - to_x, from_y * to_x - from_x * to_y])  # positive on the right
    left, right = then @ _inverses(pose)
    # Both sides agree on the seam, so they differ by a multiple of the distance from it.
    bend = (right - left) @ seam / (seam @ seam)
    left, seam, bend = left.astype(np.float32)[:, :, None, None], seam.astype(np.float32), bend.astype(np.float32)
    beyond = np.maximum(seam[0] * columns + (seam[1] * rows + seam[2]), 0)
    mapped = left[:, 0] * columns + (left[:, 1] * rows + left[:, 2])
    mapped += bend[:, None, None] * beyond
    position, weight = mapped[:2], mapped[2]
    if weight.min() > 1e-6:
        return tuple(position / weight)
    valid = weight > 1e-6
    return tuple(np.where(valid, position / np.where(valid, weight, 1), FAR))
