"""The named landmarks: every point has one group, left and right are the person's own, and one error measures them."""

import numpy as np
import pytest
from test_faces import landmarks_of

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.alignment import CELEBA_POINTS
from workflow_scripts.faces.drawings import DRAWN_PARTS
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.metrics.landmarks import normalised_mean_error


def test_the_groups_cover_every_landmark_once():
    assert groups.numbers(*groups.GROUPS.values()) == list(range(groups.COUNT))
    assert sorted(groups.numbers(*(part.points for part in DRAWN_PARTS.values()))) == list(range(groups.COUNT))
    sides = groups.numbers(groups.RIGHT_JAW, slice(groups.CHIN, groups.CHIN + 1), groups.LEFT_JAW)
    assert sides == groups.numbers(groups.JAW)
    assert groups.numbers(groups.NOSE) == groups.numbers(groups.NOSE_BRIDGE, groups.NOSE_BASE)
    assert groups.numbers(groups.EYES) == groups.numbers(groups.RIGHT_EYE, groups.LEFT_EYE)
    assert groups.numbers(groups.MOUTH) == groups.numbers(groups.OUTER_LIPS, groups.INNER_LIPS)


def test_mirroring_twice_changes_nothing_and_once_exchanges_right_and_left():
    mirrored = np.array(groups.MIRRORED)
    assert (mirrored[mirrored] == np.arange(groups.COUNT)).all()
    for name, group in groups.GROUPS.items():
        other = name.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        assert sorted(mirrored[groups.numbers(group)]) == groups.numbers(groups.GROUPS[other])
    named = {name: number for name, number in vars(groups).items() if isinstance(number, int) and name != "COUNT"}
    for name, number in named.items():
        other = name.replace("LEFT", "left").replace("RIGHT", "LEFT").replace("left", "RIGHT")
        assert mirrored[number] == named[other], name
    assert tuple(mirrored[list(groups.RIGHT_CHEEK)]) == groups.LEFT_CHEEK
    assert {tuple(mirrored[list(pair)]) for pair in groups.RIGHT_LID_PAIRS} == set(groups.LEFT_LID_PAIRS)
    assert {tuple(mirrored[list(pair)]) for pair in groups.LIP_PAIRS} == set(groups.LIP_PAIRS)


def test_the_right_eye_of_a_frontal_face_is_at_the_viewers_left(astronaut):
    points = landmarks_of(astronaut)
    for right, left in (("RIGHT_EYE", "LEFT_EYE"), ("RIGHT_BROW", "LEFT_BROW"), ("RIGHT_JAW", "LEFT_JAW")):
        assert points[getattr(groups, right), 0].mean() < points[groups.NOSE_BRIDGE, 0].mean()
        assert points[groups.NOSE_BRIDGE, 0].mean() < points[getattr(groups, left), 0].mean()
    assert points[groups.RIGHT_MOUTH_CORNER, 0] < points[groups.LEFT_MOUTH_CORNER, 0]
    heights = [groups.RIGHT_BROW, groups.EYES, groups.NOSE_BASE, groups.UPPER_LIP, slice(groups.CHIN, groups.CHIN + 1)]
    assert (np.diff([points[group, 1].mean() for group in heights]) > 0).all(), "from the brows down to the chin"
    # The same in a mirrored picture, whose landmarks are found anew.
    again = landmarks_of(np.ascontiguousarray(astronaut[:, ::-1]))
    expected = (points * (-1, 1) + (astronaut.shape[1] - 1, 0))[groups.MIRRORED]
    assert normalised_mean_error(again, expected) < 0.04
    assert normalised_mean_error(again, points * (-1, 1) + (astronaut.shape[1] - 1, 0)) > 0.5


def test_celebas_five_points_are_named_by_the_viewer():
    assert list(groups.CELEBA_FIVE) == ["lefteye", "righteye", "nose", "leftmouth", "rightmouth"]
    five = dict(zip(groups.CELEBA_FIVE, groups.five_points(CELEBA_LANDMARKS), strict=True))
    assert five["lefteye"][0] < five["nose"][0] < five["righteye"][0], "CelebA's left is the viewer's"
    assert five["leftmouth"][0] < five["rightmouth"][0]
    assert np.abs(five["lefteye"] - CELEBA_LANDMARKS[groups.RIGHT_EYE].mean(axis=0)).max() < 1e-9
    # The mean face is that of the published aligned pictures, whose eyes lie at (69, 112) and (108, 112).
    assert CELEBA_POINTS[:2] == pytest.approx(np.array([[69.3, 112.6], [107.8, 112.6]]), abs=1)


def test_the_error_is_a_fraction_of_the_distance_of_the_outer_eye_corners(face):
    _, points = face
    corners = points[groups.OUTER_EYE_CORNERS]
    eyes = float(np.linalg.norm(corners[0] - corners[1]))
    assert normalised_mean_error(points, points) == 0
    assert normalised_mean_error(points + np.array([eyes, 0]), points) == pytest.approx(1, rel=1e-5)
    five = groups.five_points(points)
    assert normalised_mean_error(five + np.array([0, eyes / 2]), five, points) == pytest.approx(0.5, rel=1e-5)


def test_the_error_does_not_depend_on_the_size_of_the_picture_and_is_never_infinite(face):
    _, points = face
    moved = points + np.random.default_rng(1).normal(0, 2, points.shape)
    assert normalised_mean_error(moved / 2, points / 2) == pytest.approx(normalised_mean_error(moved, points))
    assert normalised_mean_error(points, np.zeros_like(points)) < np.inf
