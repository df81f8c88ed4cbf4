"""The keypoints that guide a completion: those that are predicted, and those that a user asks for."""

from typing import NamedTuple

import numpy as np

from workflow_scripts.faces.landmark_groups import GROUPS


class Guide(NamedTuple):
    """What a completion is guided by.

    Attributes:
        landmarks: float32 (68, 2), x and y in pixels.
        uncertainty: mean standard deviation of those in the hole, as a fraction of the side; 0 where they are known.
    """

    landmarks: np.ndarray
    uncertainty: float

    def moved(self, landmarks: np.ndarray, hole: np.ndarray) -> "Guide":
        """Return a guide whose landmarks in the hole, bool (S, S), are others, and are asked for exactly."""
        hidden = hidden_points(self.landmarks, hole)
        return Guide(np.where(hidden[:, None], landmarks, self.landmarks).astype(np.float32), 0.0)


def predicted_guide(landmarks: np.ndarray, spread: np.ndarray, hole: np.ndarray) -> Guide:
    """Return the guide of predicted keypoints.

    Args:
        landmarks: (68, 2) in pixels.
        spread: (68,), standard deviation of each in pixels.
        hole: bool (S, S).
    """
    hidden = hidden_points(landmarks, hole)
    return Guide(landmarks, float(spread[hidden].mean()) / len(hole) if hidden.any() else 0.0)


def hidden_points(landmarks: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return which landmarks lie in the hole, bool (68,); those beyond the border of the picture do not.

    Args:
        landmarks: (68, 2), x and y in pixels.
        hole: bool (S, S).
    """
    x, y = np.rint(landmarks).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < hole.shape[1]) & (y < hole.shape[0])
    return inside & hole[np.clip(y, 0, hole.shape[0] - 1), np.clip(x, 0, hole.shape[1] - 1)]


def move_hidden(landmarks: np.ndarray, hole: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    """Return landmarks of which those in the hole are moved at random, the points of a group alike for the most part.

    Args:
        landmarks: (68, 2) in pixels.
        hole: bool (S, S).
        distance: standard deviation of each coordinate, in pixels.
        rng: where from.
    """
    together = np.concatenate(
        [np.repeat(rng.normal(size=(1, 2)), len(range(68)[group]), axis=0) for group in GROUPS.values()]
    )
    moves = distance * (np.sqrt(0.8) * together + np.sqrt(0.2) * rng.normal(size=(68, 2)))
    return (landmarks + moves * hidden_points(landmarks, hole)[:, None]).astype(np.float32)
