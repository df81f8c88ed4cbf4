r"""One person's landmarks with another person's proportions, so that a driver does not give the target his own face.

**The neutral shape** $N$ (68, 2) is a calm face where the head usually is. It is measured on one person's frames:

1. The half of the frames that look ahead most are turned, scaled and moved onto each other by their `STABLE` points
   (generalised Procrustes analysis: Gower, Psychometrika 40, 1975).
2. Mouth and outline are taken back to a closed mouth by their linear regression on its opening, since the lips of some
   people are never closed in a whole clip.
3. The shape is the median of the half of these frames whose eyes are open most, because eyes that blink, frown or look
   down are narrower. The eyes themselves are the median of the tenth whose eyes are open most, because a person who
   squints in most of a clip can still open his eyes.
4. The shape is turned upright and given the median place and size of the stable points in all frames.

**The method `shape`** takes a driver's frame $X$ and the neutral shapes $N_d$ and $N_t$ of driver and target:

1. Head: the similarity $S(p) = s R (p - c_d) + c_d + m$ takes the stable points of $N_d$ nearest to those of $X$; $c_d$
   is the mean of the former.
2. Expression: $E = S^{-1}(X) - N_d$, which also holds the part of a head's turn that no similarity shows.
3. Each part $p$ moves farther where the target's part is larger: $E'_i = k_p E_i$, where the diagonal matrix $k_p$ has
   two ratios of lengths, target to driver (`_MEASURES`). For eyes they include the opening, so that eyes close wholly.
4. The target makes the same movement: $Y = s R (N_t + E' - c_t) + c_t + r m$, where $r$ is the ratio of the sizes of
   the stable points.

A person who drives himself gets his own landmarks back: then $k = r = 1$ and $Y = X$. Lips or lids that would cross
each other meet in their middle.

**The method `similarity`** is $Y = A(X)$, where the similarity $A$ takes the stable points of $N_d$ nearest to those of
$N_t$.
"""

from typing import Literal

import numpy as np

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.alignment import fit_similarity, tilt_of, transform_points
from workflow_scripts.faces.pose import head_yaw

STABLE = [*groups.numbers(groups.NOSE), *groups.EYE_CORNERS]  # the points that no expression moves
MIN_FRAMES = 10  # of a clip for a neutral shape; in fewer a face cannot be told from its expression
AHEAD = 0.5  # share of the frames, those that look ahead most, that the neutral shape is measured on
AWAKE, WIDE = 0.5, 0.1  # shares of these, those whose eyes are open most, for the shape and for its eyes
MOVED_BY_MOUTH = groups.numbers(groups.JAW, groups.MOUTH)  # what moves when the mouth opens
RIDGE = 0.01  # of the size of the stable points; a mouth's opening that varies by less has little effect
ROUNDS = 5  # rounds of the Procrustes analysis
RATIO_LIMITS = (0.5, 2.0)  # limits of the ratio of two people's parts, which differ less
_LID_PAIRS = groups.RIGHT_LID_PAIRS + groups.LEFT_LID_PAIRS
_MEETING = np.array(groups.LIP_PAIRS + _LID_PAIRS)  # (7, 2), the upper and the lower point of each pair
# For each part its points, and the pairs of points whose distances measure it across and along the face. Along the
# face, brows are measured by their height above the eyes, mouths by the room between nose and chin, and eyes by how far
# they open.
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
        driver: (68, 2), the driver's neutral shape, in the same pixels.
        target: (68, 2), the target's neutral shape, in pixels of the result.
        how: the method, see the head of this module.
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
    """Return in rising order the positions of the smallest values: a fraction of all, and at least one."""
    return np.sort(np.argsort(values, kind="stable")[: max(1, round(fraction * len(values)))])


def _distances(faces: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Return the mean distance of the points of each pair, for each of (n, 68, 2)."""
    one, other = np.array(pairs).T
    return np.linalg.norm(faces[:, one] - faces[:, other], axis=-1).mean(axis=1)


def _part_scales(driver: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return for each point how many times as far it moves in the target's face, across and along it, (68, 2)."""
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
