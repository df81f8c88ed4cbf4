"""Face descriptors of the network `faceres`: a second opinion on who somebody is, beside `faces/descriptors.py`."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.models.faceres import SIDE, FaceRes

# Where eyes, nose and corners of the mouth lie in an aligned face of 112 pixels (Deng et al., ArcFace, CVPR 2019).
_PLACES = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])


@torch.inference_mode()
def recognition_descriptors(network: FaceRes, pictures: Sequence[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
    """Return the descriptors of several pictures of one face, all cut out alike by landmarks that are known beforehand.

    Args:
        network: as `load_faceres` returns it.
        pictures: RGB uint8 (H, W, 3) each.
        landmarks: float (68, 2), x and y in pixels, the same for all pictures.

    Returns:
        float64 (len(pictures), 1024).
    """
    points = np.float32(
        [
            landmarks[groups.RIGHT_EYE].mean(0),
            landmarks[groups.LEFT_EYE].mean(0),
            landmarks[groups.NOSE_TIP],
            landmarks[groups.RIGHT_MOUTH_CORNER],
            landmarks[groups.LEFT_MOUTH_CORNER],
        ]
    )
    matrix, _ = cv2.estimateAffinePartial2D(points, np.float32(_PLACES * (SIDE / 112)), method=cv2.LMEDS)
    if matrix is None:
        raise ValueError("five points of the landmarks fall together")
    chips = [
        cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        for picture in pictures
    ]
    faces = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float()
    return network(faces).double().numpy()
