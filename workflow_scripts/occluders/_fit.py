"""Which placements to refuse: what goes wrong on real pictures, each under a short fixed reason."""

import cv2
import numpy as np

from workflow_scripts.config import Fit

_OUTLINE = [*range(17), *range(26, 16, -1)]  # jaw from the left ear round the chin, then the brows back
_MOUTH = range(48, 60)
_EYES = (range(36, 42), range(42, 48))
_LOWER_FACE = [*range(2, 15), *range(28, 36), *_MOUTH]


def fit_reason(coverage: np.ndarray, landmarks: np.ndarray, fit: Fit) -> tuple[str, str] | None:
    """Say why an occluder counts as badly placed.

    Args:
        coverage: uint8 (h, w), the occluder's alpha.
        landmarks: (68, 2) x, y in pixels.
        fit: the limits.

    Returns:
        A short fixed reason and one line of detail, or None when the occluder sits well.
    """
    points = np.asarray(landmarks, np.float64)
    return _bad_landmarks(points, coverage.shape, fit) or _bad_coverage(coverage, points, fit)


def _bad_landmarks(points: np.ndarray, shape: tuple[int, int], fit: Fit) -> tuple[str, str] | None:
    height, width = shape
    if not np.isfinite(points).all():
        return (
            "landmarks not finite",
            f"{int((~np.isfinite(points)).any(1).sum())} of 68 landmarks are not numbers; find the face again",
        )
    face = np.ptp(points[_OUTLINE, 0]) / width
    if face < fit.min_face:
        return (
            "face too small",
            f"the face spans {face:.3f} of the width, less than {fit.min_face}; crop closer or lower fit.min_face",
        )
    inside = ((points >= 0) & (points < (width, height))).all(1)
    outside = 1 - inside[_LOWER_FACE].mean()
    if outside > fit.max_outside:
        return (
            "face outside the picture",
            f"{outside:.0%} of the lower face's landmarks lie outside, more than {fit.max_outside:.0%}; "
            "leave more margin or raise fit.max_outside",
        )
    top, chin = points[27], points[8]
    across = np.array([chin[1] - top[1], top[0] - chin[0]])
    left, right = (
        (points[list(jaw)] - top) @ across / (across @ across + 1e-9) for jaw in (range(1, 6), range(11, 16))
    )
    turn = (abs(left.mean()) - abs(right.mean())) / (abs(left.mean()) + abs(right.mean()) + 1e-9)
    if left.mean() >= 0 or right.mean() <= 0 or abs(turn) > fit.max_turn:
        return (
            "face turned too far",
            f"the face's sides differ by {abs(turn):.2f}, more than {fit.max_turn}, or lie on one side of the nose; "
            "take a more frontal picture or raise fit.max_turn",
        )
    if _crosses_itself(points[_OUTLINE]):
        return (
            "face outline crosses itself",
            "jaw and brows cross, so the landmarks are wrong; find the face again or leave it out",
        )
    return None


def _bad_coverage(coverage: np.ndarray, points: np.ndarray, fit: Fit) -> tuple[str, str] | None:
    covered = coverage > 127
    area = covered.mean()
    if area < fit.min_area:
        return (
            "covers too little",
            f"covers {area:.3f} of the crop, less than {fit.min_area}; look at the landmarks or lower fit.min_area",
        )
    if area > fit.max_area:
        return (
            "covers too much",
            f"covers {area:.3f} of the crop, more than {fit.max_area}; look at the landmarks or raise fit.max_area",
        )
    mouth = _covered_share(covered, [points[list(_MOUTH)]])
    if mouth < fit.min_mouth:
        return (
            "mouth uncovered",
            f"covers {mouth:.2f} of the mouth, less than {fit.min_mouth}; look at the landmarks or lower fit.min_mouth",
        )
    eyes = _covered_share(covered, [points[list(eye)] for eye in _EYES])
    if eyes > fit.max_eyes:
        return (
            "eyes covered",
            f"covers {eyes:.2f} of the eyes, more than {fit.max_eyes}; look at the landmarks or raise fit.max_eyes",
        )
    return None


def _covered_share(covered: np.ndarray, polygons: list[np.ndarray]) -> float:
    """Return the covered fraction of the pixels in and on polygons; 0 when all lie outside the picture."""
    inside = np.zeros(covered.shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(inside, [np.round(polygon).astype(np.int32)], 1)
    return float(covered[inside > 0].mean()) if inside.any() else 0.0


def _crosses_itself(polygon: np.ndarray) -> bool:
    """Tell whether two sides of a closed polygon (n, 2) that are not neighbours cross."""
    start, end = polygon, np.roll(polygon, -1, 0)

    def turns(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.sign(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    a, b, c, d = start[:, None], end[:, None], start[None], end[None]
    cross = (turns(a, b, c) * turns(a, b, d) < 0) & (turns(c, d, a) * turns(c, d, b) < 0)
    return bool(cross.any())
