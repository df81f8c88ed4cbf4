"""Put an occluder on a face: draw it on the mean face, light it, fit it by the landmarks, and blend it in."""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal

import cv2
import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, Wear, canvas_for
from workflow_scripts.occluders._config import occluder_kinds
from workflow_scripts.occluders._fit import fit_reason
from workflow_scripts.occluders._light import Light, measure_light
from workflow_scripts.occluders._placement import FACE, Pose, project, solve_pose, unproject
from workflow_scripts.occluders._wearer import Wearer

__all__ = ["Occluded", "apply_occluder", "fit_reason", "load_kind"]

Style = Literal["plain", "varied"]
Window = tuple[int, int, int, int]  # left, top, right, bottom in pixels
_SHEEN = np.float32(0.035)  # light that a surface reflects besides its own colour, 0..1
_DETAIL, _LESS_DETAIL = 1.5, 0.75  # canvas pixels per pixel of the picture; less for a picture with a side above _LARGE
_LARGE = 512  # pixels
_PIXEL = 1 / 16  # of a pixel^2; variance of the average over a fine canvas, beyond that of linear sampling


@dataclass(frozen=True)
class Occluded:
    """A face with an occluder.

    Attributes:
        image: uint8 (h, w, 3) RGB.
        coverage: uint8 (h, w), the occluder's alpha, 0..255; all zero when degenerate landmarks give it no place.
    """

    image: np.ndarray
    coverage: np.ndarray


@cache
def load_kind(kind: str) -> ModuleType:
    """Return the module of a kind of occluder.

    Raises:
        ValueError: no such kind.
    """
    if kind not in occluder_kinds():
        raise ValueError(f"unknown kind of occluder {kind!r}; known: {', '.join(occluder_kinds())}")
    return importlib.import_module(f"workflow_scripts.occluders.{kind}")


def apply_occluder(
    image: np.ndarray,
    landmarks: np.ndarray,
    kind: str,
    style: Style,
    rng: np.random.Generator,
    pictures: Sequence = (),
    color: np.ndarray | None = None,
) -> Occluded:
    """Put one occluder on a face.

    Args:
        image: uint8 (h, w, 3) RGB, a bare face.
        landmarks: (68, 2) x, y in pixels of `image`, in the iBUG 300-W order.
        kind: a file of this package, as `surgical`.
        style: `plain`: few colours and shapes, flat light; `varied`: many, with folds, wear and the face's light.
        rng: the only source of randomness; the same state gives the same bytes.
        pictures: the user's own pictures of this kind, as `read_pictures` gives them, of which it draws one.
        color: of its fabric or hair, RGB in 0..1, float32 (3,), before light; None draws one. Pictures keep their own.

    Raises:
        ValueError: no such kind, or an array of another shape or type.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 RGB picture (h, w, 3), got {image.dtype} {image.shape}")
    if np.shape(landmarks) != (68, 2):
        raise ValueError(f"expected landmarks (68, 2), got {np.shape(landmarks)}")
    module = load_kind(kind)
    pose = solve_pose(landmarks, module.PLACEMENT)
    whole = pose if module.PLACEMENT is FACE else solve_pose(landmarks, FACE)
    if pose is None or whole is None:
        return _bare(image)
    canvas = canvas_for((_DETAIL if max(image.shape[:2]) <= _LARGE else _LESS_DETAIL) * pose.unit)
    light = measure_light(image, whole)
    wearer = Wearer(image, np.asarray(landmarks, np.float64), pose, light, pictures, color)
    drawing = module.draw(canvas, style, wearer, rng)
    to_canvas = _to_canvas(drawing.canvas, drawing.wear)
    window = _window(image.shape, pose, drawing.alpha, to_canvas)
    if window is None:
        return _bare(image)
    layer = _lit(drawing, light if style == "varied" else light.flat(), rng)
    layer = _warp(layer, canvas.scale / pose.unit, pose, window, to_canvas)
    if style == "plain":
        keep = 1 - cv2.extractChannel(layer, 3) / 255
        return _blend(image, layer, keep, np.zeros_like(keep), window)
    layer = cv2.GaussianBlur(layer, (0, 0), math.hypot(light.blur, rng.uniform(0.2, 0.5)))
    grain = rng.standard_normal(layer.shape[:2], np.float32) * np.float32(light.noise * rng.uniform(0.4, 0.9) / 255)
    alpha = cv2.extractChannel(layer, 3)
    shadow = _shadow(alpha, light, pose, rng.uniform(0.04, 0.11))
    return _blend(image, layer, shadow * (1 - alpha / 255), grain * alpha, window)


def _bare(image: np.ndarray) -> Occluded:
    return Occluded(image.copy(), np.zeros(image.shape[:2], np.uint8))


def _reach(pose: Pose) -> float:
    """Return how far the occluder's shadow on the skin reaches, in pixels."""
    return max(0.8, 0.025 * pose.unit)


def _window(shape: tuple[int, ...], pose: Pose, alpha: np.ndarray, to_canvas: np.ndarray) -> Window | None:
    """Return the part of the picture that an occluder and its shadow change; None where they change none."""
    left, top, width, height = cv2.boundingRect((alpha > 0).view(np.uint8))
    corners = [(x, y) for x in (left - 1, left + width) for y in (top - 1, top + height)]
    matrix = cv2.invertAffineTransform(to_canvas[:2])
    x, y = (matrix[:, :2] @ np.array(corners).T + matrix[:, 2:]).tolist()
    left, top, right, bottom = min(x), min(y), max(x), max(y)
    # Where both sides of the face meet, the outline may lie farther out than its corners.
    middle = min(max(left, 0), right)
    points = project(pose, np.array([(x, y) for x in (left, middle - 1e-9, middle, right) for y in (top, bottom)]))
    points = points[np.isfinite(points).all(1)]
    if len(points) < 3:
        return None
    height, width = shape[:2]
    margin = 2 + 4 * _reach(pose)
    left, top = (max(math.floor(low - margin), 0) for low in points.min(0).tolist())
    right, bottom = points.max(0).tolist()
    right, bottom = min(math.ceil(right + 1 + margin), width), min(math.ceil(bottom + 1 + margin), height)
    return (left, top, right, bottom) if right - left >= 4 and bottom - top >= 4 else None


def _lit(drawing: DrawnOccluder, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Return the drawing under the face's light, premultiplied RGBA float32 (h, w, 4) in 0..255.

    The light follows Lambert's law on the relief's normals. It comes from above and from the side that the face's skin
    shows to be lit. A little sheen is added, which makes the folds of black cloth visible.
    """
    canvas = drawing.canvas
    slope_x, slope_y = (
        cv2.Sobel(drawing.relief, cv2.CV_32F, *axis, ksize=1, scale=canvas.scale / 2) for axis in ((1, 0), (0, 1))
    )
    right, down = float(0.9 * light.slope[0]), float(0.5 * light.slope[1] - 0.35)
    cosine = (1 - slope_x * right - slope_y * down) / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    diffuse = np.maximum(cosine, 0)
    ambient = rng.uniform(0.35, 0.6)
    falloff = 0.8 * (light.slope[0] * canvas.x + light.slope[1] * (canvas.y - 0.5))
    shade = drawing.shade * (ambient + (1 - ambient) * diffuse) * np.exp(np.minimum(np.maximum(falloff, -0.7), 0.5))
    white = 255 * light.level * rng.uniform(0.88, 1.08) * light.tint
    color = drawing.color + _SHEEN * np.square(np.square(diffuse))
    color *= shade
    color *= white[:, None, None]
    np.minimum(color, 255, out=color)
    color *= drawing.alpha
    return cv2.merge([*color, 255 * drawing.alpha])


def _warp(layer: np.ndarray, detail: float, pose: Pose, window: Window, to_canvas: np.ndarray) -> np.ndarray:
    """Return the layer as it lies in the picture's window, float32 (bottom - top, right - left, 4).

    Args:
        layer: the occluder on the canvas, premultiplied RGBA float32 (h, w, 4).
        detail: canvas pixels per pixel of the picture. If there are several, they are averaged before they are
            sampled, so that edges come out smooth.
        pose: where the face is.
        window: the part of the picture that the occluder changes.
        to_canvas: matrix (3, 3) from the mean face to canvas pixels.
    """
    if detail > 1:
        spread = min(_PIXEL * detail * detail, 0.5) / 2
        kernel = np.array([spread, 1 - 2 * spread, spread])
        layer = cv2.sepFilter2D(layer, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    left, top, right, bottom = window
    columns, rows = unproject(pose, np.arange(left, right), np.arange(top, bottom), to_canvas)
    return cv2.remap(layer, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def _to_canvas(canvas: Canvas, wear: Wear) -> np.ndarray:
    """Return the matrix (3, 3) from points of the mean face to canvas pixels of an occluder worn out of place."""
    cosine, sine = math.cos(wear.turn), math.sin(wear.turn)
    scale, (left, top) = canvas.scale, canvas.origin
    # The point is moved, turned about the canvas's middle (0, 0.5), and scaled.
    x = cosine * -wear.right + sine * (-wear.down - 0.5)
    y = -sine * -wear.right + cosine * (-wear.down - 0.5) + 0.5
    return np.array(
        [
            [scale * cosine, scale * sine, scale * (x - left) - 0.5],
            [-scale * sine, scale * cosine, scale * (y - top) - 0.5],
            [0, 0, 1],
        ]
    )


def _shadow(alpha: np.ndarray, light: Light, pose: Pose, depth: float) -> np.ndarray:
    """Return by what the skin's light is multiplied in the narrow, faint shadow beside the occluder.

    Args:
        alpha: the occluder's alpha, float32 (h, w) in 0..255.
        light: the light on the face.
        pose: where the face is.
        depth: share of the light that is lost where the shadow is deepest.

    Returns:
        float32 (h, w) in 0..1.
    """
    reach = _reach(pose)
    shift = np.array([[1, 0, -0.3 * reach * np.sign(light.slope[0])], [0, 1, 0.8 * reach]])
    return 1 - cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), reach), shift, alpha.shape[::-1]) * (depth / 255)


def _blend(image: np.ndarray, layer: np.ndarray, keep: np.ndarray, grain: np.ndarray, window: Window) -> Occluded:
    """Lay an occluder over a picture.

    Args:
        image: the picture, uint8 (H, W, 3).
        layer: the occluder in the picture's window, premultiplied RGBA float32 (h, w, 4) in 0..255.
        keep: float32 (h, w), the factor by which the picture is multiplied.
        grain: float32 (h, w), added to all channels.
        window: the part of the picture that changes.
    """
    left, top, right, bottom = window
    result, coverage = image.copy(), np.zeros(image.shape[:2], np.uint8)
    under = cv2.multiply(image[top:bottom, left:right], cv2.merge([keep] * 3), dtype=cv2.CV_32F)
    over = cv2.add(cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB), cv2.merge([grain] * 3))
    result[top:bottom, left:right] = cv2.add(under, over, dtype=cv2.CV_8U)
    coverage[top:bottom, left:right] = cv2.convertScaleAbs(cv2.extractChannel(layer, 3))
    return Occluded(result, coverage)
