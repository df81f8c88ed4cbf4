"""All faces of a picture, for who edits pictures of several people; the stages of the workflow take one face of each.

Unlike `detect_faces`, which stops at the first step that finds a face, all people count: dlib's frontal detector on
copies in which ever smaller faces are seen, and its network on one larger copy, which sees turned and masked faces.
What the frontal detector is not sure of counts only where the network sees a face too.

Landmarks of a masked face often do not settle: the model takes the mask's edge for the eyes. Where it is asked for, a
face of which the network is sure enough then gets the landmarks of the mean face in its box.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workflow_scripts.config.sources import Crop, FaceSearch
from workflow_scripts.core.cli import BadItem
from workflow_scripts.faces.alignment import crop_matrix
from workflow_scripts.faces.detection import detect_faces, frontal_faces, network_faces
from workflow_scripts.faces.detectors import SAME_FACE
from workflow_scripts.faces.face import WHOLE_PICTURE, Face, Picture, overlap
from workflow_scripts.faces.head_squares import grown_squares, square_matrix
from workflow_scripts.faces.landmarks import UNSURE_HOG, LandmarkModel, face_patch
from workflow_scripts.faces.plausibility import check_face

GUESSED = 0.4  # the network's score from which on a face may get the landmarks of the mean face
SEARCHED_SIDE = 1280  # pixels; twice that of a picture that stands for one face, since several are smaller


class FoundFace(NamedTuple):
    """A face with its landmarks, float32 (68, 2), in pixels of the picture."""

    face: Face
    points: np.ndarray

    def matrix(self, picture_size: tuple[int, int], crop: Crop) -> np.ndarray:
        """Return the matrix (2, 3) from pixels of the picture, of (width, height), to those of the face's crop."""
        if crop.frame == "head":
            box = np.array([[self.face.left, self.face.top, self.face.right, self.face.bottom]])
            return square_matrix(grown_squares(box)[0], crop.size)
        return crop_matrix(self.points, picture_size, crop)


def find_everyone(
    picture: Picture, config: FaceSearch, model: LandmarkModel, side: int = SEARCHED_SIDE, guess: bool = False
) -> list[FoundFace]:
    """Return the faces of a picture whose landmarks settle and can be aligned, the largest first.

    Args:
        picture: the picture.
        config: `min_size` is the width of the smallest face; with `on_no_face: whole`, a picture without one is taken
            for a tight crop of a face.
        model: finds the landmarks.
        side: pixels, longer side of the copy that dlib's network searches. It finds faces from 80 pixels of it on, and
            its time grows with the square.
        guess: whether faces whose landmarks do not settle get those of the mean face.
    """
    frontal, network = frontal_faces(picture, config), network_faces(picture, side)
    candidates = [face for face in frontal if face.score >= UNSURE_HOG or _is_among(face, network)] + network
    candidates = [face for face in candidates if face.width >= config.min_size]
    found = _with_landmarks(picture, candidates, model)
    if guess:
        likely = [face for face in candidates if face in network and face.score >= GUESSED]
        means = [dataclasses.replace(face, detector=WHOLE_PICTURE) for face in likely]
        found += _with_landmarks(picture, means, model)  # behind those that are found in the same place
    if not found:  # of a tight crop
        found = _with_landmarks(picture, detect_faces(picture, config, model).faces[:1], model)
    kept: list[FoundFace] = []
    for one in found:
        if not _is_among(one.face, [other.face for other in kept]):
            kept.append(one)
    return sorted(kept, key=lambda one: (-one.face.width, one.face.left))


def _is_among(face: Face, others: Sequence[Face]) -> bool:
    return any(overlap(face, other) >= SAME_FACE for other in others)


def _with_landmarks(picture: Picture, faces: Sequence[Face], model: LandmarkModel) -> list[FoundFace]:
    if not faces:
        return []
    points, settled = model.predict(faces, [face_patch(picture, face) for face in faces])
    return [
        FoundFace(face, own)
        for face, own, sure in zip(faces, points, settled, strict=True)
        if sure and (face.detector == WHOLE_PICTURE or _can_be_aligned(own, picture.size))
    ]


def _can_be_aligned(points: np.ndarray, picture_size: tuple[int, int]) -> bool:
    try:
        check_face("", points, picture_size)
    except BadItem:
        return False
    return True
