"""Rules by which landmarks are refused whose crop would not show a face in its place."""

import numpy as np

from workflow_scripts.core.cli import BadItem
from workflow_scripts.faces.alignment import (
    CELEBA_POINTS,
    fit_similarity,
    mean_length,
    spread_of,
    transform_points,
)
from workflow_scripts.faces.landmark_groups import five_points

MIN_SPREAD = 4.0  # pixels; root-mean-square distance of the five points from their centre
MAX_RESIDUAL = 0.4  # of the spread; distance that remains between the aligned five points and their places
MAX_LANDMARKS_OUTSIDE = 0.5  # share of the 68 landmarks that may lie beyond the picture's border


class BadFace(BadItem):
    """A face that cannot be cropped."""


def check_face(item: str, landmarks: np.ndarray, picture_size: tuple[int, int]) -> None:
    """Refuse landmarks by which no face can be aligned.

    Args:
        item: the item's name, for the reason.
        landmarks: (68, 2), x, y in pixels of the picture.
        picture_size: width and height of the picture.

    Raises:
        BadFace: `degenerate landmarks`: the five points nearly coincide, or no rotation and scaling brings them near
            their places, as in a profile or where there is no face; `face outside picture`: most landmarks lie beyond
            the border.
    """
    points = five_points(landmarks)
    spread = spread_of(points)
    if not spread >= MIN_SPREAD:
        raise BadFace(
            "degenerate landmarks",
            f"{item}: eyes, nose and mouth are within {spread:.1f} pixels; remove the picture or raise faces.min_size",
        )
    residual = alignment_residual(points)
    if residual > MAX_RESIDUAL:
        raise BadFace(
            "degenerate landmarks",
            f"{item}: eyes, nose and mouth are not arranged as in a face seen from the front (residual {residual:.2f}, "
            f"limit {MAX_RESIDUAL}); remove the picture or set crop.frame: whole",
        )
    beyond = ((landmarks < 0) | (landmarks > np.array(picture_size) - 1)).any(axis=1)
    outside = np.count_nonzero(beyond) / len(landmarks)
    if outside > MAX_LANDMARKS_OUTSIDE:
        raise BadFace(
            "face outside picture",
            f"{item}: {outside:.0%} of the landmarks are beyond the border; remove it or set crop.frame: whole",
        )


def alignment_residual(points: np.ndarray) -> float:
    """Return the distance of five points (5, 2) from their places after alignment, over the spread of the places.

    Args:
        points: x and y in pixels, in CelebA's order.
    """
    aligned = transform_points(fit_similarity(points, CELEBA_POINTS), points)
    return mean_length(aligned - CELEBA_POINTS) / _CELEBA_SPREAD


_CELEBA_SPREAD = spread_of(CELEBA_POINTS)
