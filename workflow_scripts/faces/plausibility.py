"""Rules by which landmarks are refused whose crop would not show a face in its place."""

from itertools import combinations

import numpy as np

from workflow_scripts.core.cli import BadItem
from workflow_scripts.faces import landmark_groups as groups
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

# Lines of a face of which no two cross in any pose that shows both eyes.
_LINES = {
    "outline": (groups.JAW, False),
    "right brow": (groups.RIGHT_BROW, False),
    "left brow": (groups.LEFT_BROW, False),
    "nose": (groups.NOSE_BASE, False),
    "right eye": (groups.RIGHT_EYE, True),
    "left eye": (groups.LEFT_EYE, True),
    "lips": (groups.OUTER_LIPS, True),
}


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
            f"{item}: eyes, nose and mouth are within {spread:.1f} pixels; leave it out or raise faces.min_size",
        )
    residual = alignment_residual(points)
    if residual > MAX_RESIDUAL:
        raise BadFace(
            "degenerate landmarks",
            f"{item}: eyes, nose and mouth are not arranged as in a face seen from the front (residual {residual:.2f}, "
            f"limit {MAX_RESIDUAL}); leave it out or set crop.frame: whole",
        )
    beyond = ((landmarks < 0) | (landmarks > np.array(picture_size) - 1)).any(axis=1)
    outside = np.count_nonzero(beyond) / len(landmarks)
    if outside > MAX_LANDMARKS_OUTSIDE:
        raise BadFace(
            "face outside picture",
            f"{item}: {outside:.0%} of the landmarks are beyond the border; leave it out or set crop.frame: whole",
        )


def alignment_residual(points: np.ndarray) -> float:
    """Return the distance of five points (5, 2) from their places after alignment, over the spread of the places.

    Args:
        points: x and y in pixels, in CelebA's order.
    """
    aligned = transform_points(fit_similarity(points, CELEBA_POINTS), points)
    return mean_length(aligned - CELEBA_POINTS) / _CELEBA_SPREAD


_CELEBA_SPREAD = spread_of(CELEBA_POINTS)


def parts_cross(faces: np.ndarray) -> np.ndarray:
    """Return whether lines of different parts of a face cross, bool (n,); those of real faces do not.

    Args:
        faces: (n, 68, 2), x and y.
    """
    lines = [_line(faces, *part) for part in _LINES.values()]
    crossing = np.zeros(len(faces), bool)
    for one, other in combinations(lines, 2):
        crossing |= _lines_cross(one, other)
    return crossing


def _line(faces: np.ndarray, points: slice, closed: bool) -> np.ndarray:
    numbers = groups.numbers(points)
    return np.asarray(faces, np.float64)[:, [*numbers, numbers[0]] if closed else numbers]


def _lines_cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return whether a segment of one line (n, a, 2) crosses one of another line (n, b, 2), bool (n,)."""
    start, end = one[:, :-1, None], one[:, 1:, None]
    other_start, other_end = other[:, None, :-1], other[:, None, 1:]

    def side(of: np.ndarray, begin: np.ndarray, finish: np.ndarray) -> np.ndarray:
        along, to = finish - begin, of - begin
        return along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]

    apart = side(other_start, start, end) * side(other_end, start, end) < 0
    apart &= side(start, other_start, other_end) * side(end, other_start, other_end) < 0
    return apart.any(axis=(1, 2))
