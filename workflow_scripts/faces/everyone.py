"""All faces of a picture, for who edits pictures of several people; the stages of the workflow take one face of each.

Unlike `detect_faces`, which stops at the first step that finds a face, all people count: dlib's frontal detector and
CenterFace look at copies in which ever smaller faces are seen. CenterFace also sees turned and masked faces. What the
frontal detector is not sure of counts only where CenterFace sees a face too.

Landmarks of a masked face often do not settle: the model takes the mask's edge for the eyes. Where it is asked for, a
face that CenterFace is sure of then gets the landmarks of the mean face, laid through the five points that it sees.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workflow_scripts.config.sources import Crop, FaceSearch
from workflow_scripts.core.cli import BadItem
from workflow_scripts.faces.alignment import crop_matrix
from workflow_scripts.faces.centerface import CenterFace
from workflow_scripts.faces.detection import detect_faces, frontal_faces
from workflow_scripts.faces.detectors import SAME_FACE
from workflow_scripts.faces.face import WHOLE_PICTURE, Face, Picture, overlap
from workflow_scripts.faces.head_squares import grown_squares, square_matrix
from workflow_scripts.faces.landmarks import UNSURE_HOG, LandmarkModel, face_patch
from workflow_scripts.faces.plausibility import check_face
from workflow_scripts.faces.priors import mean_landmarks

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


class Finder(NamedTuple):
    """The networks by which faces are found.

    Attributes:
        faces: finds faces.
        landmarks: finds their landmarks.
    """

    faces: CenterFace
    landmarks: LandmarkModel


def find_everyone(
    picture: Picture, config: FaceSearch, finder: Finder, side: int = SEARCHED_SIDE, guess: bool = False
) -> list[FoundFace]:
    """Return the faces of a picture whose landmarks settle and can be aligned, the largest first.

    Args:
        picture: the picture.
        config: `min_size` is the width of the smallest face; with `on_no_face: whole`, a picture without one is taken
            for a tight crop of a face.
        finder: the networks.
        side: pixels, longer side of the largest copy that CenterFace searches. Its time grows with the square.
        guess: whether faces whose landmarks do not settle get those of the mean face.
    """
    sightings = [one for one in finder.faces.find(picture, side) if one.face.width >= config.min_size]
    seen = [one.face for one in sightings]
    frontal = [face for face in frontal_faces(picture, config) if face.width >= config.min_size]
    candidates = [face for face in frontal if face.score >= UNSURE_HOG or _is_among(face, seen)] + seen
    found = _with_landmarks(picture, candidates, finder.landmarks)
    if guess:  # behind those that are found in the same place
        found += [FoundFace(one.face, mean_landmarks(one.face)) for one in sightings if one.sure]
    if not found:  # of a tight crop
        found = _with_landmarks(picture, detect_faces(picture, config, finder.landmarks).faces[:1], finder.landmarks)
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
