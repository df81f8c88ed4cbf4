"""Put an occluder on a face: draw it on the mean face, fit it by the landmarks, light it, and blend it in."""

import importlib
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal

import cv2
import numpy as np

from workflow_scripts.config import occluder_kinds
from workflow_scripts.occluders._canvas import HEIGHT, LEFT, TOP, WIDTH, Canvas, Drawing, Wear, canvas_for
from workflow_scripts.occluders._fit import fit_reason
from workflow_scripts.occluders._light import Light, measure_light
from workflow_scripts.occluders._placement import Pose, project, solve_pose, unproject

__all__ = ["Occluded", "apply_occluder", "fit_reason", "load_kind"]

Style = Literal["plain", "varied"]
Window = tuple[int, int, int, int]  # left, top, right, bottom in pixels
_SHEEN = np.float32(0.035)
_SUPERSAMPLING = 2
_DETAIL = 0.75  # canvas pixels per supersampled one: more would not be seen
_MAX_SAMPLES = 1024  # supersampled pixels per side; larger pictures are sampled once


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
    image: np.ndarray, landmarks: np.ndarray, kind: str, style: Style, rng: np.random.Generator
) -> Occluded:
    """Put one occluder on a face.

    Args:
        image: uint8 (h, w, 3) RGB, a bare face.
        landmarks: (68, 2) x, y in pixels of `image`, in the iBUG 300-W order.
        kind: a file of this package, as `surgical`.
        style: `plain`: few colours and shapes, flat light; `varied`: many, with folds, wear and the face's light.
        rng: the only source of randomness; the same state gives the same bytes.

    Raises:
        ValueError: no such kind, or an array of another shape or type.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 RGB picture (h, w, 3), got {image.dtype} {image.shape}")
    if np.shape(landmarks) != (68, 2):
        raise ValueError(f"expected landmarks (68, 2), got {np.shape(landmarks)}")
    module = load_kind(kind)
    pose = solve_pose(landmarks, module.PLACEMENT)
    window = _window(image.shape, pose) if pose else None
    if window is None:
        return Occluded(image.copy(), np.zeros(image.shape[:2], np.uint8))
    factor = _SUPERSAMPLING if max(image.shape[:2]) * _SUPERSAMPLING <= _MAX_SAMPLES else 1
    canvas = canvas_for(_DETAIL * factor * pose.unit)
    drawing = module.draw(canvas, style, pose.turn, rng)
    light = measure_light(image, pose)
    layer = _lit(canvas, drawing, light if style == "varied" else light.flat(), rng)
    warped = _warp(layer, canvas, drawing.wear, pose, window, factor)
    if style == "varied":
        warped, image = (
            _taken_alike(warped, window, light, rng),
            _shaded(image, warped[..., 3], window, light, pose, rng),
        )
    return _blend(image, warped, window)


def _window(shape: tuple[int, ...], pose: Pose) -> Window | None:
    """Return left, top, right, bottom of the part of the picture that the canvas reaches; None when there is none."""
    corners = np.array([(x, y) for x in (LEFT, -1e-9, LEFT + WIDTH) for y in (TOP, TOP + HEIGHT)])
    points = project(pose, corners)
    points = points[np.isfinite(points).all(1)]
    if len(points) < 3:
        return None
    height, width = shape[:2]
    left, top = np.floor(np.clip(points.min(0), 0, (width, height))).astype(int)
    right, bottom = np.ceil(np.clip(points.max(0) + 1, 0, (width, height))).astype(int)
    return (left, top, right, bottom) if right - left >= 4 and bottom - top >= 4 else None


def _lit(canvas: Canvas, drawing: Drawing, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Return the drawing under the face's light, premultiplied RGBA float32 (h, w, 4) in 0..255.

    Lambert's law on the relief's normals, with the light from above and from the side that the face's skin shows, and
    a little sheen, which is what shows the folds of black cloth.
    """
    slope_y, slope_x = _slopes(drawing.relief, canvas.scale)
    direction = np.array([0.9 * light.slope[0], 0.5 * light.slope[1] - 0.35, 1], np.float32)
    cosine = (1 - slope_x * direction[0] - slope_y * direction[1]) / np.sqrt(1 + slope_x**2 + slope_y**2)
    diffuse = np.maximum(cosine, 0)
    ambient = rng.uniform(0.35, 0.6)
    falloff = light.slope[0] * canvas.x[:1] + light.slope[1] * (canvas.y[:, :1] - 0.5)
    shade = drawing.shade * (ambient + (1 - ambient) * diffuse) * np.exp(np.clip(0.8 * falloff, -0.7, 0.5))
    white = 255 * light.level * rng.uniform(0.88, 1.08) * light.tint
    sheen = _SHEEN * np.square(np.square(diffuse))
    layer = np.empty((*canvas.shape, 4), np.float32)
    for channel in range(3):
        color = (drawing.color[..., channel] + sheen) * (shade * white[channel])
        layer[..., channel] = np.minimum(color, 255) * drawing.alpha
    layer[..., 3] = 255 * drawing.alpha
    return layer


def _slopes(relief: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Return central differences down and to the right, per unit, float32 (h, w); one-sided at the border."""
    relief = np.pad(np.asarray(relief, np.float32), 1, mode="reflect", reflect_type="odd")
    half = np.float32(scale / 2)
    return (relief[2:, 1:-1] - relief[:-2, 1:-1]) * half, (relief[1:-1, 2:] - relief[1:-1, :-2]) * half


def _warp(layer: np.ndarray, canvas: Canvas, wear: Wear, pose: Pose, window: Window, factor: int) -> np.ndarray:
    """Return the layer as it lies in the picture's window, float32 (bottom - top, right - left, 4)."""
    left, top, right, bottom = window
    offset = 0.5 / factor - 0.5
    columns, rows = unproject(
        pose,
        np.arange(left * factor, right * factor) / factor + offset,
        np.arange(top * factor, bottom * factor) / factor + offset,
        _to_canvas(canvas, wear),
    )
    warped = cv2.remap(layer, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return warped if factor == 1 else cv2.resize(warped, (right - left, bottom - top), interpolation=cv2.INTER_AREA)


def _to_canvas(canvas: Canvas, wear: Wear) -> np.ndarray:
    """Return the matrix (3, 3) from points of the mean face to canvas pixels of an occluder worn out of place."""
    cosine, sine = np.cos(wear.turn), np.sin(wear.turn)
    placed = np.array([[1, 0, -wear.right], [0, 1, -wear.down - 0.5], [0, 0, 1]])  # turned about the canvas's middle
    turned = np.array([[cosine, sine, 0], [-sine, cosine, 0.5], [0, 0, 1]])
    scale = canvas.scale
    pixels = np.array([[scale, 0, -LEFT * scale - 0.5], [0, scale, -TOP * scale - 0.5], [0, 0, 1]])
    return pixels @ turned @ placed


def _taken_alike(warped: np.ndarray, window: Window, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Give the occluder the picture's own blur and grain."""
    warped = cv2.GaussianBlur(warped, (0, 0), np.hypot(light.blur, rng.uniform(0.2, 0.5)))
    grain = rng.standard_normal(warped.shape[:2], dtype=np.float32) * np.float32(light.noise * rng.uniform(0.4, 0.9))
    warped[..., :3] += (grain * warped[..., 3] / 255)[..., None]
    return warped


def _shaded(
    image: np.ndarray, alpha: np.ndarray, window: Window, light: Light, pose: Pose, rng: np.random.Generator
) -> np.ndarray:
    """Return the picture with the narrow, faint shadow that the occluder throws on the skin, away from the light."""
    left, top, right, bottom = window
    reach = max(0.8, 0.025 * pose.unit)
    shift = np.float32([[1, 0, -0.3 * reach * np.sign(light.slope[0])], [0, 1, 0.8 * reach]])
    shadow = cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), reach), shift, alpha.shape[::-1])
    image = image.copy()
    part = image[top:bottom, left:right]
    part[:] = part * (1 - rng.uniform(0.04, 0.11) / 255 * shadow[..., None]) + 0.5
    return image


def _blend(image: np.ndarray, warped: np.ndarray, window: Window) -> Occluded:
    """Lay the warped occluder over the picture."""
    left, top, right, bottom = window
    result, coverage = image.copy(), np.zeros(image.shape[:2], np.uint8)
    mixed = image[top:bottom, left:right] * (1 - warped[..., 3:] / 255) + warped[..., :3]
    result[top:bottom, left:right] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    coverage[top:bottom, left:right] = np.clip(warped[..., 3] + 0.5, 0, 255).astype(np.uint8)
    return Occluded(result, coverage)
