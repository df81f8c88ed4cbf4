"""Scores of a driven face: where its landmarks are found, and how much it changes from frame to frame."""

import cv2
import numpy as np

from workflow_scripts.config.sources import FaceSearch
from workflow_scripts.faces.detection import detect_faces
from workflow_scripts.faces.face import Picture
from workflow_scripts.faces.landmarks import LandmarkModel, face_patch

SEARCHED_SIDE = 256  # pixels; a smaller picture is enlarged, because the detectors see no small faces
STILL = 0.5  # grey levels; smaller changes are rounding, and the ratio of two of them means nothing


def find_points(picture: np.ndarray, model: LandmarkModel) -> np.ndarray | None:
    """Find the landmarks of the largest face, as the workflow does on its sources.

    Args:
        picture: RGB uint8 (S, S, 3).
        model: the landmark model.

    Returns:
        float64 (68, 2), x and y in pixels of the picture, or None where no face is found.
    """
    scale = max(1.0, SEARCHED_SIDE / picture.shape[0])
    side = round(picture.shape[0] * scale)
    searched = Picture(picture if scale == 1 else cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC))
    faces = detect_faces(searched, FaceSearch(), model).faces
    if not faces:
        return None
    (points,) = model.predict(faces[:1], [face_patch(searched, faces[0])]).points
    return (points.astype(np.float64) + 0.5) / scale - 0.5


def temporal_change(picture: np.ndarray, before: np.ndarray) -> float:
    """Return the mean absolute difference, in grey levels, of two consecutive frames, uint8 (S, S, 3) each."""
    return float(np.abs(picture.astype(np.int16) - before).mean())


def flicker(change: float, driver_change: float) -> float:
    """Return how far a video's change from one frame to the next is from the driver's: |ln| of the ratio of both.

    The value is 0 where both change equally, and has no upper limit. A video that changes a tenth as much as the driver
    scores as badly as one that changes ten times as much.

    Args:
        change: the `temporal_change` of the video, in grey levels.
        driver_change: the `temporal_change` of the driver's crops at the same time, in grey levels.
    """
    return float(abs(np.log((change + STILL) / (driver_change + STILL))))


def nearest_face(points: np.ndarray, references: np.ndarray) -> tuple[int, float]:
    """Return the row of the nearest of several faces and the mean distance of its points, in pixels.

    Faces are not aligned first, because the landmark error, by which frames are judged, also counts position, size and
    turn.

    Args:
        points: float (68, 2), x and y in pixels.
        references: float (n, 68, 2), in the same pixels.
    """
    distances = np.linalg.norm(references - points, axis=2).mean(axis=1)
    row = int(distances.argmin())
    return row, float(distances[row])
