"""The face that an occluder is drawn for, and what a drawing may take from it: its shape and the colour of its hair."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.occluders._light import LUMA, Light
from workflow_scripts.occluders._placement import Pose, unproject_points

_BROW_THICKNESS = 0.07  # units
_DARK = 0.2  # the darkest share of a brow's pixels, which show hair rather than skin
_HAIR_CONTRAST = 1.3  # brows let skin shine through, so hair differs from skin this much more than they do
_VIVID = (0.74, 0.58)  # least green over red, and blue over red, that hair can have
_FAIREST = 0.5  # largest brightness of hair over that of the skin
_FAINT = 0.88  # a brow that is brighter than this share of the skin shows nothing of the hair


@dataclass(frozen=True)
class Wearer:
    """A bare face, its place on the canvas and its light.

    Attributes:
        image: uint8 (h, w, 3) RGB, bare.
        landmarks: float64 (68, 2), x and y in pixels of `image`.
        pose: how the canvas lies on the face.
        light: how the face is lit.
        pictures: the user's own pictures of the kind, as `_pictures.read_pictures` gives them, of which it draws one.
        color: RGB in 0..1, float32 (3,), that the occluder is to have; None where the kind draws one.
    """

    image: np.ndarray
    landmarks: np.ndarray
    pose: Pose
    light: Light
    pictures: Sequence = ()
    color: np.ndarray | None = None

    def dyed(self, drawn: np.ndarray) -> np.ndarray:
        """Return the occluder's colour: that which is asked for, or else the one that the kind has drawn."""
        return drawn if self.color is None else self.color

    @property
    def turn(self) -> float:
        """How far the face is turned, -1..1, see `Pose`."""
        return self.pose.turn

    @cached_property
    def points(self) -> np.ndarray:
        """The landmarks moved to the canvas, float64 (68, 2) in units of the mean face."""
        return unproject_points(self.pose, self.landmarks)

    def hair_color(self) -> np.ndarray:
        """Return the colour of the wearer's own hair, as the brows show it, without the light on it.

        The darkest pixels of the brows are compared with the skin of the cheeks. Where the brows are too faint, a
        darker shade of the skin stands in for them.

        Returns:
            float32 (3,), RGB in 0..1.
        """
        skin = self._cheeks()
        brows = np.zeros(self.image.shape[:2], np.uint8)
        lines = [np.round(self.landmarks[brow]).astype(np.int32) for brow in (groups.RIGHT_BROW, groups.LEFT_BROW)]
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
        # Hair is black, grey, brown, red or fair; a bluer or more vivid colour was make-up, a hat or a coloured light.
        green = np.clip(green, _VIVID[0] * red, red)
        return np.array([red, green, np.clip(blue, _VIVID[1] * red, green)], np.float32)

    def skin_color(self) -> np.ndarray:
        """Return the colour of the cheeks without the light on them, float32 (3,), RGB in 0..1."""
        return np.clip(self._cheeks() / (self.light.level * self.light.tint), 0.02, 0.98).astype(np.float32)

    def _cheeks(self) -> np.ndarray:
        """Return the cheeks' median colour as it is in the picture."""
        return self._median([self.landmarks[list(cheek)] for cheek in (groups.RIGHT_CHEEK, groups.LEFT_CHEEK)])

    def _median(self, polygons: list[np.ndarray]) -> np.ndarray:
        """Return the median colour in polygons, float32 (3,) in 0..1; that of the picture where they hold no pixel."""
        inside = np.zeros(self.image.shape[:2], np.uint8)
        for polygon in polygons:
            cv2.fillPoly(inside, [np.round(polygon).astype(np.int32)], 255)
        pixels = self.image[inside > 0]
        return np.median(pixels if len(pixels) else self.image.reshape(-1, 3), 0).astype(np.float32) / 255
