"""The fabrics of masks: how a colour, a weave or a print of cloth and paper is drawn.

Which colours a kind of mask has, and how often, its own file says: `PLAIN_FABRICS` and `VARIED_FABRICS`.
"""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.core.randomness import draw_weighted
from workflow_scripts.occluders._canvas import Canvas

Color = tuple[float, float, float]


def pick_color(rng: np.random.Generator, colors: Sequence[tuple[float, Color]], spread: float) -> np.ndarray:
    """Draw one of several weighted colours and shift it a little.

    Args:
        rng: the item's generator.
        colors: (weight, RGB in 0..1); the weights need not add up to 1.
        spread: standard deviation of the shift of all channels together; single channels shift by half of it.

    Returns:
        float32 (3,), RGB, each in 0.02..0.98.
    """
    color, shift, shifts = draw_weighted(rng, colors), rng.standard_normal(), rng.standard_normal(3).tolist()
    shifted = [level + spread * shift + 0.5 * spread * own for level, own in zip(color, shifts, strict=True)]
    return np.float32([min(max(level, 0.02), 0.98) for level in shifted])


def any_color(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour of any hue, from pale to dark, float32 (3,), RGB in 0..1."""
    hue, value, saturation = rng.uniform(0, 1), rng.uniform(0.12, 0.95), rng.beta(2, 2)
    ramp = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return (value * (1 - saturation + saturation * ramp)).astype(np.float32)


def weave(canvas: Canvas, threads: float) -> np.ndarray:
    """Return the light and dark of crossing threads, float32 (h, w) in -1..1.

    Args:
        canvas: the mean face.
        threads: threads per unit; the canvas shows no more of them than it resolves.
    """
    frequency = 2 * np.pi * min(threads, canvas.scale / 3)
    return np.sin(frequency * canvas.x) * np.sin(frequency * canvas.y)


def draw_print(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Draw one of `PRINTS`: the share of the print's second colour, float32 (h, w) in 0..1."""
    return PRINTS[rng.integers(len(PRINTS))](canvas, rng)


def _turned(canvas: Canvas, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates of the canvas turned by an angle in radians, float32 (h, w) or broadcast to it."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return canvas.x * cosine + canvas.y * sine, canvas.y * cosine - canvas.x * sine


def _edge(value: np.ndarray, slope: float) -> np.ndarray:
    """Return 0 below zero and 1 above, with an antialiased step."""
    return np.clip(value * slope + 0.5, 0, 1)


def _stripes(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    u, _ = _turned(canvas, float(rng.choice([0, np.pi / 2, np.pi / 4, -np.pi / 4])))
    period, share = rng.uniform(0.06, 0.25), rng.uniform(-0.6, 0.6)
    return _edge(np.sin(2 * np.pi / period * u) + share, canvas.scale * period / 4)


def _dots(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    u, v = _turned(canvas, float(rng.choice([0, np.pi / 4])))
    period, radius = rng.uniform(0.08, 0.2), rng.uniform(0.18, 0.36)
    u, v = (axis / period - np.round(axis / period) for axis in (u, v))
    return _edge(radius - np.sqrt(u * u + v * v), canvas.scale * period)


def _checks(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    u, v = _turned(canvas, float(rng.choice([0, 0, np.pi / 4])))
    period, slope = rng.uniform(0.08, 0.22), canvas.scale * 0.03
    return 0.5 * _edge(np.sin(2 * np.pi / period * u), slope) + 0.5 * _edge(np.sin(2 * np.pi / period * v), slope)


def _blobs(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    noise = canvas.noise(rng, rng.uniform(0.05, 0.14))
    return 0.6 * _edge(noise - rng.uniform(0, 0.6), 4) + 0.4 * _edge(canvas.noise(rng, 0.08) - 0.4, 4)


def _scribble(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    noise = canvas.noise(rng, rng.uniform(0.06, 0.15))
    return _edge(rng.uniform(0.12, 0.3) - np.abs(noise), 6)


PRINTS = (_stripes, _dots, _checks, _blobs, _scribble)
