"""The face that an occluder is drawn for, as far as the drawing may follow it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from workflow_scripts.occluders._light import LUMA, Light
from workflow_scripts.occluders._placement import Pose, unproject_points

_BROWS = (range(17, 22), range(22, 27))
_CHEEKS = ((41, 31, 48, 3), (46, 35, 54, 13))
_BROW_THICKNESS = 0.07  # units
_DARK = 0.2  # the share of the brow's pixels, the darkest, that show hair more than skin
_HAIR_CONTRAST = 1.3  # brows let skin through: hair differs from skin more than they do
_VIVID = (0.74, 0.58)  # least green and blue beside red
_FAIREST = 0.5  # of the skin's brightness
_FAINT = 0.88  # a brow brighter than this share of the skin tells nothing of the hair


@dataclass(frozen=True)
class Face:
    """One face.

    Attributes:
        image: uint8 (h, w, 3) RGB, bare.
        landmarks: float64 (68, 2) x, y in its pixels.
        pose: how the canvas lies on it.
        light: how it is lit.
        pictures: uint8 (h, w, 4) RGBA each, the user's own, of which a kind may draw one.
    """

    image: np.ndarray
    landmarks: np.ndarray
    pose: Pose
    light: Light
    pictures: Sequence[np.ndarray] = ()

    @property
    def turn(self) -> float:
        """How far it is turned, -1..1, see `Pose`."""
        return self.pose.turn

    @cached_property
    def points(self) -> np.ndarray:
        """The landmarks on the canvas, float64 (68, 2) in units of the mean face."""
        return unproject_points(self.pose, self.landmarks)

    def hair_color(self) -> np.ndarray:
        """Return the colour of the person's own hair, as the brows show it, without the light on it.

        Returns:
            float32 (3,) RGB in 0..1.
        """
        skin = self._median([self.landmarks[list(cheek)] for cheek in _CHEEKS])
        brows = np.zeros(self.image.shape[:2], np.uint8)
        lines = [np.round(self.landmarks[list(brow)]).astype(np.int32) for brow in _BROWS]
        cv2.polylines(brows, lines, False, 255, max(1, round(_BROW_THICKNESS * self.pose.unit)))
        pixels = self.image[brows > 0].astype(np.float32) / 255
        if len(pixels):
            luma = pixels @ LUMA
            brow = pixels[luma <= np.quantile(luma, _DARK)].mean(0)
        if not len(pixels) or brow @ LUMA > _FAINT * (skin @ LUMA):
            brow = 0.6 * skin
        shown = np.maximum(skin + _HAIR_CONTRAST * (brow - skin), 0.35 * brow)
        shown = shown * min(1.0, _FAIREST * float(skin @ LUMA) / float(shown @ LUMA + 1e-6))
        red, green, blue = np.clip(shown / (self.light.level * self.light.tint), 0.02, 0.95)
        # Hair is black, grey, brown, red or fair; what is bluer or more vivid was make-up, a hat or a coloured light.
        green = np.clip(green, _VIVID[0] * red, red)
        return np.array([red, green, np.clip(blue, _VIVID[1] * red, green)], np.float32)

    def _median(self, polygons: list[np.ndarray]) -> np.ndarray:
        inside = np.zeros(self.image.shape[:2], np.uint8)
        for polygon in polygons:
            cv2.fillPoly(inside, [np.round(polygon).astype(np.int32)], 255)
        pixels = self.image[inside > 0]
        return np.median(pixels if len(pixels) else self.image.reshape(-1, 3), 0).astype(np.float32) / 255
