"""Scores of the keypoints that are found in a face with a hole, beside those of dlib.

| column | meaning |
|---|---|
| `nme_in`, `nme_out` | normalised mean error of the points in the hole, and of those outside |
| `spread_in` | predicted standard deviation of the points in the hole, over the distance of the outer eye corners |
| `z2_in`, `z2_out` | mean squared error of a coordinate over the predicted variance: 1 where the certainty is right |
| `dlib_found` | 1 where a face is found in what is left of the picture, else 0 |
| `dlib_nme_in`, `dlib_nme_out` | as `nme_in`, `nme_out`, of the landmarks found there |

A column is absent where no point lies there, or no face is found.
"""

import numpy as np

from workflow_scripts.faces.landmark_groups import OUTER_EYE_CORNERS
from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.metrics.found_faces import find_face
from workflow_scripts.metrics.landmarks import MIN_EYES, normalised_mean_error
from workflow_scripts.systems._completion.guides import hidden_points

BLANK = 127  # grey level of the hole in the picture that dlib sees, as networks see it


def keypoint_scores(
    picture: np.ndarray,
    hole: np.ndarray,
    truth: np.ndarray,
    points: np.ndarray,
    spread: np.ndarray,
    model: LandmarkModel,
) -> dict[str, float]:
    """Return the columns of one hole.

    Args:
        picture: RGB uint8 (S, S, 3); what lies in the hole is not looked at.
        hole: bool (S, S).
        truth: (68, 2), the landmarks of the whole face, in pixels.
        points: (68, 2), the predicted ones.
        spread: (68,), their predicted standard deviations in pixels.
        model: dlib's landmarks, for what dlib's detectors find.
    """
    hidden = hidden_points(truth, hole)
    eyes = max(float(np.linalg.norm(np.subtract(*truth[OUTER_EYE_CORNERS]))), MIN_EYES)
    squares = np.square(points - truth).mean(axis=1) / np.square(spread)
    scores = _errors("", points, truth, hidden)
    for name, there in (("in", hidden), ("out", ~hidden)):
        if there.any():
            scores[f"z2_{name}"] = float(squares[there].mean())
    if hidden.any():
        scores["spread_in"] = float(spread[hidden].mean() / eyes)
    found = find_face(np.where(hole[..., None], np.uint8(BLANK), picture), model)
    return scores | {"dlib_found": float(found is not None)} | _errors("dlib_", found, truth, hidden)


def _errors(prefix: str, points: np.ndarray | None, truth: np.ndarray, hidden: np.ndarray) -> dict[str, float]:
    """Return the errors of the points in the hole and of those outside, where there are any."""
    places = {"in": hidden, "out": ~hidden}
    return {
        f"{prefix}nme_{name}": normalised_mean_error(points[there], truth[there], truth)
        for name, there in places.items()
        if points is not None and there.any()
    }
