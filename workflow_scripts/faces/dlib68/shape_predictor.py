"""dlib's model of 68 landmarks, applied to many faces at once.

Kazemi & Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014. A face's shape
starts as the mean shape and goes through 15 levels of 500 trees, each of which adds one of its leaves. dlib takes one
face after the other, so that all 65 MB of leaves pass through the processor's cache for each; here a tree's leaves stay
in the cache for a block of faces. Every sum is formed in dlib's order and precision, so that rounded positions are the
same to the bit.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

BLOCK_FACES = 256  # largest number of faces that are predicted together
MANY_FACES = 48  # faces; for so many it is faster to add leaves tree by tree than face by face
PATCH_BORDER = 1  # pixels of value 0 around a patch, which stand for all that lies beyond it


class ShapePredictor:
    """The landmark model.

    Args:
        path: the parameters that `read_shape_predictor` returns, as safetensors.
        side: side of the square patches in pixels.
        box: first and last column of the face box in a patch, which are also its first and last row.
    """

    def __init__(self, path: Path, side: int, box: tuple[int, int]):
        model = load_file(path)
        self._start, self._anchors, self._offsets = model["start"], model["anchors"], model["offsets"]
        self._pixels, self._leaves = model["pixels"], model["leaves"]
        self._thresholds = np.floor(model["thresholds"]).astype(np.int16)  # differences of pixels are whole
        mean = self._start.astype(np.float64).view(complex)
        mean -= mean.mean()
        self._fit = mean.conj() / np.vdot(mean, mean).real  # gives a shape's turn and scale relative to the mean shape
        self._side, self._left, self._width = side, box[0], np.float64(box[1] - box[0])

    def __call__(self, patches: list[np.ndarray]) -> np.ndarray:
        """Return the landmarks of upright faces, float64 (n, 68, 2): x, y in pixels of the patch.

        Args:
            patches: the faces' surroundings, grey uint8 (side, side) each.
        """
        blocks = [self._predict(patches[first : first + BLOCK_FACES]) for first in range(0, len(patches), BLOCK_FACES)]
        return np.concatenate([np.empty((0, 68, 2)), *blocks])

    def _predict(self, patches: list[np.ndarray]) -> np.ndarray:
        side = self._side + 2 * PATCH_BORDER
        framed = np.zeros((len(patches), side, side), np.uint8)
        for image, patch in zip(framed, patches, strict=True):
            image[PATCH_BORDER:-PATCH_BORDER, PATCH_BORDER:-PATCH_BORDER] = patch
        shapes = np.repeat(self._start[None], len(patches), axis=0)
        for level, leaves in enumerate(self._leaves):
            chosen = self._choose_leaves(level, self._read_pixels(level, framed, shapes))
            _add_leaves(leaves, chosen, shapes)
        return shapes.reshape(-1, 68, 2) * self._width + self._left

    def _read_pixels(self, level: int, framed: np.ndarray, shapes: np.ndarray) -> np.ndarray:
        """Return the values of a level's feature pixels, int16 (pixels, n), whose places follow the shape."""
        side = framed.shape[1]
        # `@` would let BLAS start threads.
        turn = np.einsum("nk,k->n", shapes.astype(np.float64).view(complex), self._fit).astype(np.complex64)
        cosine, sine = turn.real.copy(), turn.imag.copy()
        across, down = self._offsets[level].T[:, :, None]
        x, y = (np.ascontiguousarray(shapes[:, axis::2].T).take(self._anchors[level], axis=0) for axis in (0, 1))
        x += cosine * across - sine * down
        y += sine * across + cosine * down
        # This rounds, because all positions within the border are positive.
        column, row = ((axis * self._width + (self._left + PATCH_BORDER + 0.5)).astype(np.int32) for axis in (x, y))
        place = row.clip(0, side - 1) * side + column.clip(0, side - 1)
        place += np.arange(0, framed.size, side * side, dtype=np.int32)
        return framed.ravel().take(place).astype(np.int16)

    def _choose_leaves(self, level: int, pixels: np.ndarray) -> np.ndarray:
        """Return the leaf of each tree, uint8 (trees, n).

        All splits are decided, also those that are not on the way, and the ways are chosen by arithmetic, because
        branches take longer.
        """
        first, second = self._pixels[level]
        difference = pixels.take(first, axis=0) - pixels.take(second, axis=0)
        right = (difference <= self._thresholds[level][:, :, None]).view(np.uint8)
        below = len(right) // 2  # number of the splits above the tree's lowest row
        leaves = right[below:]
        beside = np.uint8(1)  # number of leaves on the left side of a split
        while below:
            row = right[below // 2 : below]
            beside *= 2
            leaves = leaves[::2] * (1 - row) + (leaves[1::2] + beside) * row
            below //= 2
        return leaves[0]


def _add_leaves(leaves: np.ndarray, chosen: np.ndarray, shapes: np.ndarray) -> None:
    """Add a leaf of each tree to shapes, in the order of the trees.

    Args:
        leaves: float32 (trees, leaves, 136).
        chosen: uint8 (trees, n), the number of the leaf of each tree and face.
        shapes: float32 (n, 136), changed in place.
    """
    if len(shapes) >= MANY_FACES:
        for own, each in zip(leaves, chosen.astype(np.intp), strict=True):
            shapes += own.take(each, axis=0)
        return
    trees, each, values = leaves.shape
    table, rows = leaves.reshape(-1, values), chosen.T + np.arange(0, trees * each, each)
    for shape, own in zip(shapes, rows, strict=True):
        addends = table.take(own, axis=0)
        addends[0] += shape
        addends.sum(axis=0, out=shape)
