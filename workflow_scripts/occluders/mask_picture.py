"""One of the user's own pictures, spread over the lower face as a mask: its corner points go to a mask's corners.

Between and beyond them a thin-plate spline spreads the picture (Bookstein, IEEE PAMI 11(6), 1989), which has no seam.
"""

import cv2
import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder, Wear
from workflow_scripts.occluders._mask import COVERS as COVERS
from workflow_scripts.occluders._mask import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._mask import wear
from workflow_scripts.occluders._pictures import MaskPicture
from workflow_scripts.occluders._wearer import Wearer

# Where the corners lie on the mean face, in units, in the order of `CORNERS`: at the cheeks' edge, nose and chin.
_PLACES = np.array([(-0.61, 0.20), (0.61, 0.20), (-0.49, 0.70), (0.49, 0.70), (0, 0.04), (0, 1.0)])
_BRIGHTNESS = 1.1  # the picture is brightened by this, because it has been lit once already


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Lay a picture on the mean face.

    Raises:
        ValueError: there are no pictures.
    """
    if not len(wearer.pictures):
        raise ValueError("the kind mask_picture needs pictures; name their folder by `occluders.pictures`")
    picture: MaskPicture = wearer.pictures[rng.integers(len(wearer.pictures))]
    varied = style == "varied"
    places = _PLACES * (1 + rng.normal(0, 0.03, 2) * (1, 0.5)) if varied else _PLACES
    rgba = picture.image.astype(np.float32) / 255
    rgba[..., :3] *= rgba[..., 3:]
    corners, shrink = picture.corners, min(1.0, 2 * canvas.scale * np.ptp(places[:, 0]) / np.ptp(picture.corners[:, 0]))
    if shrink < 1:  # the picture is averaged first, because sampling alone would skip pixels
        height, width = rgba.shape[:2]
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        rgba = cv2.resize(rgba, size, interpolation=cv2.INTER_AREA)
        corners = (corners + 0.5) * (size[0] / width, size[1] / height) - 0.5
    x, y = _spread(places, corners, canvas)
    laid = cv2.remap(rgba, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    alpha = np.ascontiguousarray(laid[..., 3])
    color = laid[..., :3].transpose(2, 0, 1) / np.maximum(alpha, 1e-3)
    relief = -(0.45 * canvas.x**2 + 0.15 * np.square(canvas.y - 0.4))  # bent over the face
    shade = np.ones(canvas.shape, np.float32)
    return DrawnOccluder(
        canvas, np.clip(_BRIGHTNESS * color, 0, 1), alpha, relief, shade, wear(rng) if varied else Wear()
    )


def _spread(places: np.ndarray, corners: np.ndarray, canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixel of the picture lies at each pixel of the canvas, two float32 arrays (h, w).

    Args:
        places: (n, 2), points of the mean face.
        corners: (n, 2), the pixels of the picture that lie there.
        canvas: the mean face.
    """
    count = len(places)
    equations = np.zeros((count + 3, count + 3))
    equations[:count, :count] = _bend(np.square(places[:, None] - places).sum(-1))
    equations[:count, count:] = np.column_stack([np.ones(count), places])
    equations[count:, :count] = equations[:count, count:].T
    weights = np.linalg.solve(equations, np.concatenate([corners, np.zeros((3, 2))])).astype(np.float32)
    result = weights[count] + canvas.x[..., None] * weights[count + 1] + canvas.y[..., None] * weights[count + 2]
    for (x, y), weight in zip(places.astype(np.float32), weights[:count], strict=True):
        result += _bend(np.square(canvas.x - x) + np.square(canvas.y - y))[..., None] * weight
    return tuple(np.ascontiguousarray(axis, np.float32) for axis in np.moveaxis(result, -1, 0))


def _bend(squares: np.ndarray) -> np.ndarray:
    """Return r^2 log r^2 of squared distances."""
    return squares * np.log(np.maximum(squares, np.finfo(np.float32).tiny))
