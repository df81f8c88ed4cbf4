r"""One person's landmarks with another person's proportions, so that a driver does not give the target his own face.

**The neutral face** $N$ (68, 3) is a person's calm face, looking straight ahead, where the head usually is. Heads are
fitted to the person's frames (`heads.py`), which tells poses from faces. The calmest frames are those whose modes are
nearest to people's mean neutral face. Their mean $c$ may still hold an expression, since some people never have a calm
face in a whole clip. So each mode of the neutral face is the posterior mean $b / (b + \tau) c$, where $b$ and 1 are the
variances of people's neutral faces and of expressions. $\tau$, the share of an expression that is left in the calmest
frames, is the one with which $c$ is most likely (type II maximum likelihood). So the neutral face is $c$ where $c$ is
as neutral faces are, and nearer to people's mean neutral face where it is not: it lies between the two, and cannot be
what neither shows.

**The method `shape`** takes a driver's frame $X$ and the neutral faces $N_d$ and $N_t$ of driver and target, about the
origins $c_d$ and $c_t$ of their heads and in units $u_d$ and $u_t$ of their heads:

1. Head: scale $s$, turn $R$ with tilt $Q$, and place $t$ are those of the head fitted to $X$.
2. Expression: $E = Q^T (X - s R N_d - t) / s$, what the frame has beyond the neutral face in its pose. $N_d$ and $N_t$
   have the slip of the pose (`heads.slip_of`).
3. Each part $p$ moves farther where the target's part is larger: $E'_i = k_p E_i$, where the diagonal matrix $k_p$ has
   two ratios of lengths, target to driver (`_MEASURES`). For eyes they include the opening, so that eyes close wholly.
4. The target makes the same movement: $Y = s r Q' (Q'^T R' N_t + w E') + c_t + r (t - c_d)$, where $r = u_t / u_d$.

$R'$ with tilt $Q'$ is $R$, but turned no farther than the target's training frames allow, since a network paints no
pose that it never saw. $w$ is 1 where $Y$ is a face (`Transfer.amounts`), and otherwise the largest amount of
expression with which it is one; with $w = 0$ it is the target's neutral face in the driver's pose. A person who drives
himself gets his own landmarks back: then $k = r = 1$ and $Y = X$. Lips or lids that would cross meet in their middle.

**The method `similarity`** is $Y = A(X)$, where the similarity $A$ takes the stable points of $N_d$ nearest to those of
$N_t$.
"""

from typing import NamedTuple

import numpy as np

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.alignment import fit_similarity, transform_points
from workflow_scripts.faces.heads import (
    MODEL,
    STABLE,
    Heads,
    fit_heads,
    oddity,
    rotations,
    seen,
    shapes_of,
    slip_of,
    turns_of,
)
from workflow_scripts.faces.plausibility import parts_cross

CALMEST = 0.3  # share of the frames, those that are nearest to the neutral face
LEFT = np.geomspace(0.02, 2, 40)  # shares of the variance of expressions in the calmest frames that are tried
USUAL = (1, 99)  # percentiles of the training frames between which a head's turns are usual
ODDEST = 1.25  # `heads.oddity` of a face; the most vivid expressions in clips of six people reach 1.21
AMOUNTS = np.linspace(1, 0, 11)  # of an expression that are tried
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


class Target(NamedTuple):
    """The face that is driven.

    Attributes:
        shape: float64 (68, 3), its neutral face in pixels.
        turns: float64 (3, 2), least and largest yaw, pitch and roll of its training frames, in degrees.
    """

    shape: np.ndarray
    turns: np.ndarray


def measure_target(frames: np.ndarray) -> Target:
    """Return what the landmarks of a person's training frames, (n, 68, 2) in pixels, n > 0, show of the face."""
    heads = fit_heads(frames)
    return Target(_neutral_face(heads), np.percentile(turns_of(heads.turn), USUAL, axis=0).T)


def neutral_face(frames: np.ndarray) -> np.ndarray:
    """Return the neutral face of a person, float64 (68, 3), in the frames' pixels.

    x and y are where it is seen when it looks straight ahead, z is towards the viewer from the origin of the head.

    Args:
        frames: (n, 68, 2), n > 0, landmarks of one person.
    """
    return _neutral_face(fit_heads(frames))


def _neutral_face(heads: Heads) -> np.ndarray:
    modes = heads.modes - slip_of(turns_of(heads.turn))
    calmest = np.argsort((modes**2).sum(axis=1), kind="stable")[: max(1, round(CALMEST * len(modes)))]
    calm = modes[calmest].mean(axis=0)
    variances = MODEL.identity + LEFT[:, None]
    most_likely = np.argmin((np.log(variances) + calm**2 / variances).sum(axis=1))
    neutral = MODEL.identity / variances[most_likely] * calm
    return np.median(heads.scale) * shapes_of(neutral[None])[0] + np.append(np.median(heads.place, axis=0), 0)


class Transfer:
    """A driver's frames on their way to the target's face, by the method `shape`.

    Args:
        frames: (n, 68, 2), the driver's landmarks.
        driver: (68, 3), the driver's neutral face, in the same pixels.
        target: the face that is driven, in pixels of the result.
        beyond: degrees that a head may be turned farther than in the target's training frames; None: any.

    Attributes:
        clamped: float64 (n,), degrees by which a head is turned less than the driver's.
    """

    def __init__(self, frames: np.ndarray, driver: np.ndarray, target: Target, beyond: float | None):
        frames = np.asarray(frames, np.float64)
        (driver_shape, driver_unit, driver_place), (shape, unit, place) = map(_in_own_axes, (driver, target.shape))
        heads = fit_heads(frames)
        turns = turns_of(heads.turn)
        least, most = target.turns.T
        allowed = turns if beyond is None else np.clip(turns, least - beyond, most + beyond)
        self.clamped = np.abs(turns - allowed).max(axis=1, initial=0)
        ratio = unit / driver_unit
        self._heads = Heads(
            ratio * heads.scale, rotations(allowed), place + ratio * (heads.place - driver_place), heads.modes
        )
        tilts = rotations(turns * (0, 0, 1))[:, :2, :2]
        rest = (frames - seen(driver_shape + _slipped(turns), heads)) @ tilts / heads.scale[:, None, None]
        self._expression = _part_scales(driver, target.shape) * rest
        self._tilts = rotations(allowed * (0, 0, 1))[:, :2, :2]
        upright = self._heads._replace(scale=np.ones(len(frames)), place=np.zeros((len(frames), 2)))
        self._still = seen(shape + _slipped(allowed), upright) @ self._tilts

    def draw(self, amounts: np.ndarray) -> np.ndarray:
        """Return the landmarks for the target's face, float64 (n, 68, 2).

        Args:
            amounts: (n,), how much of each frame's expression is kept, in 0..1.
        """
        return self._draw(amounts, slice(None))

    def amounts(self) -> np.ndarray:
        """Return for each frame the largest of `AMOUNTS` with which it is a face, float64 (n,).

        It is one where no part crosses another and it is no odder than `ODDEST`.
        """
        amounts = np.zeros(len(self._still))
        open_rows = np.arange(len(amounts))
        for amount in AMOUNTS[:-1]:
            points = self._draw(np.full(len(open_rows), amount), open_rows)
            good = (oddity(points, fit_heads(points)) <= ODDEST) & ~parts_cross(points)
            amounts[open_rows[good]] = amount
            open_rows = open_rows[~good]
        return amounts

    def _draw(self, amounts: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
        faces = _uncrossed(self._still[rows] + amounts[:, None, None] * self._expression[rows])
        turned = faces @ self._tilts[rows].transpose(0, 2, 1)
        return self._heads.scale[rows, None, None] * turned + self._heads.place[rows, None]


def move_as_a_whole(frames: np.ndarray, driver: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return a driver's landmarks by the method `similarity`, float64 (n, 68, 2).

    Args:
        frames: (n, 68, 2), the driver's landmarks.
        driver: (68, 3), the driver's neutral face, in the same pixels.
        target: (68, 3), the target's neutral face, in pixels of the result.
    """
    matrix = fit_similarity(driver[STABLE, :2], target[STABLE, :2])
    return np.array([transform_points(matrix, points) for points in frames], np.float64).reshape(-1, 68, 2)


def _slipped(turns: np.ndarray) -> np.ndarray:
    """Return how the points of heads turned by (n, 3) degrees slip, float64 (n, 68, 3) in the heads' own axes."""
    return shapes_of(slip_of(turns)) - MODEL.neutral


def _in_own_axes(face: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Return a neutral face (68, 3) in its own axes, the pixels of its unit, and the place (2,) of its origin."""
    origin = face[STABLE].mean(axis=0)
    stable = MODEL.neutral[STABLE]
    unit = float(((face[STABLE] - origin) * stable).sum() / (stable**2).sum())
    return (face - origin) / unit, unit, origin[:2]


def _part_scales(driver: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return for each point how many times as far it moves in the target's face, across and along it, (68, 2).

    Lengths are measured in units of the head, so that the size of the picture does not count.
    """
    lengths = [_in_own_axes(face)[0] for face in (driver, target)]
    scales = np.empty((68, 2))
    for points, across, along in _MEASURES.values():
        for axis, pairs in enumerate((across, along)):
            one, other = np.array(pairs).T
            of_driver, of_target = (np.linalg.norm(face[one, :2] - face[other, :2], axis=1).mean() for face in lengths)
            scales[points, axis] = of_target / max(of_driver, 1e-6)
    return np.clip(scales, *RATIO_LIMITS)


def _uncrossed(faces: np.ndarray) -> np.ndarray:
    """Let lips and lids of upright faces meet in their middle where the upper one would lie below the lower one."""
    faces = faces.copy()
    upper, lower = faces[:, _MEETING[:, 0], 1], faces[:, _MEETING[:, 1], 1]
    middle = (upper + lower) / 2
    faces[:, _MEETING[:, 0], 1] = np.minimum(upper, middle)
    faces[:, _MEETING[:, 1], 1] = np.maximum(lower, middle)
    return faces
