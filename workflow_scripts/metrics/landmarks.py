"""How far landmarks are from where they should be."""

import numpy as np

from workflow_scripts.faces.landmark_groups import OUTER_EYE_CORNERS

MIN_EYES = 1.0  # pixels; a face that collapsed to a point is measured against this, so that no score is infinite


def normalised_mean_error(points: np.ndarray, truth: np.ndarray, landmarks: np.ndarray | None = None) -> float:
    """Return the normalised mean error (NME) of points: a mean distance as a fraction of the size of the face.

    The size is the distance of the outer corners of the eyes, the inter-ocular distance of Sagonas et al., "300 Faces
    in-the-Wild Challenge", ICCV Workshops 2013. Where it is below one pixel, one pixel takes its place; no face that a
    detector finds is so small.

    Args:
        points: float (n, 2), x and y in pixels.
        truth: float (n, 2), where they should be, in the same pixels.
        landmarks: float (68, 2), the face whose eyes are measured; None where `truth` has the 68 landmarks.
    """
    right, left = (truth if landmarks is None else landmarks)[OUTER_EYE_CORNERS]
    eyes = np.linalg.norm(right - left)
    return float(np.linalg.norm(points - truth, axis=1).mean() / max(eyes, MIN_EYES))
