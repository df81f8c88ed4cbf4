"""How a head is turned and what its face does, from 68 landmarks: a statistical 3D head fitted to them.

A head in its own axes (x to the left of the person, y down, z towards the viewer; the distance of the outer eye corners
is 1, and the origin is the middle of the `STABLE` points, which no expression moves) is

    S(a, e) = N + V (a + e),  a ~ N(0, diag(b)): who it is,  e ~ N(0, 1): what the face does.

N is the mean neutral head and V are 16 modes, both in `head_numbers.py`, which `commands/learn_heads.py` learns from
photographs. In this basis identities and expressions are independent in every mode. A picture shows the scaled
orthographic view x = s R S + t, R being the first two rows of a rotation. Pose and modes are fitted in turn: the pose
in closed form (POS: DeMenthon & Davis, "Model-Based Object Pose in 25 Lines of Code", IJCV 15, 1995, then the nearest
rotation), the modes as their posterior mean under that prior and independent noise, as in probabilistic PCA of
non-rigid shapes (Torresani, Hertzmann & Bregler, "Nonrigid Structure-from-Motion", IEEE PAMI 30(5), 2008).

The outline that is seen of a turned head is none that lies on the head: its landmarks slip towards the viewer. So the
modes also change with yaw and pitch, in proportion, and what the face does is what is left beside that (`slip_of`).
"""

from typing import NamedTuple

import numpy as np

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.head_numbers import HEAD_NUMBERS, IDENTITY_VARIANCE, LIMITS, NOISE, SLIP

STABLE = [*groups.numbers(groups.NOSE), *groups.EYE_CORNERS]  # the points that no expression moves
ROUNDS = 8  # of pose and modes in turn; further ones move the points by less than 1e-4
AT_ONCE = 1000  # faces, so that memory is bounded
TURNS = ("yaw", "pitch", "roll")


class HeadModel(NamedTuple):
    """The numbers of a statistical head.

    Attributes:
        neutral: float64 (68, 3), the mean neutral head in its own axes.
        modes: float64 (68, 3, K).
        identity: float64 (K,), variances between people's neutral faces, the variance of expressions being 1.
        slip: float64 (2, K), by how much the modes change with a radian of yaw and of pitch.
        noise: standard deviation of a landmark that the modes do not explain.
    """

    neutral: np.ndarray
    modes: np.ndarray
    identity: np.ndarray
    slip: np.ndarray
    noise: float


class Heads(NamedTuple):
    """Heads fitted to landmarks.

    Attributes:
        scale: float64 (n,), pixels of the distance between the outer eye corners of the mean head.
        turn: float64 (n, 3, 3), rotation from the head's axes to those of the picture.
        place: float64 (n, 2), pixels, where the origin of the head is seen.
        modes: float64 (n, K), a + e.
    """

    scale: np.ndarray
    turn: np.ndarray
    place: np.ndarray
    modes: np.ndarray


MODEL = HeadModel(
    HEAD_NUMBERS[:, 0].reshape(groups.COUNT, 3) / 1e4,
    HEAD_NUMBERS[:, 1:].reshape(groups.COUNT, 3, -1) / 1e4,
    np.array(IDENTITY_VARIANCE),
    np.array(SLIP),
    NOISE,
)


def fit_heads(points: np.ndarray, model: HeadModel = MODEL) -> Heads:
    """Return the heads that landmarks show.

    Args:
        points: (n, 68, 2) in pixels.
        model: the statistical head.
    """
    parts = [_fit(np.asarray(points[start : start + AT_ONCE], np.float64), model) for start in _starts(points)]
    return Heads(*map(np.concatenate, zip(*parts, strict=True)))


def shapes_of(modes: np.ndarray, model: HeadModel = MODEL) -> np.ndarray:
    """Return the heads with these modes (n, K) in their own axes, float64 (n, 68, 3)."""
    return model.neutral + np.einsum("pxk,nk->npx", model.modes, modes)


def seen(shapes: np.ndarray, heads: Heads) -> np.ndarray:
    """Return the views of shapes (n, 68, 3) or (68, 3) in the poses of heads, float64 (n, 68, 2) in pixels."""
    return heads.scale[:, None, None] * (shapes @ heads.turn[:, :2].transpose(0, 2, 1)) + heads.place[:, None]


def turns_of(turn: np.ndarray) -> np.ndarray:
    """Return yaw, pitch and roll of rotations (n, 3, 3) in degrees, float64 (n, 3), see `TURNS`.

    A head is turned to the side first, then up, then tilted in the picture's plane. The angles are positive where it
    looks to the right as seen, looks up, and is tilted clockwise as seen.
    """
    yaw = np.arctan2(-turn[:, 2, 0], turn[:, 2, 2])
    pitch = np.arcsin(np.clip(turn[:, 2, 1], -1, 1))
    roll = np.arctan2(-turn[:, 0, 1], turn[:, 1, 1])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def rotations(turns: np.ndarray) -> np.ndarray:
    """Return the rotations (n, 3, 3) of angles as `turns_of` returns them."""
    yaw, pitch, roll = np.radians(turns).T
    nothing, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*rows: tuple) -> np.ndarray:
        return np.array(rows).transpose(2, 0, 1)

    cos, sin = np.cos, np.sin
    aside = matrix((cos(yaw), nothing, sin(yaw)), (nothing, one, nothing), (-sin(yaw), nothing, cos(yaw)))
    up = matrix((one, nothing, nothing), (nothing, cos(pitch), -sin(pitch)), (nothing, sin(pitch), cos(pitch)))
    tilt = matrix((cos(roll), -sin(roll), nothing), (sin(roll), cos(roll), nothing), (nothing, nothing, one))
    return tilt @ up @ aside


def slip_of(turns: np.ndarray, model: HeadModel = MODEL) -> np.ndarray:
    """Return the part of the modes (n, K) that heads turned by yaw, pitch and roll (n, 3) in degrees have from that."""
    return np.radians(turns[:, :2]) @ model.slip


def oddity(points: np.ndarray, heads: Heads, model: HeadModel = MODEL) -> np.ndarray:
    """Return how far faces are from those that people have, float64 (n,); above 1 is farther than `LIMITS` allows.

    It is the larger of two ratios to their limits: the Mahalanobis distance of the modes, less the slip, from the mean
    neutral face, and the root-mean-square distance of the landmarks from what the modes explain.

    Args:
        points: (n, 68, 2), the landmarks.
        heads: `fit_heads(points)`.
        model: the statistical head.
    """
    return (distances(points, heads, model) / LIMITS).max(axis=1)


def distances(points: np.ndarray, heads: Heads, model: HeadModel) -> np.ndarray:
    """Return the two distances of `oddity`, float64 (n, 2)."""
    modes = heads.modes - slip_of(turns_of(heads.turn), model)
    of_modes = np.sqrt((modes**2 / (1 + model.identity)).sum(axis=1))
    rest = (points - seen(shapes_of(heads.modes, model), heads)) / heads.scale[:, None, None]
    return np.stack([of_modes, np.sqrt((rest**2).mean(axis=(1, 2)))], axis=1)


def _fit(points: np.ndarray, model: HeadModel) -> Heads:
    modes = np.zeros((len(points), model.modes.shape[2]))
    for _ in range(ROUNDS):
        scale, turn, place = poses_of(points, shapes_of(modes, model))
        modes, _ = modes_of(points, Heads(scale, turn, place, modes), model)
    return Heads(*poses_of(points, shapes_of(modes, model)), modes)


def poses_of(points: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scale (n,), turn (n, 3, 3) and place (n, 2) of the views of known shapes.

    Args:
        points: (n, m, 2), the views.
        shapes: (n, m, 3) or (m, 3).
    """
    middle, center = shapes.mean(axis=-2), points.mean(axis=1)
    shapes, points = shapes - middle[..., None, :], points - center[:, None]
    left, _, right = np.linalg.svd((np.linalg.pinv(shapes) @ points).transpose(0, 2, 1), full_matrices=False)
    rows = left @ right
    turn = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    views = shapes @ rows.transpose(0, 2, 1)
    scale = (views * points).sum(axis=(1, 2)) / np.maximum((views**2).sum(axis=(1, 2)), 1e-12)
    shift = (rows @ np.broadcast_to(middle, (len(points), 3))[..., None])[..., 0]
    return scale, turn, center - scale[:, None] * shift


def modes_of(points: np.ndarray, heads: Heads, model: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior of the modes in known poses: means (n, K) and covariances (n, K, K)."""
    rows = heads.turn[:, :2]
    count = model.modes.shape[2]
    seen_modes = np.einsum("nij,pjk->npik", rows, model.modes).reshape(len(points), 2 * groups.COUNT, count)
    rest = (points - seen(model.neutral, heads)) / heads.scale[:, None, None]
    weighted = seen_modes.transpose(0, 2, 1) / model.noise**2
    covariances = np.linalg.inv(weighted @ seen_modes + np.diag(1 / (1 + model.identity)))
    return (covariances @ (weighted @ rest.reshape(len(points), 2 * groups.COUNT, 1)))[..., 0], covariances


def _starts(points: np.ndarray) -> range:
    return range(0, max(1, len(points)), AT_ONCE)
