"""The faces of a picture, by the detector of the configuration.

dlib's detection goes from the fastest step to the most thorough one, and stops at the first that finds a face:

1. `dlib_hog`: histogram of oriented gradients on the grey picture. It finds faces of 80 pixels and more that look at
   the camera, and runs only where the largest face is wanted: otherwise a smaller face may be the right one.
2. `dlib_hog_upsampled`: the same on the picture enlarged twice, which finds faces of 40 pixels and more.
3. `dlib_hog_padded`: the same with the border repeated outwards, for tight crops that cut the face's outline off.
4. `dlib_cnn`: a convolutional network, hundreds of times slower, which also finds turned, tilted and partly hidden
   faces, from an eighth of the picture's longer side on.
5. `dlib_cnn_enlarged`: the same on an enlarged copy of a small picture.
6. `dlib_hog_fine`: the frontal detector on ever larger copies, in tiles, until it sees faces of `min_size`. Where not
   the largest face is wanted, it comes second, and what steps 2 and 6 find counts together.
7. `whole_picture`: no search. The picture is taken for a tight crop of a face, and its landmarks are those of the mean
   face: where no detector sees a face, most often because of a mask, the landmark model takes the mask's edge for eyes.

`centerface`, `yunet` and `ssd` are one step each. Points or boxes that a data set gives replace all steps
(`priors.py`).

A detection of which the detector is not sure is a face only if landmarks settle in it (`landmarks.py`): those of a face
agree with those of the face turned and mirrored, and those of anything else do not. By rank, detections are refused
until one is sure or confirmed; where none is, the next step follows.

Positions are always in pixels of the picture itself, and integers are the centres of pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from workflow_scripts.config.sources import FaceSearch, Weights
from workflow_scripts.faces.centerface import LEAST, centerface_of
from workflow_scripts.faces.detectors import distinct, hog, hog_in_tiles, mmod, ssd, yunet
from workflow_scripts.faces.face import WHOLE_PICTURE, Face, Picture, square_face
from workflow_scripts.faces.landmarks import UNSURE_HOG, LandmarkModel, face_patch

HOG_SIDE = 1000  # pixels; longest side of the copy searched first, the second is twice as large
HOG_FACE = 80  # pixels; the smallest face that dlib's frontal detector sees
# The finest copy: the enlargement up to which faces are still found, and its number of pixels (20 s of one core).
MAX_ENLARGING, MAX_COPY = 10 / 3, 300e6
PADDED_SIDE = 288  # pixels; a face that touches the border is large in its picture, and a small copy shows it too
CNN_SIDES = (640, 320)  # pixels; larger pictures are shrunk to the first, smaller than the second enlarged to it
CNN_FACE = 80  # pixels; the smallest face that dlib's network finds reliably
YUNET_SIDE, YUNET_FACE = 640, 10  # pixels; a larger picture is shrunk; the smallest face in the copy
CENTERFACE_SIDE, CENTERFACE_FACE = 640, 20  # likewise; smaller ones are seen in one of its copies only
SSD_FACE = 30  # pixels of the network's square input of 300
# Detector -> the score below which nothing is a face, and that from which on it is one without a second look, where the
# configuration has no `min_score`. The frontal detector's faces on enlarged copies and all of the network's get their
# second look whatever their score (see docs/results.md for what was measured). SSD sees second faces on the chests of
# aligned CelebA, most with scores below 0.93; true faces have nearly 1.
SCORES = {
    "dlib_hog": (0.0, UNSURE_HOG),
    "dlib_cnn": (0.0, 0.9),
    "centerface": (LEAST, LEAST),  # it has rules of its own
    "yunet": (0.8, 0.8),
    "ssd": (0.95, 0.95),
}
# The HOG box in a tight crop of a face: its side over sqrt(width x height), and its centre over width and height. The
# medians of bare faces are 0.88, 0.50, 0.57; the box was made slightly smaller and higher by eye, since most of the
# faces that are left for this step wear masks.
WHOLE_PICTURE_BOX = (0.85, 0.5, 0.55)
NO_WEIGHTS = Weights()


@dataclass
class Found:
    """What a search ended with.

    Attributes:
        faces: by rank, the chosen one first; empty if there is none. Only the first one is known to be a face.
        refused: detections that the second look did not confirm.
    """

    faces: list[Face]
    refused: list[Face] = field(default_factory=list)


def detect_faces(
    picture: Picture,
    config: FaceSearch,
    model: LandmarkModel | None,
    weights: Weights = NO_WEIGHTS,
    refused: Sequence[Face] = (),
) -> Found:
    """Return the faces of the first step that finds any, the chosen one first.

    Args:
        picture: the picture to search.
        config: `detector` and `pad_retry` say which steps there are, `min_size` and `min_score` what counts as a face,
            `choose` the order, and `on_no_face` whether the whole picture is the last resort.
        model: by whose landmarks doubtful detections are confirmed; None leaves them to the caller (`is_sure`), who
            searches again with those that were not confirmed in `refused`.
        weights: the paths of the weights of `centerface`, `yunet` or `ssd`.
        refused: detections that are no faces.

    Returns:
        The faces by rank. Faces that are equal by `choose` are ranked by score, then from left to right.

    Raises:
        UserError: the detector's weights cannot be used.
    """
    refused = list(refused)
    for found in _steps(picture, config, weights):
        likely = [face for face in found if face.width >= config.min_size and face.score >= _limits(face, config)[0]]
        faces = [face for face in likely if face not in refused]
        faces.sort(key=lambda face: rank_key(face, picture.size, config.choose))
        while faces and model is not None and not is_sure(faces[0], config) and not _settles(picture, faces[0], model):
            refused.append(faces.pop(0))
        if faces:
            return Found(faces, refused)
    return Found([whole_picture(picture)] if config.on_no_face == "whole" else [], refused)


def frontal_faces(picture: Picture, config: FaceSearch) -> list[Face]:
    """Return what dlib's frontal detector finds in copies that show faces down to `config.min_size`."""
    scale = min(1.0, HOG_SIDE / max(picture.size))
    coarse = hog(picture.grey, 2 * scale, 0.0, "dlib_hog_upsampled")
    return distinct(chain(coarse, *_fine_steps(picture, config)))


def is_sure(face: Face, config: FaceSearch) -> bool:
    """Tell whether a detection is a face without a second look."""
    return face.detector == WHOLE_PICTURE or face.score >= _limits(face, config)[1]


def smallest_face(picture_size: tuple[int, int], config: FaceSearch) -> int:
    """Return how wide a face in a picture of (width, height) must be to be found, in pixels, at least `min_size`."""
    side = max(picture_size)
    if config.detector.startswith("dlib_hog"):
        limit = HOG_FACE / _finest(picture_size, config.min_size)
    elif config.detector == "dlib_mmod":
        limit = CNN_FACE / (min(1.0, CNN_SIDES[0] / side) if side >= CNN_SIDES[1] else CNN_SIDES[1] / side)
    elif config.detector == "yunet":
        limit = YUNET_FACE / min(1.0, YUNET_SIDE / side)
    elif config.detector == "centerface":
        limit = CENTERFACE_FACE * side / CENTERFACE_SIDE
    else:
        limit = SSD_FACE * side / 300
    return max(config.min_size, int(np.ceil(limit - 1e-6)))


def _finest(picture_size: tuple[int, int], min_size: int) -> float:
    """Return the scale of the largest copy that the frontal detector searches."""
    width, height = picture_size
    coarse = 2 * min(1.0, HOG_SIDE / max(width, height))
    return max(coarse, min(HOG_FACE / min_size, MAX_ENLARGING, (MAX_COPY / (width * height)) ** 0.5))


def _steps(picture: Picture, config: FaceSearch, weights: Weights) -> Iterator[list[Face]]:
    """Run the steps one after the other, each only when the caller asks for it."""
    side = max(picture.size)
    if config.detector.startswith("dlib_hog"):
        scale = min(1.0, HOG_SIDE / side)
        largest = config.choose == "largest"
        if largest:
            yield hog(picture.grey, scale, 0.0, "dlib_hog")
        yield hog(picture.grey, 2 * scale, 0.0, "dlib_hog_upsampled") if largest else frontal_faces(picture, config)
        if config.pad_retry:
            yield hog(picture.grey, min(2.0, PADDED_SIDE / side), config.pad_retry, "dlib_hog_padded")
    if config.detector in ("dlib_hog_cnn", "dlib_mmod"):
        yield mmod(picture, min(1.0, CNN_SIDES[0] / side), "dlib_cnn")
        if side < CNN_SIDES[1]:
            yield mmod(picture, CNN_SIDES[1] / side, "dlib_cnn_enlarged")
    if config.detector.startswith("dlib_hog") and config.choose == "largest":
        yield from _fine_steps(picture, config)
    if config.detector == "centerface":
        sightings = centerface_of(weights.centerface).find(picture, CENTERFACE_SIDE)
        yield [one.face for one in sightings if one.sure]
    if config.detector == "yunet":
        yield yunet(picture, min(1.0, YUNET_SIDE / side), _least("yunet", config), weights)
    if config.detector == "ssd":
        yield ssd(picture, _least("ssd", config), weights)


def _fine_steps(picture: Picture, config: FaceSearch) -> Iterator[list[Face]]:
    """Search ever larger copies for faces that the copies before are too small for."""
    scale, finest = 2 * min(1.0, HOG_SIDE / max(picture.size)), _finest(picture.size, config.min_size)
    while scale < finest:
        scale = min(2 * scale, finest)
        yield hog_in_tiles(picture.grey, scale, "dlib_hog_fine")


def _least(detector: str, config: FaceSearch) -> float:
    return SCORES[detector][0] if config.min_score is None else config.min_score


def _limits(face: Face, config: FaceSearch) -> tuple[float, float]:
    """Return the score below which a detection counts for nothing, and that from which on it is sure."""
    if config.min_score is not None:
        return config.min_score, config.min_score
    detector = next(name for name in SCORES if face.detector.startswith(name))
    least, sure = SCORES[detector]
    return least, np.inf if detector == "dlib_hog" != face.detector else sure


def _settles(picture: Picture, face: Face, model: LandmarkModel) -> bool:
    return bool(model.predict([face], [face_patch(picture, face)]).settled[0])


def whole_picture(picture: Picture) -> Face:
    """Return the face that a picture is, where it is taken for a tight crop of one."""
    (width, height), (side, x, y) = picture.size, WHOLE_PICTURE_BOX
    return square_face(x * width - 0.5, y * height - 0.5, side * (width * height) ** 0.5, None, WHOLE_PICTURE)


def rank_key(face: Face, picture_size: tuple[int, int], choose: str) -> tuple:
    """Return what a face is ranked by: the least comes first."""
    x, y = face.center
    off_center = np.hypot(x - (picture_size[0] - 1) / 2, y - (picture_size[1] - 1) / 2)
    first = {"largest": -face.width, "central": off_center, "score": -face.score}[choose]
    return first, -face.score, face.left
