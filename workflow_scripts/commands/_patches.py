"""Edited faces put back into their picture: at its own resolution, with a soft seam, and nothing else touched."""

from typing import NamedTuple

import cv2
import numpy as np

from workflow_scripts.faces.alignment import compose, warp

LEAST = 1 / 255  # a smaller weight would change no pixel


class CutFace(NamedTuple):
    """A face as a network sees it.

    Attributes:
        name: of the picture and the face, from which random numbers are drawn.
        image: the crop, RGB uint8 (S, S, 3).
        landmarks: (68, 2), x and y in pixels of the crop.
        matrix: (2, 3), from pixels of the picture to pixels of the crop.
        picture: the whole picture, RGB uint8 (H, W, 3).
    """

    name: str
    image: np.ndarray
    landmarks: np.ndarray
    matrix: np.ndarray
    picture: np.ndarray


class Edit(NamedTuple):
    """What is to be laid over a face.

    Attributes:
        image: RGB uint8 (S, S, 3).
        weight: float32 (S, S) in 0..1: how much of the crop's pixels is replaced.
        within: bool (H, W): pixels of the picture that are replaced, as far as the crop reaches, whatever `weight`
            says; None where `weight` decides.
    """

    image: np.ndarray
    weight: np.ndarray
    within: np.ndarray | None = None


def lay_over(picture: np.ndarray, face: CutFace, edit: Edit) -> np.ndarray:
    """Change a picture, RGB uint8 (H, W, 3), in place, and return where: bool (H, W)."""
    size = len(edit.image)
    left, top, right, bottom = _window(face.matrix, size, picture.shape)
    changed = np.zeros(picture.shape[:2], bool)
    if right <= left or bottom <= top:
        return changed
    shift = np.array([[1.0, 0, left], [0, 1, top]])
    there = cv2.invertAffineTransform(compose(face.matrix, shift))
    shape = (right - left, bottom - top)
    weight = cv2.warpAffine(edit.weight, there, shape, flags=cv2.INTER_LINEAR)
    if edit.within is not None:
        # Up to the middles of the outermost pixels, where nothing beyond the crop is mixed in.
        reached = cv2.warpAffine(np.ones((size, size), np.float32), there, shape) > 0.99
        weight = (edit.within[top:bottom, left:right] & reached).astype(np.float32)
    part = picture[top:bottom, left:right]
    touched = weight >= LEAST
    mixed = part + weight[..., None] * (warp(edit.image, there, shape).astype(np.float32) - part)
    part[touched] = np.rint(mixed[touched]).clip(0, 255).astype(np.uint8)
    changed[top:bottom, left:right] = touched
    return changed


def spread(values: np.ndarray, face: CutFace) -> np.ndarray:
    """Return values of a face's crop, float32 (S, S), at their places in the picture, (H, W); 0 beyond the crop."""
    height, width = face.picture.shape[:2]
    return cv2.warpAffine(values, face.matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def _window(matrix: np.ndarray, size: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the part of a picture in which a crop of `size` pixels lies."""
    back = cv2.invertAffineTransform(matrix)
    corners = np.array([(x, y) for x in (-1, size) for y in (-1, size)]) @ back[:, :2].T + back[:, 2]
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    return int(left), int(top), min(int(right), shape[1]), min(int(bottom), shape[0])
