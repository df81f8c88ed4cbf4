"""Faces from the points or boxes that a data set gives, so that no detector has to look for them."""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.faces.alignment import CELEBA_POINTS, fit_similarity, transform_points
from workflow_scripts.faces.face import Face, square_face
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS

# The HOG box in aligned CelebA: x and y of its centre, and its side, in pixels. These are the medians of the boxes that
# were detected on every second one of 690 pictures. On the others, landmarks by way of five points (those of the
# detected landmarks, rounded to pixels) differ from the landmarks in the detected box by .0063 of the distance of the
# outer eye corners at the median, and by less than .022 in nine of ten. A regression on the points was no better.
CELEBA_BOX = (88.0, 135.0, 86.8)
GIVEN_POINTS, GIVEN_BOX = "given_points", "given_box"  # recorded as the faces' detector


def face_from_points(points: np.ndarray, score: float | None = None, detector: str = GIVEN_POINTS) -> Face:
    """Return the HOG box of a face whose eyes, nose tip and mouth corners are known.

    Args:
        points: (5, 2), x and y in pixels of the picture, in CelebA's order; NaN where one is not known.
        score: the score of the detector that found the points; None where the data set gives them.
        detector: what is recorded as the face's detector.
    """
    known = np.isfinite(points).all(axis=1)
    to_picture = fit_similarity(CELEBA_POINTS[known], points[known])
    turn, zoom = np.arctan2(to_picture[1, 0], to_picture[0, 0]), np.hypot(to_picture[0, 0], to_picture[1, 0])
    x, y = transform_points(to_picture, np.array([CELEBA_BOX[:2]]))[0]
    return square_face(x, y, zoom * CELEBA_BOX[2], score, detector, float(np.degrees(turn)))


def mean_landmarks(face: Face) -> np.ndarray:
    """Return the landmarks of the mean face, turned and scaled as a face of `face_from_points` is, float32 (68, 2)."""
    turn, zoom = np.radians(face.tilt), face.width / CELEBA_BOX[2]
    to_picture = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return ((CELEBA_LANDMARKS - CELEBA_BOX[:2]) @ to_picture.T + face.center).astype(np.float32)


def face_from_box(box: np.ndarray) -> Face:
    """Return the HOG box of a face whose box in CelebA is known.

    Args:
        box: (4,), left, top, width and height in pixels.
    """
    left, top, width, height = box
    return square_face(left + width / 2, top + height / 2, float(np.sqrt(width * height)), None, GIVEN_BOX)


def prior_face(prior: str, points: Sequence[float] | None, box: Sequence[float] | None) -> Face | None:
    """Return the face that the index gives, or None where it gives none, or points or a box without extent.

    Args:
        prior: `none`, `points` or `boxes`, as in the configuration.
        points: the index's `points` (10,).
        box: the index's `box` (4,).
    """
    if prior == "points" and points is not None and np.fmax.reduce(points) > np.fmin.reduce(points):
        return face_from_points(np.asarray(points, np.float64).reshape(5, 2))
    if prior == "boxes" and box is not None and min(box[2:]) > 0:
        return face_from_box(np.asarray(box, np.float64))
    return None
