"""What the camera does between two frames: its class as published, and a model of the motion that it causes."""

import numpy as np

STATIC, TRANSLATING, OTHER = "static", "translating", "other"
STILL = 1.0  # small pixels per frame; a median flow below this is that of a static camera
DIRECTIONS = 20  # bins of the histogram of directions
DOMINANT = 0.75  # share of the pixels in the fullest bin, above which a camera translates
GRID = 40  # points along the longer side on which the model is fitted
ROUNDS = 12  # of reweighting
SMALLEST_SCALE = 0.15  # small pixels; flow is no more exact than this


def camera_class(flow: np.ndarray) -> tuple[str, float]:
    """Return `static`, `translating` or `other`, as uNLC tells them apart, and the dominant direction in radians.

    Args:
        flow: x and y in pixels per frame, (h, w, 2).
    """
    magnitude = np.hypot(flow[..., 0], flow[..., 1])
    angle = np.arctan2(flow[..., 1], flow[..., 0])
    counts, edges = np.histogram(angle, DIRECTIONS, (-np.pi, np.pi))
    fullest = int(counts.argmax())
    direction = float(edges[fullest] + edges[fullest + 1]) / 2
    if np.median(magnitude) < STILL:
        return STATIC, direction
    return (TRANSLATING if counts[fullest] > DOMINANT * angle.size else OTHER), direction


def residual_flow(flows: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Return how far each pixel moves from where the camera's motion would take it, and how exact that is.

    The camera's motion is that of a plane before a moving camera, a quadratic function of the place with eight
    parameters, fitted to the flow by reweighted least squares (Geman and McClure's weights). Pixels near the border of
    the picture count twice as much as those in its middle, where objects are.

    Args:
        flows: x and y in pixels per frame, float32 (k, h, w, 2).

    Returns:
        The median of the magnitudes over the flows, float32 (h, w) in pixels per frame, and that of the spreads of the
        pixels that follow the model; and the model's flows, as those given.
    """
    height, width = flows.shape[1:3]
    step = max(max(height, width) // GRID, 1)
    rows, columns = np.arange(step // 2, height, step), np.arange(step // 2, width, step)
    prior = 2 - np.outer(_hat(rows / height), _hat(columns / width)).ravel()
    basis = _basis(rows, columns, height, width)  # (points, 2, 8)
    seen = flows[:, rows[:, None], columns].reshape(len(flows), -1, 2).astype(np.float64)
    motion, spread = _fit(basis, seen, prior)
    model = _plane(motion, height, width)
    apart = flows - model
    return np.median(np.hypot(apart[..., 0], apart[..., 1]), axis=0), float(np.median(spread)), model


def _hat(place: np.ndarray) -> np.ndarray:
    return 1 - np.abs(2 * place - 1)


def _basis(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the flow at each point of a grid for each parameter alone, float64 (points, 2, 8)."""
    size = max(height, width)
    y, x = (
        grid.ravel() for grid in np.meshgrid((rows - height / 2) / size, (columns - width / 2) / size, indexing="ij")
    )
    one, none = np.ones_like(x), np.zeros_like(x)
    across = np.stack([one, x, y, none, none, none, x * x, x * y], 1)
    down = np.stack([none, none, none, one, x, y, x * y, y * y], 1)
    return np.stack([across, down], 1)


def _fit(basis: np.ndarray, seen: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters (k, 8) and the spread of the residuals (k,) of the points that follow the model."""
    weights = np.tile(prior, (len(seen), 1))
    start = np.median(seen, axis=1, keepdims=True)
    apart = np.hypot(*np.moveaxis(seen - start, -1, 0))
    for _ in range(ROUNDS):
        scale = np.maximum(1.4826 * np.median(apart, axis=1), SMALLEST_SCALE)
        weights = prior / (1 + (apart / (2 * scale[:, None])) ** 2) ** 2
        weighted = weights[:, :, None, None] * basis
        left = np.einsum("kpcn,pcm->knm", weighted, basis, optimize=True) + 1e-6 * np.eye(basis.shape[-1])
        right = np.einsum("kpcn,kpc->kn", weighted, seen, optimize=True)
        motion = np.linalg.solve(left, right[..., None])[..., 0]
        apart = np.hypot(*np.moveaxis(seen - np.einsum("pcn,kn->kpc", basis, motion), -1, 0))
    return motion, np.maximum(1.4826 * np.median(apart, axis=1), SMALLEST_SCALE)


def _plane(motion: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the flow of the model at each pixel, float32 (k, h, w, 2)."""
    size = max(height, width)
    y, x = ((np.arange(length) - length / 2) / size for length in (height, width))
    y, x = y[:, None].astype(np.float32), x[None].astype(np.float32)
    flows = np.empty((len(motion), height, width, 2), np.float32)
    for flow, (a, b, c, d, e, f, g, h) in zip(flows, motion.astype(np.float32), strict=True):
        flow[..., 0] = a + b * x + c * y + g * x * x + h * x * y
        flow[..., 1] = d + e * x + f * y + g * x * y + h * y * y
    return flows
