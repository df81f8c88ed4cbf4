"""Whether a painted picture still shows a face, and where its landmarks are."""

from collections.abc import Iterator

import cv2
import numpy as np

from workflow_scripts.config.sources import FaceSearch
from workflow_scripts.faces.detection import is_sure
from workflow_scripts.faces.detectors import hog, mmod
from workflow_scripts.faces.face import Face, Picture
from workflow_scripts.faces.landmarks import LandmarkModel, face_patch

HOG_SIDE, CNN_SIDE = 256, 192  # pixels that a picture is resized to for each of dlib's two detectors
SEARCH = FaceSearch()


def find_face(picture: np.ndarray, model: LandmarkModel) -> np.ndarray | None:
    """Return the landmarks of the face in a crop, or None where there is none.

    A face is the largest one that dlib's frontal detector finds in the crop, resized to 256 pixels so that a crop of
    any size is judged alike, or, where that finds none, dlib's network in the crop resized to 192 pixels. Where the
    detector was not sure, it is a face only if landmarks settle in it, as in the search for faces in sources
    (`faces/detection.py`), whose further tries are left out: a picture without a face takes 0.12 s and not 0.6 s.

    Args:
        picture: RGB uint8 (S, S, 3).
        model: the landmark model.

    Returns:
        float64 (68, 2), x and y in pixels of the picture.
    """
    scale = HOG_SIDE / picture.shape[0]
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    searched = Picture(picture if scale == 1 else cv2.resize(picture, (HOG_SIDE, HOG_SIDE), interpolation=method))
    for faces in _searches(searched):
        if faces:
            largest = max(faces, key=lambda face: (face.width, face.score))
            points, settled = model.predict([largest], [face_patch(searched, largest)])
            if settled[0] or is_sure(largest, SEARCH):
                return (points[0].astype(np.float64) + 0.5) / scale - 0.5
    return None


def _searches(picture: Picture) -> Iterator[list[Face]]:
    """Run the detectors one after the other, the second only when it is asked for."""
    yield hog(picture.grey, 1.0, 0.0, "dlib_hog")
    yield mmod(picture, CNN_SIDE / HOG_SIDE, "dlib_cnn")
