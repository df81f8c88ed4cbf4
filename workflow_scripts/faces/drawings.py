"""Drawings of a face's parts from its 68 landmarks, which a network learns to turn into the face.

Each part is filled in a colour of its own, on black. A mirrored drawing must be the drawing of the mirrored face. So
the colour of a left part is that of the right one with red and green exchanged, and parts in the middle have as much
red as green: a drawing is mirrored by a flip and `MIRRORED_CHANNELS`. Right and left are the person's own, as in
`landmark_groups`.

The gaze cue shows the white of the eye: where an eye is brighter than the middle of its own range of grey, its colour
grows lighter. The iris stays dark, so the drawing shows where the eye looks.
"""

from typing import NamedTuple

import cv2
import numpy as np

from workflow_scripts.core.cli import BadItem
from workflow_scripts.faces import landmark_groups as groups

MIRRORED_CHANNELS = [1, 0, 2]  # red and green change places
FRACTION_BITS = 6  # of the coordinates given to OpenCV, which are fixed-point numbers
LINE_WIDTH = 1 / 128  # of the drawing's size; width of the line that keeps a closed eye or mouth visible
GAZE_RANGE = (10, 90)  # percentiles of an eye's grey levels that stand for pupil and white
MIN_CONTRAST = 12  # grey levels between pupil and white; with less, the eye is closed, blurred or in the dark
MIN_EYE_PIXELS = 6  # a smaller eye has no gaze cue
STEEPNESS = 2.0  # of the gaze cue's rise from 0 to 1; at 1 it spans the whole range from pupil to white
MIN_FACE = 1 / 8  # of the drawing's size; least width and height of all landmarks
MAX_PART_OUTSIDE = 0.2  # share of a part's points that may lie beyond the drawing's border


class DrawnPart(NamedTuple):
    """A part of the face and how it is drawn.

    Attributes:
        points: its landmarks.
        color: RGB in 0..255.
        hull: whether its convex hull is filled, because the points make no outline, as those of the nose.
        light: RGB of an eye's bright pixels; None for other parts.
    """

    points: slice
    color: tuple[int, int, int]
    hull: bool = False
    light: tuple[int, int, int] | None = None


# In the order in which they are drawn, one over the other.
DRAWN_PARTS = {
    "outline": DrawnPart(groups.JAW, (64, 64, 112)),
    "right brow": DrawnPart(groups.RIGHT_BROW, (224, 96, 0)),
    "left brow": DrawnPart(groups.LEFT_BROW, (96, 224, 0)),
    "nose": DrawnPart(groups.NOSE, (48, 48, 240), hull=True),
    "right eye": DrawnPart(groups.RIGHT_EYE, (176, 0, 96), light=(255, 144, 224)),
    "left eye": DrawnPart(groups.LEFT_EYE, (0, 176, 96), light=(144, 255, 224)),
    "outer mouth": DrawnPart(groups.OUTER_LIPS, (208, 208, 0)),
    "inner mouth": DrawnPart(groups.INNER_LIPS, (240, 240, 240)),
}
DRAWN_EYES = ("right eye", "left eye")


def draw_face(landmarks: np.ndarray, size: int, gaze: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """Return the drawing of a face, RGB uint8 (size, size, 3).

    Args:
        landmarks: (68, 2), x and y in pixels of the drawing, which are drawn at fractions of pixels.
        size: pixels of each side.
        gaze: the result of `find_gaze`: for each of `DRAWN_EYES`, how bright its pixels are, float32 (size, size) in
            0..1. None draws no gaze cue.
    """
    drawing = np.zeros((size, size, 3), np.uint8)
    width = max(1, round(LINE_WIDTH * size))
    for name, part in DRAWN_PARTS.items():
        outline = _fixed_point(landmarks[part.points])
        outline = cv2.convexHull(outline) if part.hull else outline
        cv2.fillPoly(drawing, [outline], part.color, cv2.LINE_AA, FRACTION_BITS)
        closed = name != "outline"
        cv2.polylines(drawing, [outline], closed, part.color, width, cv2.LINE_AA, FRACTION_BITS)
        if gaze is not None and part.light is not None:
            inside = cv2.fillPoly(np.zeros((size, size), np.uint8), [outline], 255, cv2.LINE_AA, FRACTION_BITS)
            amount = (gaze[name] * (inside / np.float32(255)))[:, :, None]
            drawing = np.rint(drawing * (1 - amount) + np.float32(part.light) * amount).astype(np.uint8)
    return drawing


def check_drawing(item: str, landmarks: np.ndarray, size: int) -> None:
    """Refuse landmarks that make no complete drawing.

    Args:
        item: the item's name, for the reason.
        landmarks: (68, 2), in pixels of the drawing.
        size: pixels of each side.

    Raises:
        BadItem: `degenerate landmarks`: they are no numbers, or lie in a small spot or on a line; `incomplete
            drawing`: more than a fifth of a part's points lie beyond the border.
    """
    extent = np.ptp(landmarks, axis=0)
    if not (extent >= MIN_FACE * size).all():
        raise BadItem(
            "degenerate landmarks",
            f"{item}: its landmarks cover {extent[0]:.0f} x {extent[1]:.0f} of {size} pixels; leave it out",
        )
    for name, part in DRAWN_PARTS.items():
        points = landmarks[part.points]
        outside = ((points < -0.5) | (points > size - 0.5)).any(axis=1).mean()
        if outside > MAX_PART_OUTSIDE:
            raise BadItem(
                "incomplete drawing",
                f"{item}: {outside:.0%} of the {name} lies beyond the crop, as when a head moves fast or another face "
                "is taken for it; leave it out, or choose by `faces.choose`",
            )


def find_gaze(image: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Return the gaze cue: for each of `DRAWN_EYES`, how bright its pixels are among the eye's own grey levels.

    The grey levels of pupil and white are the 10th and 90th percentile inside the eye, so the light of the scene does
    not matter. Around the middle between them the cue rises from 0 to 1, twice as steeply as the grey level. A closed
    eye, or one without contrast, has no bright pixels.

    Args:
        image: crop, RGB uint8 (S, S, 3).
        landmarks: (68, 2) of the face in it, in its pixels.

    Returns:
        float32 (S, S) in 0..1 for each eye, 0 outside it.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (3, 3), 0)
    return {name: _bright_pixels(grey, _fixed_point(landmarks[DRAWN_PARTS[name].points])) for name in DRAWN_EYES}


def _bright_pixels(grey: np.ndarray, outline: np.ndarray) -> np.ndarray:
    inside = cv2.fillPoly(np.zeros_like(grey), [outline], 255, shift=FRACTION_BITS)
    levels = grey[inside > 0]
    if levels.size < MIN_EYE_PIXELS:
        return np.zeros(grey.shape, np.float32)
    dark, light = np.percentile(levels, GAZE_RANGE)
    if light - dark < MIN_CONTRAST:
        return np.zeros(grey.shape, np.float32)
    position = (grey.astype(np.float32) - (dark + light) / 2) / (light - dark)
    near = cv2.dilate(inside, np.ones((3, 3), np.uint8))  # one pixel more, for the interpolation in `move_gaze`
    return np.clip(0.5 + STEEPNESS * position, 0, 1).astype(np.float32) * (near > 0)


def move_gaze(gaze: dict[str, np.ndarray], source: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """Return a gaze cue moved with its eyes, by the affine map nearest to the movement of each eye's six landmarks.

    Args:
        gaze: the result of `find_gaze`.
        source: the landmarks (68, 2) with which it was found.
        target: the landmarks (68, 2) with which it is drawn.
    """
    moved = {}
    for name, bright in gaze.items():
        before, after = source[DRAWN_PARTS[name].points], target[DRAWN_PARTS[name].points]
        center = before.mean(axis=0)
        # The pseudo-inverse is needed for a closed eye: its points lie on a line, and show no movement across it.
        linear = (np.linalg.pinv(before - center, rcond=0.02) @ (after - after.mean(axis=0))).T
        matrix = np.column_stack([linear, after.mean(axis=0) - linear @ center])
        moved[name] = cv2.warpAffine(bright, matrix, bright.shape[::-1]) if bright.any() else bright
    return moved


def _fixed_point(points: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(points, np.float64) * 2**FRACTION_BITS).astype(np.int32)
