"""What the parts of face detection hand to each other: a picture and the faces in it."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

# Recorded as a face's detector: the face is the whole picture; CenterFace saw it; and its landmarks do not settle.
WHOLE_PICTURE, CENTERFACE, CENTERFACE_MEAN = "whole_picture", "centerface", "centerface_mean_face"


class Picture:
    """A picture that is searched for faces.

    Attributes:
        rgb: uint8 (H, W, 3).
    """

    def __init__(self, rgb: np.ndarray):
        self.rgb = rgb

    @cached_property
    def grey(self) -> np.ndarray:
        """The picture's luma, uint8 (H, W), converted once and then kept."""
        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


@dataclass(frozen=True)
class Face:
    """A square face box in pixels of the picture, as dlib's HOG detector draws it: from the brows to the chin.

    Attributes:
        left, top, right, bottom: the edges; a box may reach beyond the picture.
        score: the detector's confidence, which compares only with that of the same detector; None without a detector.
        detector: the step that found the face.
        tilt: degrees of the line between the eyes, clockwise as seen; 0 where it is not known beforehand.
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float | None
    detector: str
    tilt: float = 0.0

    @property
    def width(self) -> float:
        """The side of the square."""
        return self.right - self.left

    @property
    def center(self) -> tuple[float, float]:
        """The x and y of its centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def square_face(x: float, y: float, side: float, score: float | None, detector: str, tilt: float = 0.0) -> Face:
    """Return the face whose box has its centre at x, y."""
    return Face(x - side / 2, y - side / 2, x + side / 2, y + side / 2, score, detector, tilt)


def overlap(face: Face, other: Face) -> float:
    """Return the intersection of two boxes over their union, in 0..1."""
    width = min(face.right, other.right) - max(face.left, other.left)
    height = min(face.bottom, other.bottom) - max(face.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (face.width**2 + other.width**2 - width * height)
