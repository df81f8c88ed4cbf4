"""What the parts of face detection hand to each other: a picture and the faces in it."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np


class Picture:
    """A picture that is searched for faces.

    Attributes:
        rgb: uint8 (H, W, 3).
    """

    def __init__(self, rgb: np.ndarray):
        self.rgb = rgb

    @cached_property
    def grey(self) -> np.ndarray:
        """Its luma, uint8 (H, W), converted once for all who need it."""
        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgb.shape[1], self.rgb.shape[0]


@dataclass(frozen=True)
class Face:
    """A square face box in pixels of the picture, as dlib's HOG detector draws it: from the brows to the chin.

    Attributes:
        left, top, right, bottom: edges; a box may reach beyond the picture.
        score: the detector's confidence, comparable within one detector; None where nothing was detected.
        detector: the step that found it.
        tilt: degrees of the line between the eyes, clockwise as seen, where that is known from the start.
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
        """Side of the square."""
        return self.right - self.left

    @property
    def center(self) -> tuple[float, float]:
        """Its x and y."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def square_face(x: float, y: float, side: float, score: float | None, detector: str, tilt: float = 0.0) -> Face:
    """Return the face whose box has its centre at x, y."""
    return Face(x - side / 2, y - side / 2, x + side / 2, y + side / 2, score, detector, tilt)
