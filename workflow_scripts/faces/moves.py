"""Named movements of a face's landmarks, as a user asks for them: an open mouth, a smile, raised brows.

Distances are measured by the distance of the outer eye corners, directions by the face's own axes, so that a face of
any size, and one that is tilted, moves alike.
"""

from collections.abc import Callable

import numpy as np

from workflow_scripts.faces import landmark_groups as groups

LOWER_LIP = [*groups.numbers(slice(55, 60), slice(65, 68))]  # outer and inner edge, without the corners
CORNERS = [48, 60, 54, 64]  # of the outer and the inner lips, right ones first
LOWER_JAW = groups.numbers(slice(5, 12))
BROWS = groups.numbers(groups.RIGHT_BROW, groups.LEFT_BROW)
OPENING = 0.3  # of the distance of the outer eye corners
SMILE_OUT, SMILE_UP = 0.1, 0.08
TURN_NOSE, TURN_MOUTH = 0.15, 0.08
BROW_RAISE = 0.12


def move_landmarks(landmarks: np.ndarray, move: str, amount: float = 1.0) -> np.ndarray:
    """Return landmarks after a movement.

    Args:
        landmarks: (68, 2), x and y in pixels.
        move: one of `MOVES`.
        amount: 1 is a movement as people make it; 0 is none; a negative one goes the other way.

    Returns:
        float32 (68, 2).
    """
    points = np.asarray(landmarks, np.float64)
    across = points[groups.LEFT_EYE_OUTER] - points[groups.RIGHT_EYE_OUTER]
    size = np.linalg.norm(across)
    across = across / max(size, 1e-6)
    down = np.array([-across[1], across[0]])
    return (points + amount * MOVES[move](points, size, across, down)).astype(np.float32)


def moved_points(move: str) -> list[int]:
    """Return the numbers of the landmarks that a movement concerns."""
    example = np.stack([np.arange(68) % 7, np.arange(68) % 5], axis=1) * 10.0
    return np.flatnonzero(np.abs(move_landmarks(example, move) - example).max(axis=1) > 1e-3).tolist()


def _open_mouth(points: np.ndarray, size: float, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    moves = np.zeros((groups.COUNT, 2))
    moves[LOWER_LIP] = OPENING * size * down
    moves[LOWER_JAW] = OPENING * size * down * np.sin(np.linspace(0.15, 0.85, len(LOWER_JAW)) * np.pi)[:, None]
    moves[CORNERS] = 0.4 * OPENING * size * down
    return moves


def _close_mouth(points: np.ndarray, size: float, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    gap = np.mean([(points[lower] - points[upper]) @ down for upper, lower in groups.LIP_PAIRS])
    return -_open_mouth(points, max(gap, 0) / OPENING, across, down)


def _smile(points: np.ndarray, size: float, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    moves = np.zeros((groups.COUNT, 2))
    mouth = points[groups.MOUTH]
    place = (mouth - mouth.mean(axis=0)) @ across
    side = place / max(np.abs(place).max(), 1e-6)  # -1 at the right corner, 1 at the left one
    moves[groups.MOUTH] = size * (SMILE_OUT * side[:, None] * across - SMILE_UP * side[:, None] ** 2 * down)
    return moves


def _turn(sign: int) -> Callable[..., np.ndarray]:
    def turn(points: np.ndarray, size: float, across: np.ndarray, down: np.ndarray) -> np.ndarray:
        moves = np.zeros((groups.COUNT, 2))
        moves[groups.NOSE] = np.linspace(0.2, 1, 4)[[0, 1, 2, 3, 2, 2, 2, 2, 2], None] * TURN_NOSE * size * across
        moves[groups.MOUTH] = TURN_MOUTH * size * across
        return sign * moves

    return turn


def _raise_brows(points: np.ndarray, size: float, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    moves = np.zeros((groups.COUNT, 2))
    moves[BROWS] = -BROW_RAISE * size * down
    return moves


# Left and right are the person's own.
MOVES = {
    "open_mouth": _open_mouth,
    "close_mouth": _close_mouth,
    "smile": _smile,
    "turn_left": _turn(1),
    "turn_right": _turn(-1),
    "raise_brows": _raise_brows,
}
