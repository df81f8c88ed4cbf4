"""The faces of a picture, by the detector of the configuration.

dlib's detection goes from the fastest step to the most thorough one, and stops at the first that finds a face:

1. `dlib_hog`: histogram of oriented gradients on the grey picture. It finds faces of 80 pixels and more that look at
   the camera, and runs only where the largest face is wanted: otherwise a smaller face may be the right one.
2. `dlib_hog_upsampled`: the same on the picture enlarged twice, which finds faces of 40 pixels and more.
3. `dlib_hog_padded`: the same with the border repeated outwards, for tight crops that cut the face's outline off.
4. `dlib_cnn`: a convolutional network, some 30 times slower, which also finds turned, tilted and partly hidden faces.
5. `dlib_cnn_enlarged`: the same on an enlarged copy of a small picture.
6. `whole_picture`: no search. The picture is taken for a tight crop of a face, and its landmarks are those of the mean
   face: where no detector sees a face, most often because of a mask, the landmark model takes the mask's edge for eyes.

`yunet` and `ssd` are one step each, on one copy. Points or boxes that a data set gives replace all steps (`priors.py`).

Every step works on a copy whose size is bounded, so the time does not grow with the picture. Positions are always in
pixels of the picture itself, and integers are the centres of pixels.
"""

from collections.abc import Iterator

import numpy as np

from workflow_scripts.config.sources import FaceSearch, Weights
from workflow_scripts.faces.detectors import hog, mmod, ssd, yunet
from workflow_scripts.faces.face import Face, Picture, square_face

HOG_SIDE = 1000  # pixels; longest side of the copy searched first, the second is twice as large
PADDED_SIDE = 288  # pixels; a face that touches the border is large in its picture, and a small copy shows it too
CNN_SIDES = (640, 320)  # pixels; larger pictures are shrunk to the first, smaller than the second enlarged to it
# SSD sees second faces on the chests of aligned CelebA, most with scores below 0.93; true faces have nearly 1.
MIN_SCORES = {"yunet": 0.8, "ssd": 0.95}
YUNET_SIDE = 640  # pixels; a larger picture is shrunk
# The HOG box in a tight crop of a face: its side over sqrt(width x height), and its centre over width and height. The
# medians of bare faces are 0.88, 0.50, 0.57; the box was made slightly smaller and higher by eye, since most of the
# faces that are left for this step wear masks.
WHOLE_PICTURE_BOX = (0.85, 0.5, 0.55)
WHOLE_PICTURE = "whole_picture"  # recorded as the face's detector
NO_WEIGHTS = Weights()


def detect_faces(picture: Picture, config: FaceSearch, weights: Weights = NO_WEIGHTS) -> list[Face]:
    """Return the faces of the first step that finds any, the chosen one first.

    Args:
        picture: the picture to search.
        config: `detector` and `pad_retry` say which steps there are, `min_size` what counts as a face, `choose` the
            order, and `on_no_face` whether the whole picture is the last resort.
        weights: the paths of the weights of `yunet` or `ssd`.

    Returns:
        The faces by rank, empty if there is none. Faces that are equal by `choose` are ranked by score, then from left
        to right.

    Raises:
        UserError: the detector's weights cannot be used.
    """
    for found in _steps(picture, config, weights):
        faces = [face for face in found if face.width >= config.min_size]
        if faces:
            return sorted(faces, key=lambda face: _rank(face, picture.size, config.choose))
    return [_whole_picture(*picture.size)] if config.on_no_face == "whole" else []


def _steps(picture: Picture, config: FaceSearch, weights: Weights) -> Iterator[list[Face]]:
    """Run the steps one after the other, each only when the caller asks for it."""
    side = max(picture.size)
    if config.detector.startswith("dlib_hog"):
        scale = min(1.0, HOG_SIDE / side)
        if config.choose == "largest":
            yield hog(picture, scale, 0.0, "dlib_hog")
        yield hog(picture, 2 * scale, 0.0, "dlib_hog_upsampled")
        if config.pad_retry:
            yield hog(picture, min(2.0, PADDED_SIDE / side), config.pad_retry, "dlib_hog_padded")
    if config.detector in ("dlib_hog_cnn", "dlib_mmod"):
        yield mmod(picture, min(1.0, CNN_SIDES[0] / side), "dlib_cnn")
        if side < CNN_SIDES[1]:
            yield mmod(picture, CNN_SIDES[1] / side, "dlib_cnn_enlarged")
    min_score = MIN_SCORES.get(config.detector) if config.min_score is None else config.min_score
    if config.detector == "yunet":
        yield yunet(picture, min(1.0, YUNET_SIDE / side), min_score, weights)
    if config.detector == "ssd":
        yield ssd(picture, min_score, weights)


def _whole_picture(width: int, height: int) -> Face:
    side, x, y = WHOLE_PICTURE_BOX
    return square_face(x * width - 0.5, y * height - 0.5, side * (width * height) ** 0.5, None, WHOLE_PICTURE)


def _rank(face: Face, picture_size: tuple[int, int], choose: str) -> tuple:
    x, y = face.center
    off_center = np.hypot(x - (picture_size[0] - 1) / 2, y - (picture_size[1] - 1) / 2)
    first = {"largest": -face.width, "central": off_center, "score": -face.score}[choose]
    return first, -face.score, face.left
