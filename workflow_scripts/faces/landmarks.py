"""The 68 landmarks of faces whose boxes are known.

Positions are x, y in pixels, and integers are the centres of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError

from workflow_scripts.core.cli import UserError
from workflow_scripts.faces.alignment import compose, spread_of, stretch, tilt_of, transform_points
from workflow_scripts.faces.detection import WHOLE_PICTURE
from workflow_scripts.faces.dlib68.shape_predictor import ShapePredictor
from workflow_scripts.faces.face import Face, Picture
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.faces.priors import GIVEN_POINTS

# Pixels; side of the face box in a patch. The model looks at whole pixels, so a smaller box would be coarse.
FACE_WIDTH = 224
# Pixels; side of a patch. The model looks little beyond the box, and a patch turned by 45 degrees still holds the box.
PATCH_SIDE = 336
MIDDLE = (PATCH_SIDE - FACE_WIDTH) // 2, (PATCH_SIDE + FACE_WIDTH) // 2 - 1  # the box's first and last column and row
# The HOG box around landmarks: its side over their spread, and how much lower its centre lies, over its side.
LANDMARK_BOX = (2.7, -0.02)
MAX_TILT = 6  # degrees; landmarks that are tilted by less are trusted at once
START_TURNS = (0, 25, -25, 50, -50)  # degrees by which a patch is turned, in this order
# The largest mean change from one prediction to the next, as a fraction of the landmarks' spread, of landmarks that
# count as settled. It was chosen on the 34 most tilted of 1,576 photographs: most right landmarks change by 0.008 to
# 0.018, wrongly turned ones by 0.020 and more. In doubt the upright start is taken: one face tilted by 68 degrees
# changed by 0.023 and is lost.
SETTLED = 0.018


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


class LandmarkModel:
    """The landmark model, and the rules by which its landmarks are trusted.

    The model expects upright faces in HOG's box. Where a face is tilted, or its box comes from another detector, the
    model is applied again to the patch, turned and framed as the last prediction implies. Several turns are tried
    until one settles: right landmarks reproduce themselves, and wrong ones wander. Where five points are given, they
    tell the turn, and one prediction is enough. A face that is a whole picture gets the landmarks of the mean face.

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

    def predict(self, faces: Sequence[Face], patches: Sequence[Patch]) -> np.ndarray:
        """Return the 68 landmarks of faces, in iBUG order, as float32 (n, 68, 2): x, y in pixels of the picture.

        Many faces at once are several times faster than one after the other.

        Args:
            faces: faces of any pictures.
            patches: the `face_patch` of each of them.
        """
        images = [patch.image for patch in patches]
        points = self._framed(images, [_turning(face.tilt) if abs(face.tilt) > MAX_TILT else None for face in faces])
        doubtful = [number for number, face in enumerate(faces) if _is_doubtful(face, points[number])]
        points[doubtful] = self._settled([images[number] for number in doubtful])
        points[[face.detector == WHOLE_PICTURE for face in faces]] = MEAN_FACE
        to_picture = [cv2.invertAffineTransform(patch.matrix) for patch in patches]
        return np.array(list(map(transform_points, to_picture, points)), np.float32).reshape(-1, 68, 2)

    def _settled(self, images: list[np.ndarray]) -> np.ndarray:
        """Return the landmarks (n, 68, 2) of the first turn that settles, or else those of the upright start."""
        result = np.empty((len(images), 68, 2))
        waiting = np.arange(len(images))
        for turn in START_TURNS:
            left = [images[number] for number in waiting]
            points = self._framed(left, [_turning(turn)] * len(left))
            points = self._framed(left, list(map(_framing, points)))
            again = self._framed(left, list(map(_framing, points)))
            changes = np.linalg.norm(again - points, axis=2).mean(axis=1)
            settled = changes <= SETTLED * np.array(list(map(spread_of, points)))
            taken = settled | (turn == START_TURNS[0])
            result[waiting[taken]] = again[taken]
            waiting = waiting[~settled]
        return result

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


def _is_doubtful(face: Face, points: np.ndarray) -> bool:
    """Tell whether landmarks (68, 2) found in the face's own box may be wrong."""
    if face.detector in (WHOLE_PICTURE, GIVEN_POINTS):
        return False
    return abs(tilt_of(points)) > MAX_TILT or not face.detector.startswith("dlib_hog")


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


MEAN_FACE = transform_points(_framing(CELEBA_LANDMARKS), CELEBA_LANDMARKS)  # in a patch, float64 (68, 2)
