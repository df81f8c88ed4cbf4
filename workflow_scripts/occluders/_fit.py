"""Which placements of an occluder are refused, each under a short fixed reason: what goes wrong on real pictures."""

from dataclasses import dataclass

import cv2
import numpy as np

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.occluders._config import Fit

# The jaw from the right ear round the chin, then both brows back from the left.
_OUTLINE = [*groups.numbers(groups.JAW), *reversed(groups.numbers(groups.RIGHT_BROW, groups.LEFT_BROW))]
_JAW_SIDES = np.array([groups.numbers(groups.RIGHT_JAW)[1:6], groups.numbers(groups.LEFT_JAW)[2:7]])
_LOWER_FACE = [
    *groups.numbers(groups.JAW)[2:-2],
    *groups.numbers(groups.NOSE)[1:],
    *groups.numbers(groups.OUTER_LIPS),
]
_MISFITS = {
    ("area", "min"): "covers too little",
    ("area", "max"): "covers too much",
    ("mouth", "min"): "mouth uncovered",
    ("mouth", "max"): "mouth covered",
    ("eyes", "max"): "eyes covered",
    ("nostrils", "max"): "nostrils covered",
}
_PART_WORDS = {"area": "crop", "mouth": "mouth", "eyes": "eyes", "nostrils": "nose's underside"}
_INNER = 0.75  # share of the nose's underside that is looked at, because hair may touch its edge


@dataclass(frozen=True)
class Covers:
    """What a well placed occluder of a kind covers: a smallest and a largest share of each part, in 0..1.

    Attributes:
        area: share of the crop.
        mouth: share of the mouth inside its outline.
        eyes: share of the eyes.
        nostrils: share of the nose's underside.
    """

    area: tuple[float, float]
    mouth: tuple[float, float] = (0, 1)
    eyes: tuple[float, float] = (0, 1)
    nostrils: tuple[float, float] = (0, 1)


def fit_reason(coverage: np.ndarray, landmarks: np.ndarray, fit: Fit, covers: Covers) -> tuple[str, str] | None:
    """Say why an occluder counts as badly placed.

    Args:
        coverage: the occluder's alpha, uint8 (h, w).
        landmarks: (68, 2), x and y in pixels.
        fit: the user's limits.
        covers: the kind's own limits, which hold where `fit` has none.

    Returns:
        A short fixed reason and one line of detail, or None when the occluder is well placed.
    """
    points = np.asarray(landmarks, np.float64)
    return _bad_landmarks(points, coverage.shape, fit) or _bad_coverage(coverage, points, fit, covers)


def _bad_landmarks(points: np.ndarray, shape: tuple[int, int], fit: Fit) -> tuple[str, str] | None:
    height, width = shape
    if not np.isfinite(points).all():
        return (
            "landmarks not finite",
            f"{int((~np.isfinite(points)).any(1).sum())} of 68 landmarks are not numbers; find the face again",
        )
    outline = points[_OUTLINE]
    across = outline[:, 0].tolist()
    face = (max(across) - min(across)) / width
    if face < fit.min_face:
        return (
            "face too small",
            f"the face spans {face:.3f} of the width, less than {fit.min_face}; crop closer or lower fit.min_face",
        )
    lower = points[_LOWER_FACE]
    outside = np.count_nonzero(((lower < 0) | (lower >= (width, height))).any(1)) / len(lower)
    if outside > fit.max_outside:
        return (
            "face outside the picture",
            f"{outside:.0%} of the lower face's landmarks lie outside, more than {fit.max_outside:.0%}; "
            "leave more margin or raise fit.max_outside",
        )
    top, chin = points[groups.NOSE_TOP], points[groups.CHIN]
    across = np.array([chin[1] - top[1], top[0] - chin[0]])
    left, right = (((points[_JAW_SIDES] - top) @ across).mean(1) / (across @ across + 1e-9)).tolist()
    turn = (abs(left) - abs(right)) / (abs(left) + abs(right) + 1e-9)
    if left >= 0 or right <= 0 or abs(turn) > fit.max_turn:
        return (
            "face turned too far",
            f"the face's sides differ by {abs(turn):.2f}, more than {fit.max_turn}, or lie on one side of the nose; "
            "take a more frontal picture or raise fit.max_turn",
        )
    if _crosses_itself(outline):
        return (
            "face outline crosses itself",
            "jaw and brows cross, so the landmarks are wrong; find the face again or leave it out",
        )
    return None


def _bad_coverage(coverage: np.ndarray, points: np.ndarray, fit: Fit, covers: Covers) -> tuple[str, str] | None:
    covered = cv2.threshold(coverage, 127, 1, cv2.THRESH_BINARY)[1]
    tip = points[groups.NOSE_TIP]
    shares = {
        "area": cv2.countNonZero(covered) / covered.size,
        "mouth": _covered_share(covered, [points[groups.OUTER_LIPS]]),
        "eyes": _covered_share(covered, [points[groups.RIGHT_EYE], points[groups.LEFT_EYE]]),
        "nostrils": _covered_share(covered, [tip + _INNER * (points[groups.NOSE_UNDERSIDE] - tip)]),
    }
    for (part, side), reason in _MISFITS.items():
        own, chosen = getattr(covers, part)[side == "max"], getattr(fit, f"{side}_{part}")
        limit, share = own if chosen is None else chosen, shares[part]
        if share < limit if side == "min" else share > limit:
            beyond, remedy = ("less", "lower") if side == "min" else ("more", "raise")
            return reason, (
                f"covers {share:.3f} of the {_PART_WORDS[part]}, {beyond} than {limit}; "
                f"look at the landmarks or {remedy} fit.{side}_{part}"
            )
    return None


def _covered_share(covered: np.ndarray, polygons: list[np.ndarray]) -> float:
    """Return the covered fraction of the pixels in and on polygons; 0 when all lie outside the picture."""
    inside = np.zeros(covered.shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(inside, [np.round(polygon).astype(np.int32)], 1)
    pixels = cv2.countNonZero(inside)
    return cv2.countNonZero(cv2.bitwise_and(inside, covered)) / pixels if pixels else 0.0


def _crosses_itself(polygon: np.ndarray) -> bool:
    """Tell whether two sides of a closed polygon (n, 2) that are not neighbours cross."""
    x, y = np.concatenate([polygon, polygon[:1]]).T
    along_x, along_y = np.diff(x)[:, None], np.diff(y)[:, None]
    # Where point j lies as seen from side i: positive on one side of the line through i, negative on the other.
    turn = np.sign(along_x * (y - y[:-1, None]) - along_y * (x - x[:-1, None]))
    parted = turn[:, :-1] * turn[:, 1:] < 0  # side j's ends are on different sides of the line through side i
    return bool((parted & parted.T).any())
