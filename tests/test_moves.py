"""Movements of keypoints: they open mouths, whichever way the head is tilted, and cross no lips."""

import numpy as np
import pytest

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.moves import MOVES, move_landmarks, moved_points


def turned(points: np.ndarray, degrees: float, size: float = 1.0) -> np.ndarray:
    angle = np.radians(degrees)
    return size * points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def opening(points: np.ndarray) -> float:
    """Distance of the inner lips, by the distance of the outer eye corners."""
    gaps = [np.linalg.norm(points[upper] - points[lower]) for upper, lower in groups.LIP_PAIRS]
    right, left = groups.OUTER_EYE_CORNERS
    return float(np.mean(gaps) / np.linalg.norm(points[left] - points[right]))


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(("degrees", "size"), [(0, 1), (30, 1), (-90, 2), (180, 0.3)])
def test_a_tilted_face_moves_alike(face, move, degrees, size):
    expected = turned(move_landmarks(face[1], move), degrees, size)
    assert np.allclose(move_landmarks(turned(face[1], degrees, size), move), expected, atol=0.05)


@pytest.mark.parametrize("move", MOVES)
def test_amount_scales_and_zero_is_nothing(face, move):
    landmarks = face[1]
    assert np.array_equal(move_landmarks(landmarks, move, 0), landmarks)
    whole, half = (move_landmarks(landmarks, move, amount) - landmarks for amount in (1, 0.5))
    assert np.allclose(whole, 2 * half, atol=1e-3) and np.abs(whole).max() > 0.5


def test_mouth_opens_and_closes(face):
    landmarks = face[1]
    opened = move_landmarks(landmarks, "open_mouth")
    assert opening(opened) > opening(landmarks) + 0.2
    assert opening(move_landmarks(opened, "close_mouth")) == pytest.approx(0, abs=0.02)
    # The upper lip stays, the chin goes down, and less than the lip.
    assert np.array_equal(opened[51], landmarks[51])
    assert opened[groups.CHIN, 1] - landmarks[groups.CHIN, 1] > 0


def test_smile_widens_the_mouth_and_lifts_its_corners(face):
    landmarks, smiling = face[1], move_landmarks(face[1], "smile")
    right, left = groups.RIGHT_MOUTH_CORNER, groups.LEFT_MOUTH_CORNER
    assert smiling[left, 0] - smiling[right, 0] > landmarks[left, 0] - landmarks[right, 0]
    middle = groups.UPPER_LIP_MIDDLE
    for corner in (right, left):
        assert smiling[corner, 1] - smiling[middle, 1] < landmarks[corner, 1] - landmarks[middle, 1]


def test_turns_are_opposite(face):
    left, right = (move_landmarks(face[1], move) - face[1] for move in ("turn_left", "turn_right"))
    assert np.allclose(left, -right, atol=1e-3)
    assert left[groups.NOSE_TIP, 0] > 0 > right[groups.NOSE_TIP, 0]  # the person's left is the viewer's right
    assert abs(left[groups.NOSE_TIP, 0]) > abs(left[groups.NOSE_TOP, 0])


def test_points_that_a_move_concerns():
    assert set(moved_points("raise_brows")) == {*range(17, 27)}
    assert set(groups.numbers(groups.MOUTH)) == set(moved_points("smile"))
    assert {57, 66, groups.CHIN} <= set(moved_points("open_mouth")) and 51 not in moved_points("open_mouth")
