r"""One person's landmarks with another person's proportions, so that a driver does not lend the target his own face.

The neutral shape. Of a clip, the half of the frames that look ahead most are turned, scaled and moved onto each other
by their `STABLE` points (generalised Procrustes analysis: Gower, Psychometrika 40, 1975). The shape is the median of
the half of these whose eyes are open most: who blinks, frowns or looks down narrows them. The eyes themselves are those
of the tenth that is open most, since who squints in most of a clip can open his eyes. Mouth and outline are taken
back to a closed mouth, by their linear regression on its opening, as the lips of some are never closed in a whole clip.
The shape is turned upright and given the median place and size that the stable points have in all frames. So `N` (68,
2) is a calm face where the head usually is.

`shape`. With driver's frame $X$ and the neutral shapes $N_d$, $N_t$ of driver and target:

1. Head: the similarity $S(p) = s R (p - c_d) + c_d + m$ takes the stable points of $N_d$ nearest to those of $X$; $c_d$
   is the mean of the former.
2. Expression, and what a similarity does not see of a head's turn: $E = S^{-1}(X) - N_d$.
3. Each part $p$ moves as far as the target's part is larger: $E'_i = k_p E_i$, $k_p$ a diagonal matrix of two ratios of
   lengths, target to driver (`_MEASURES`). Eyes close wholly: theirs is the ratio of the openings.
4. The target makes the same movement: $Y = s R (N_t + E' - c_t) + c_t + r m$, with $r$ the ratio of the sizes of the
   stable points.

A person who drives himself gets his own landmarks back: then $k = r = 1$ and $Y = X$. Two lips, or lids, that would
cross meet in their middle.

`similarity`. $Y = A(X)$, one similarity, which takes the stable points of $N_d$ nearest to those of $N_t$.
"""

from typing import Literal

import numpy as np

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.alignment import fit_similarity, tilt_of, transform_points
from workflow_scripts.faces.pose import head_yaw

STABLE = [*groups.numbers(groups.NOSE), *groups.EYE_CORNERS]  # the points that no expression moves
MIN_FRAMES = 10  # of a clip for a neutral shape; fewer cannot tell a face from its expression
AHEAD = 0.5  # fraction of the frames that look ahead most
AWAKE, WIDE = 0.5, 0.1  # fractions of these whose eyes are open most: for the shape, and for the eyes
MOVED_BY_MOUTH = groups.numbers(groups.JAW, groups.MOUTH)  # what moves when the mouth opens
RIDGE = 0.01  # of the size of the stable points; an opening that varies less than this tells nothing
ROUNDS = 5  # of the Procrustes analysis
RATIO_LIMITS = (0.5, 2.0)  # faces of two people differ less
_LID_PAIRS = groups.RIGHT_LID_PAIRS + groups.LEFT_LID_PAIRS
_MEETING = np.array(groups.LIP_PAIRS + _LID_PAIRS)  # (7, 2), the upper and the lower point of each pair
# Of each part its points, and the pairs of points whose distances, across and along the face, it is measured by: brows
# move as far as they lie above the eyes, mouths as there is room between nose and chin, lids as far as they open.
_MEASURES = {
    "outline": (groups.JAW, [(groups.RIGHT_EAR, groups.LEFT_EAR)], [(groups.NOSE_TOP, groups.CHIN)]),
    "right brow": (
        groups.RIGHT_BROW,
        [(groups.RIGHT_BROW_OUTER, groups.RIGHT_BROW_INNER)],
        [(groups.RIGHT_BROW_MIDDLE, groups.RIGHT_EYE_OUTER)],
    ),
    "left brow": (
        groups.LEFT_BROW,
        [(groups.LEFT_BROW_INNER, groups.LEFT_BROW_OUTER)],
        [(groups.LEFT_BROW_MIDDLE, groups.LEFT_EYE_OUTER)],
    ),
    "nose": (
        groups.NOSE,
        [(groups.RIGHT_NOSTRIL, groups.LEFT_NOSTRIL)],
        [(groups.NOSE_TOP, groups.NOSE_BASE_MIDDLE)],
    ),
    "right eye": (
        groups.RIGHT_EYE,
        [(groups.RIGHT_EYE_OUTER, groups.RIGHT_EYE_INNER)],
        groups.RIGHT_LID_PAIRS,
    ),
    "left eye": (groups.LEFT_EYE, [(groups.LEFT_EYE_INNER, groups.LEFT_EYE_OUTER)], groups.LEFT_LID_PAIRS),
    "mouth": (
        groups.MOUTH,
        [(groups.RIGHT_MOUTH_CORNER, groups.LEFT_MOUTH_CORNER)],
        [(groups.NOSE_BASE_MIDDLE, groups.CHIN)],
    ),
}


def neutral_shape(frames: np.ndarray) -> np.ndarray:
    """Return the neutral shape of a face, float64 (68, 2), upright, in the frames' pixels.

    Args:
        frames: (n, 68, 2), n > 0, landmarks of one person.
    """
    frames = np.asarray(frames, np.float64)
    ahead = _least(np.abs(np.nan_to_num(head_yaw(frames), nan=180.0)), AHEAD)
    aligned, mean = frames[ahead], frames[ahead[0]]
    for _ in range(ROUNDS):
        aligned = np.array([_moved(shape, shape[STABLE], mean[STABLE]) for shape in aligned])
        mean = np.median(aligned, axis=0)
    opening = _distances(aligned, groups.LIP_PAIRS)
    varied = opening - opening.mean()
    slope = np.tensordot(varied, aligned[:, MOVED_BY_MOUTH], 1) / (
        varied @ varied + len(varied) * (RIDGE * _size(mean)) ** 2
    )
    aligned[:, MOVED_BY_MOUTH] -= opening[:, None, None] * slope
    closing = -_distances(aligned, _LID_PAIRS)
    mean = np.median(aligned[_least(closing, AWAKE)], axis=0)
    mean[groups.EYES] = np.median(aligned[_least(closing, WIDE), groups.EYES], axis=0)
    center, size = _center(frames), _size(frames)
    angle = np.radians(tilt_of(mean))
    upright = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (mean - _center(mean)) @ upright * (np.median(size) / _size(mean)) + np.median(center, axis=0)


def transfer_shape(
    frames: np.ndarray, driver: np.ndarray, target: np.ndarray, how: Literal["similarity", "shape"]
) -> np.ndarray:
    """Return the landmarks of a driver's frames for the target's face, float64 (n, 68, 2).

    Args:
        frames: (n, 68, 2), the driver's landmarks.
        driver: (68, 2), his neutral shape, in the same pixels.
        target: (68, 2), the target's, in those of the result.
        how: see above.
    """
    frames = np.asarray(frames, np.float64)
    if how == "similarity":
        return np.array([_moved(points, driver[STABLE], target[STABLE]) for points in frames]).reshape(-1, 68, 2)
    scale = _part_scales(driver, target)
    driver_center, target_center = _center(driver), _center(target)
    ratio = _size(target) / _size(driver)
    moved = np.empty_like(frames)
    for number, points in enumerate(frames):
        head = fit_similarity(driver[STABLE], points[STABLE])
        turn = head[:, :2]  # s R
        movement = transform_points(head, driver_center[None])[0] - driver_center
        expression = transform_points(_inverse(head), points) - driver
        shape = _uncrossed(target + scale * expression)
        moved[number] = (shape - target_center) @ turn.T + target_center + ratio * movement
    return moved


def _least(values: np.ndarray, fraction: float) -> np.ndarray:
    """Return in rising order the numbers of that fraction of the values which is least, at least one."""
    return np.sort(np.argsort(values, kind="stable")[: max(1, round(fraction * len(values)))])


def _distances(faces: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Return the mean distance of the points of each pair, for each of (n, 68, 2)."""
    one, other = np.array(pairs).T
    return np.linalg.norm(faces[:, one] - faces[:, other], axis=-1).mean(axis=1)


def _part_scales(driver: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return for each point how much farther it moves in the target's face, across and along it, (68, 2)."""
    scales = np.empty((68, 2))
    for points, across, along in _MEASURES.values():
        for axis, pairs in enumerate((across, along)):
            of_driver, of_target = _distances(np.stack([driver, target]), pairs)
            scales[points, axis] = of_target / max(of_driver, 1e-6)
    return np.clip(scales, *RATIO_LIMITS)


def _uncrossed(face: np.ndarray) -> np.ndarray:
    """Let lips and lids of an upright face meet in their middle where the upper one would lie below the lower one."""
    upper, lower = face[_MEETING[:, 0]], face[_MEETING[:, 1]]
    crossed = upper[:, 1] > lower[:, 1]
    middle = (upper + lower)[crossed] / 2
    face = face.copy()
    face[_MEETING[crossed, 0], 1] = face[_MEETING[crossed, 1], 1] = middle[:, 1]
    return face


def _moved(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return transform_points(fit_similarity(source, target), points)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def _center(faces: np.ndarray) -> np.ndarray:
    return faces[..., STABLE, :].mean(axis=-2)


def _size(faces: np.ndarray) -> np.ndarray:
    """Return the root-mean-square distance of the stable points from their centre, for each of (..., 68, 2)."""
    return np.sqrt(faces[..., STABLE, :].var(axis=-2).sum(axis=-1))
