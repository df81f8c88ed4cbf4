"""How much speaks for an object at each pixel before any vote: motion unlike that of the camera."""

import cv2
import numpy as np

from workflow_scripts.motion.camera import OTHER, STATIC, camera_class

BOX = 5  # small pixels; side of the box over which saliency is averaged
BORDER = 0.125  # share of the picture at each side in which nothing is salient
FAINT = 0.25  # small pixels per frame; slower motion is not told from none
INEXACT = 3.0  # times the spread of the background's flow; likewise
WEAK = 0.1  # of the fastest motion in the shot; what moves so is half salient


def residual_saliency(residuals: list[np.ndarray], spreads: list[float]) -> list[np.ndarray]:
    """Return the saliency of each frame of a shot, float32 (h, w) of 0..1, from motion unlike that of the camera.

    It is r² / (r² + t²) of a residual r. One t for the whole shot, as a frame in which nothing moves has no saliency.

    Args:
        residuals: pixels per frame, float32 (h, w), of each frame.
        spreads: of the residuals of the background in each frame.
    """
    fastest = np.median([np.percentile(residual, 99) for residual in residuals])
    threshold = max(FAINT, INEXACT * float(np.median(spreads)), WEAK * float(fastest))
    return [residual**2 / (residual**2 + threshold**2) for residual in residuals]


def class_saliency(flows: np.ndarray) -> np.ndarray | None:
    """Return the saliency of one frame as uNLC has it, float32 (h, w), or None where flow does not tell.

    Before a static camera it is the squared speed, before a translating one the squared angle to its direction.

    Args:
        flows: x and y in pixels per frame to each frame around, float32 (k, h, w, 2).
    """
    found = []
    for flow in flows:
        camera, direction = camera_class(flow)
        if camera == STATIC:
            found.append(np.square(flow).sum(axis=-1))
        elif camera != OTHER:
            angle = np.arctan2(flow[..., 1], flow[..., 0]) - direction
            found.append(np.square(np.angle(np.exp(1j * angle))).astype(np.float32))
    return np.mean(found, axis=0) if found else None


def appearance_saliency(colours: np.ndarray, at_border: np.ndarray) -> np.ndarray:
    """Return how much each superpixel differs from those at the border, (n,): the mean distance to the nearest fifth.

    Args:
        colours: mean Lab of each superpixel, (n, 3).
        at_border: which of them touch the border of the picture, bool (n,).
    """
    distances = np.linalg.norm(colours[:, None] - colours[at_border], axis=2)
    return np.sort(distances, axis=1)[:, : max(distances.shape[1] // 5, 1)].mean(axis=1)


def inner(saliency: np.ndarray) -> np.ndarray:
    """Return saliency averaged over boxes, and 0 at the border of the picture, float32 (h, w)."""
    height, width = saliency.shape
    top, left = round(BORDER * height), round(BORDER * width)
    kept = np.zeros((height, width), np.float32)
    middle = np.s_[top : height - top, left : width - left]
    kept[middle] = cv2.blur(saliency, (BOX, BOX))[middle]
    return kept
