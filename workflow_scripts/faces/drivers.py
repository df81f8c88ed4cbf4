"""A driver's table: how a face moved, without what it looked like.

Nobody's likeness need be passed on with a driver, but for the shape that its landmarks have. A row for each frame of a
video, sorted by `frame`:

| column | type | meaning |
|---|---|---|
| `frame`, `shot` | int32 | number of the frame in its video, of the shot in it |
| `time` | float64 | when the frame is shown, in seconds |
| `x_0` … `x_67`, `y_0` … `y_67` | float32 | landmarks, as fractions of the calm square around the head; null: no face |
| `right_x`, `right_y`, `left_x`, `left_y` | float32 | middles of the person's pupils, likewise; null of a closed eye |
"""

import cv2
import numpy as np
import pyarrow as pa

from workflow_scripts.faces.drawings import DRAWN_EYES, DRAWN_PARTS, FRACTION_BITS

POINTS = [f"{axis}_{number}" for axis in "xy" for number in range(68)]
PUPILS = ["right_x", "right_y", "left_x", "left_y"]
DRIVER = pa.schema(
    [
        *[("frame", pa.int32()), ("shot", pa.int32()), ("time", pa.float64())],
        *[(name, pa.float32()) for name in (*POINTS, *PUPILS)],
    ]
)
IRIS = 0.2  # radius of the iris over the width of the open eye
WHITE, DARK = 230, 20  # grey levels of a drawn eye


def find_pupils(gaze: dict[str, np.ndarray], landmarks: np.ndarray) -> np.ndarray:
    """Return the middles of the pupils, float64 (2, 2), the right one first; NaN for a closed eye.

    They are the middles of what is not bright in each eye.

    Args:
        gaze: as `find_gaze` returns it, float32 (S, S) of each eye.
        landmarks: (68, 2) in the same pixels.
    """
    pupils = np.full((2, 2), np.nan)
    for row, name in enumerate(DRAWN_EYES):
        bright = gaze[name]
        inside = cv2.fillPoly(np.zeros(bright.shape, np.uint8), [_outline(landmarks, name)], 1, shift=FRACTION_BITS)
        dark = inside * (1 - bright)
        if bright.any() and dark.sum() > 0:
            y, x = np.nonzero(dark)
            pupils[row] = np.average(np.stack([x, y], axis=1), axis=0, weights=dark[y, x])
    return pupils


def draw_eyes(landmarks: np.ndarray, pupils: np.ndarray, size: int) -> np.ndarray:
    """Return a picture, RGB uint8 (size, size, 3), of nothing but two eyes, in which `find_gaze` finds these pupils.

    Args:
        landmarks: (68, 2) in pixels.
        pupils: (2, 2), as `find_pupils` returns them; an eye without one is not drawn.
        size: pixels of each side.
    """
    picture = np.zeros((size, size), np.uint8)
    for name, pupil in zip(DRAWN_EYES, pupils, strict=True):
        if np.isfinite(pupil).all():
            radius = IRIS * np.ptp(landmarks[DRAWN_PARTS[name].points][:, 0])
            eye = cv2.fillPoly(np.zeros_like(picture), [_outline(landmarks, name)], WHITE, cv2.LINE_AA, FRACTION_BITS)
            middle, reach = (np.rint(np.asarray(value) * 2**FRACTION_BITS).astype(int) for value in (pupil, radius))
            iris = np.full_like(picture, WHITE)
            cv2.circle(iris, middle.tolist(), int(reach), DARK, -1, cv2.LINE_AA, FRACTION_BITS)
            picture = np.maximum(picture, np.minimum(eye, iris))
    return np.repeat(picture[..., None], 3, axis=2)


def _outline(landmarks: np.ndarray, eye: str) -> np.ndarray:
    return np.rint(landmarks[DRAWN_PARTS[eye].points] * 2**FRACTION_BITS).astype(np.int32)
