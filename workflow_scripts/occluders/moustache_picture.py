"""One of the user's own pictures, laid between the nose's base and the upper lip's line as a moustache."""

import cv2
import numpy as np

from workflow_scripts.occluders._canvas import Canvas, DrawnOccluder
from workflow_scripts.occluders._moustache import COVERS as COVERS
from workflow_scripts.occluders._moustache import PLACEMENT as PLACEMENT
from workflow_scripts.occluders._moustache import to_canvas
from workflow_scripts.occluders._wearer import Wearer

_WIDTH = 2.1  # of half the mouth's width
_BRIGHTNESS = 1.1  # the user's picture is brightened by this, because it has been lit once already


def draw(canvas: Canvas, style: str, wearer: Wearer, rng: np.random.Generator) -> DrawnOccluder:
    """Lay a picture on the mean face, as wide as the mouth, as high as its proportions make it.

    Raises:
        ValueError: there are no pictures.
    """
    if not len(wearer.pictures):
        raise ValueError("the kind moustache_picture needs pictures; name their folder by `occluders.pictures`")
    picture = wearer.pictures[rng.integers(len(wearer.pictures))].astype(np.float32) / 255
    wide = _WIDTH * (1 + (0.06 * rng.standard_normal() if style == "varied" else 0))
    (left, right), (top, bottom) = (
        to_canvas(wearer, np.array([(-wide / 2, 0.5), (wide / 2, 0.5)]))[:, 0],
        (to_canvas(wearer, np.array([(0, 0.08), (0, 0.97)]))[:, 1]),
    )
    rows, columns = picture.shape[:2]
    scale = (right - left) / columns
    # The bottom edge follows the lip; the picture keeps its proportions, but never covers the nose.
    height = min(rows * scale, 1.6 * (bottom - top))
    corners = np.float32([(left, bottom - height), (right, bottom - height), (left, bottom)])
    target = canvas.to_pixels(corners).astype(np.float32)
    matrix = cv2.getAffineTransform(np.float32([(0, 0), (columns - 1, 0), (0, rows - 1)]), target)
    premultiplied = np.dstack([picture[..., :3] * picture[..., 3:], picture[..., 3]])
    shrink = min(1.0, 2 * scale * canvas.scale)
    if shrink < 1:  # the picture is averaged first, because warping alone would skip pixels
        small = (max(1, round(columns * shrink)), max(1, round(rows * shrink)))
        premultiplied = cv2.resize(premultiplied, small, interpolation=cv2.INTER_AREA)
        matrix[:, 0] *= columns / small[0]
        matrix[:, 1] *= rows / small[1]
    laid = cv2.warpAffine(premultiplied, matrix, canvas.shape[::-1], flags=cv2.INTER_LINEAR)
    alpha = laid[..., 3]
    color = laid[..., :3].transpose(2, 0, 1) / np.maximum(alpha, 1e-3)
    plain = np.zeros(canvas.shape, np.float32)
    return DrawnOccluder(canvas, np.clip(_BRIGHTNESS * color, 0, 1), alpha, plain, plain + 1)
