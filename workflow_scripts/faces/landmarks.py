"""The 68 landmarks of faces whose boxes are known.

Positions are x, y in pixels, and integers are the centres of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from safetensors import SafetensorError

from workflow_scripts.core.cli import UserError
from workflow_scripts.faces.alignment import compose, spread_of, stretch, tilt_of, transform_points
from workflow_scripts.faces.detectors import hog
from workflow_scripts.faces.dlib68.shape_predictor import ShapePredictor
from workflow_scripts.faces.face import WHOLE_PICTURE, Face, Picture, overlap, square_face
from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.faces.priors import GIVEN_POINTS

# Pixels; side of the face box in a patch. The model looks at whole pixels, so a smaller box would be coarse.
FACE_WIDTH = 224
# Pixels; side of a patch. The model looks little beyond the box, and a patch turned by 45 degrees still holds the box.
PATCH_SIDE = 336
MIDDLE = (PATCH_SIDE - FACE_WIDTH) // 2, (PATCH_SIDE + FACE_WIDTH) // 2 - 1  # the box's first and last column and row
# The HOG box around landmarks: its side over their spread, and how much lower its centre lies, over its side.
LANDMARK_BOX = (2.7, -0.02)
MAX_TILT = 6  # degrees; landmarks that are tilted by less are trusted at once where the detector was sure
# Scores of dlib's frontal detector: from the first on, landmarks in an upright face's own box are trusted at once; what
# has less than the second and is not settled as it stands is left to the next steps of the search, and not turned.
SURE_HOG, UNSURE_HOG = 0.5, 0.3
TURNS = (25, -25, 50, -50, 75, -75, 100, -100, 130, -130, 180)  # degrees by which a patch is turned
HOG_TURNS = 25  # degrees; dlib's frontal detector finds no face that is tilted by more
# The doubt (see `LandmarkModel`) up to which landmarks are taken at once; that up to which the best of all turns is
# taken; and that up to which it is where dlib's frontal detector sees a face there too, as on many people with a mask.
# Chosen on 39 faces of CelebA at ten angles, where taking the best of all turns put no face wrong by more than 0.15 of
# the distance of the outer eye corners up to 0.03 and three of 390 lay above 0.03, and by eye on 195 photographs.
SETTLED, ACCEPTED, CONFIRMED = 0.02, 0.035, 0.06
LIKELY_TILT = 50  # degrees; landmarks that are tilted by more count only where the frontal detector sees a face there
SEEN_OVERLAP = 0.4  # intersection over union of the frontal detector's box with that which the landmarks imply


@dataclass(frozen=True)
class Patch:
    """The surroundings of a face, on which landmarks are predicted.

    It is a small copy and not the picture, so that a block of them can wait for the landmark model.

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


class Landmarks(NamedTuple):
    """The landmarks of n faces.

    Attributes:
        points: float32 (n, 68, 2), in iBUG order: x, y in pixels of the picture.
        settled: bool (n,); where it is False, the landmarks are probably beside the face.
    """

    points: np.ndarray
    settled: np.ndarray


class LandmarkModel:
    """The landmark model, and the rules by which its landmarks are trusted.

    The model expects upright faces in HOG's box. Where a face is tilted, its box comes from another detector, or the
    detector was not sure, the model is applied again to the patch, turned and framed as the last prediction implies,
    and to the mirror image of that. Right landmarks reproduce themselves, and those of the mirror image are their
    mirror image (Yang & Patras, "Mirror, Mirror on the Wall, Tell Me, Is the Error Small?", CVPR 2015); wrong ones
    wander. The mean of both distances over the landmarks' spread is the doubt. Where the upright start leaves much of
    it, several turns are tried, and the landmarks with the least are taken. Where five points are given, they tell the
    turn, and one prediction is enough. A face that is a whole picture gets the landmarks of the mean face.

    Args:
        path: `results/weights/landmarks.safetensors`, which the stage `fetch_weights` writes.

    Raises:
        UserError: the file is damaged.
    """

    def __init__(self, path: Path):
        try:
            self._predictor = ShapePredictor(path, PATCH_SIDE, MIDDLE)
        except SafetensorError as error:
            raise UserError(f"{path}: is no landmark model ({error}); delete it and run again") from error

    def predict(self, faces: Sequence[Face], patches: Sequence[Patch]) -> Landmarks:
        """Return the landmarks of faces.

        Many faces at once are several times faster than one after the other.

        Args:
            faces: faces of any pictures.
            patches: the `face_patch` of each of them.
        """
        images = [patch.image for patch in patches]
        points = self._framed(images, [_turning(face.tilt) if abs(face.tilt) > MAX_TILT else None for face in faces])
        settled = np.ones(len(faces), bool)
        doubtful = [number for number, face in enumerate(faces) if _is_doubtful(face, points[number])]
        if doubtful:
            better, settled[doubtful] = self._settle(
                [faces[number] for number in doubtful], [images[number] for number in doubtful], points[doubtful]
            )
            points[doubtful] = better
        points[[face.detector == WHOLE_PICTURE for face in faces]] = MEAN_FACE
        to_picture = [cv2.invertAffineTransform(patch.matrix) for patch in patches]
        in_picture = np.array(list(map(transform_points, to_picture, points)), np.float32).reshape(-1, 68, 2)
        return Landmarks(in_picture, settled)

    def _settle(self, faces: list[Face], images: list[np.ndarray], own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the landmarks (n, 68, 2) of the turn that leaves the least doubt, and whether they are settled (n,).

        Args:
            faces: the faces.
            images: their patches.
            own: the landmarks (n, 68, 2) found in the faces' own boxes. They are kept where the box is the frontal
                detector's, upright, and the first turn leaves little doubt.
        """
        # The frontal detector finds upright faces: their landmarks are right as they stand if nothing refutes them.
        enough = np.array([ACCEPTED if _is_hog(face) else SETTLED for face in faces])
        reach = np.array([180 if not _is_hog(face) else HOG_TURNS * (face.score >= UNSURE_HOG) for face in faces])
        result, least = self._reproduced(images, own)
        kept = [_is_hog(face) and abs(tilt_of(points)) <= MAX_TILT for face, points in zip(faces, own, strict=True)]
        kept &= least <= ACCEPTED
        result[kept] = own[kept]
        tries = [(number, turn) for turn in TURNS for number in np.flatnonzero((least > enough) & (abs(turn) <= reach))]
        if tries:
            turned = [images[number] for number, _ in tries]
            others, doubts = self._reproduced(turned, self._framed(turned, [_turning(turn) for _, turn in tries]))
            for (number, _), points, doubt in zip(tries, others, doubts, strict=True):
                if doubt < least[number] and (abs(tilt_of(points)) <= LIKELY_TILT or _is_seen(images[number], points)):
                    result[number], least[number] = points, doubt
        return result, np.array(list(map(_is_settled, images, result, least)))

    def _reproduced(self, images: list[np.ndarray], first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the landmarks (n, 68, 2) to which the first ones lead, and the doubt (n,) that is left."""
        points = self._framed(images, list(map(_framing, first)))
        framings = list(map(_framing, points))
        mirrored = [compose(MIRROR, framing) for framing in framings]
        again, mirrored = np.split(self._framed(images * 2, framings + mirrored), 2)
        return again, (_distances(again, points) + _distances(again, mirrored[:, MIRRORED])) / 2

    def _framed(self, images: list[np.ndarray], framings: list[np.ndarray | None]) -> np.ndarray:
        """Return landmarks (n, 68, 2), in pixels of the patches.

        Args:
            images: the patches.
            framings: for each the matrix (2, 3) by which it is moved before the model sees it, or None.
        """
        found = self._predictor(list(map(_moved, images, framings)))
        for number, framing in enumerate(framings):
            if framing is not None:
                found[number] = transform_points(cv2.invertAffineTransform(framing), found[number])
        return found


def _is_hog(face: Face) -> bool:
    return face.detector.startswith("dlib_hog")


def _is_doubtful(face: Face, points: np.ndarray) -> bool:
    """Tell whether landmarks (68, 2) found in the face's own box may be wrong."""
    if face.detector in (WHOLE_PICTURE, GIVEN_POINTS):
        return False
    return abs(tilt_of(points)) > MAX_TILT or face.detector != "dlib_hog" or face.score < SURE_HOG


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the mean distances (n,) of landmarks (n, 68, 2) from others, over their spread."""
    return np.linalg.norm(points - others, axis=2).mean(axis=1) / np.array(list(map(spread_of, points)))


def _is_settled(image: np.ndarray, points: np.ndarray, doubt: float) -> bool:
    """Tell whether landmarks (68, 2) in a patch are right, by their doubt or by the frontal detector."""
    return doubt <= ACCEPTED or (doubt <= CONFIRMED and _is_seen(image, points))


def _is_seen(image: np.ndarray, points: np.ndarray) -> bool:
    """Tell whether the frontal detector sees a face where landmarks (68, 2) in a patch say that one is.

    It looks at the patch turned upright by the landmarks, and at its mirror image, at half the size.
    """
    upright = cv2.resize(_moved(image, _framing(points)), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    middle = (PATCH_SIDE / 2 - 1) / 2
    expected = square_face(middle, middle, FACE_WIDTH / 2, None, "")
    return all(
        any(overlap(expected, face) > SEEN_OVERLAP for face in hog(view, 1.0, 0.0, ""))
        for view in (upright, np.ascontiguousarray(upright[:, ::-1]))
    )


def _moved(patch: np.ndarray, framing: np.ndarray | None) -> np.ndarray:
    if framing is None:
        return patch
    return cv2.warpAffine(patch, framing, patch.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


def _turning(degrees: float) -> np.ndarray:
    """Return the matrix (2, 3) that turns a patch about its middle, counterclockwise as seen."""
    return cv2.getRotationMatrix2D(((PATCH_SIDE - 1) / 2, (PATCH_SIDE - 1) / 2), degrees, 1.0)


def _framing(points: np.ndarray) -> np.ndarray:
    """Return the matrix (2, 3) that turns landmarks upright and takes the HOG box around them to a patch's middle."""
    tilt = np.radians(tilt_of(points))
    side_of_spread, down = LANDMARK_BOX
    scale = FACE_WIDTH / max(side_of_spread * spread_of(points), 1.0)
    turn = scale * np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    middle = np.array([(PATCH_SIDE - 1) / 2, (PATCH_SIDE - 1) / 2 - down * FACE_WIDTH])
    return np.column_stack([turn, middle - turn @ points.mean(axis=0)])


MIRROR = np.array([[-1.0, 0.0, PATCH_SIDE - 1.0], [0.0, 1.0, 0.0]])  # of a patch
MEAN_FACE = transform_points(_framing(CELEBA_LANDMARKS), CELEBA_LANDMARKS)  # in a patch, float64 (68, 2)
