"""The light, sharpness and noise of a picture, measured on the bare face, so that an occluder looks like part of it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from workflow_scripts.occluders._placement import Pose, project

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue (ITU-R BT.601)
# Points of the mean face on cheeks, nose and the sides of the chin, away from eyes, mouth and outline.
_SKIN = np.array(
    [
        (sign * x, y)
        for sign in (-1, 1)
        for x in (0.06, 0.18, 0.3, 0.42)
        for y in (0.04, 0.14, 0.24, 0.36, 0.78)
        if x + y < 1.1
    ]
)
_TYPICAL_SKIN = 0.66  # luma of well exposed skin


@dataclass(frozen=True)
class Light:
    """How a face is lit, and how sharp and noisy its picture is.

    Attributes:
        level: brightness of a white surface in this light, about 0.35..1.1.
        tint: colour of the light, RGB float32 (3,) with a mean of 1.
        slope: growth of log luminance per unit of the mean face, to the right of the picture and down, float32 (2,).
        blur: standard deviation in pixels of the picture's blur, beyond that of a sharp picture.
        noise: standard deviation of the picture's grain, in grey levels of 0..255.
    """

    level: float
    tint: np.ndarray
    slope: np.ndarray
    blur: float
    noise: float

    def flat(self) -> "Light":
        """Return white light of the same brightness from the front, in a sharp picture without grain."""
        return Light(self.level, np.ones(3, np.float32), np.zeros(2, np.float32), 0.0, 0.0)


def measure_light(image: np.ndarray, pose: Pose) -> Light:
    """Measure the light on a bare face.

    Args:
        image: uint8 (h, w, 3) RGB.
        pose: where its face is.
    """
    height, width = image.shape[:2]
    window = max(3, round(0.08 * pose.unit))
    smooth = cv2.blur(image, (window, window))
    points = project(pose, _SKIN)
    inside = ((points >= 0) & (points < (width, height))).all(1)  # which NaN is not
    coarse = smooth[::4, ::4].copy()
    scene = coarse.reshape(-1, 3).astype(np.float32) / 255
    slope, skin = np.zeros(2), scene
    enough = np.count_nonzero(inside) >= 8
    if enough:
        columns, rows = points[inside].astype(int).T
        skin = smooth[rows, columns].astype(np.float32) / 255
    luma = skin @ LUMA + 0.02
    if enough:
        slope = _slope(_SKIN[inside], np.log(luma))

    # Dark skin and dim light look alike. The highlights of the whole picture help to tell them apart.
    (bright,), (brightest,) = _quantiles(luma, 0.6), _quantiles(scene @ LUMA, 0.9)
    exposure = 0.65 * bright / _TYPICAL_SKIN + 0.35 * brightest / 0.9
    tint = np.sqrt(np.array(cv2.mean(coarse)[:3]) / 255 + 0.1)
    blur, noise = _grain(image, pose)
    return Light(
        min(max(exposure, 0.2), 1.1) ** 0.7,
        (tint * (3 / tint.sum())).astype(np.float32),
        slope.astype(np.float32),
        blur,
        noise,
    )


def _slope(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the slope (2,) of a plane through values (n,) at points (n, 2), by ridge regression without outliers."""
    lowest, highest = _quantiles(values, 0.1, 0.9)
    values = np.minimum(np.maximum(values, lowest), highest)
    x, y = (points - points.mean(0)).T
    xx, xy, yy = float(x @ x) + 0.15, float(x @ y), float(y @ y) + 0.15
    values = values - values.mean()
    x, y = float(x @ values), float(y @ values)
    slope = np.array([yy * x - xy * y, xx * y - xy * x]) / (xx * yy - xy * xy)
    return np.minimum(np.maximum(slope, -1.2), 1.2)


def _quantiles(values: np.ndarray, *shares: float) -> list[float]:
    """Return the same as `numpy.quantile`, whose own checks would take longer than the work."""
    last = values.size - 1
    positions = [(share * last, int(share * last), min(int(share * last) + 1, last)) for share in shares]
    ordered = values.flatten()
    ordered.partition([rank for _, *ranks in positions for rank in ranks])
    return [
        float(ordered[below] + (position - below) * (ordered[above] - ordered[below]))
        for position, below, above in positions
    ]


def _grain(image: np.ndarray, pose: Pose) -> tuple[float, float]:
    """Return blur, by how little fine detail the eyes have beside coarse detail, and noise, by what flat skin shows."""
    height, width = image.shape[:2]
    (x, y), reach = pose.seam[0], 0.6 * pose.unit
    left, right = (int(min(max(edge, 0), width)) for edge in (x - reach, x + reach))
    upper, lower = (int(min(max(edge, 0), height)) for edge in (y - 0.7 * reach, y + 0.7 * reach))
    if right - left < 8 or lower - upper < 8:
        return 0.0, 1.0
    grey = cv2.cvtColor(image[upper:lower, left:right], cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.Laplacian(grey, cv2.CV_32F, ksize=1)
    soft = cv2.GaussianBlur(grey, (0, 0), 1)
    coarse = cv2.Laplacian(soft, cv2.CV_32F, ksize=1)
    spread_fine, spread_coarse = (cv2.meanStdDev(plane)[1].item() for plane in (fine, coarse))
    ratio = spread_fine / (spread_coarse + 1e-3)
    # The quieter quarter of the face is skin without texture. 0.319 is that quantile of |N(0, 1)|, and the squared
    # weights of the Laplacian add up to 20.
    (quiet,) = _quantiles(np.abs(fine), 0.25)
    noise = quiet / 0.319 / math.sqrt(20)
    return min(max((2.6 - ratio) * 1.2, 0.0), 1.6), min(noise, 4.0)
