"""The file of a dlib shape predictor, read without dlib, which gives no access to its trees.

dlib writes a whole number as one byte, which has the number's length in its lower four bits and its sign in the
highest, and then that many bytes, the lowest first. It writes a real number as a whole mantissa and a whole exponent of
two.
"""

import re
from pathlib import Path

import numpy as np

LEVELS, TREES, TREE_SPLITS, POINTS = 15, 500, 15, 68
LEAVES, VALUES = TREE_SPLITS + 1, 2 * POINTS
# The bytes in front of every leaf: the numbers of its rows and columns, written negative.
LEAF_HEADER = bytes([0x81, VALUES, 0x81, 1])
# Numbers behind the trees: counts, and for each feature pixel its anchor and two reals, of two numbers each.
TAIL = LEVELS * TREES * 5 + 2 * (LEVELS + 1)


def read_shape_predictor(path: Path) -> dict[str, np.ndarray]:
    """Return the parameters of dlib's model of 68 landmarks.

    All trees are read at the same time, number by number, because a loop over 33 million numbers would take minutes.

    Returns:
        `start`: float32 (136,), the mean shape: x and y of each landmark in units of the face box.
        `anchors`: int64 (levels, trees), the landmark next to each feature pixel; a level has as many feature pixels
            as trees.
        `offsets`: float32 (levels, trees, 2), x and y of the feature pixel from its landmark.
        `pixels`: int64 (levels, 2, splits, trees), the two feature pixels that a split compares; the splits of a tree
            are in rows, from the root.
        `thresholds`: float32 (levels, splits, trees); a greater difference goes left.
        `leaves`: float32 (levels, trees, leaves, 136), what a tree adds to the shape.
    """
    data = path.read_bytes()
    words = np.ndarray(len(data), "<i8", data + bytes(8), strides=(1,))  # the eight bytes that begin at each position
    starts = np.array([match.end() for match in re.finditer(re.escape(LEAF_HEADER), data)])
    shapes, ends = _reals(words, starts, VALUES)
    pixels, thresholds = _read_splits(words, ends[:-1:LEAVES])
    tail, _ = _wholes(words, _walk(data, int(ends[-1]), TAIL))
    anchors, offsets = np.split(tail, [1 + LEVELS * (TREES + 1)])
    offsets = offsets[1:].reshape(LEVELS, -1)[:, 1:].reshape(LEVELS, TREES, 2, 2)
    return {
        "start": shapes[0],
        "anchors": anchors[1:].reshape(LEVELS, -1)[:, 1:].copy(),
        "offsets": _real(offsets[..., 0], offsets[..., 1]),
        "pixels": pixels,
        "thresholds": thresholds,
        "leaves": shapes[1:].reshape(LEVELS, TREES, LEAVES, VALUES),
    }


def _read_splits(words: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `pixels` and `thresholds` of the trees.

    Args:
        words: the eight bytes that begin at each position of the file.
        places: int64 (levels * trees,), where each tree begins, or where the counts in front of it begin.
    """
    places = places.copy()
    for levels in ([0], range(0, LEVELS * TREES, TREES)):  # skips the number of levels, and that of each level's trees
        places[levels] = _wholes(words, places[levels])[1]
    _, places = _wholes(words, places)  # skips the number of splits
    pixels, thresholds = (
        np.empty((LEVELS, 2, TREE_SPLITS, TREES), np.int64),
        np.empty((LEVELS, TREE_SPLITS, TREES), np.float32),
    )
    for split in range(TREE_SPLITS):
        for side in range(2):
            value, places = _wholes(words, places)
            pixels[:, side, split] = value.reshape(LEVELS, TREES)
        value, places = _reals(words, places, 1)
        thresholds[:, split] = value.reshape(LEVELS, TREES)
    return pixels, thresholds


def _walk(data: bytes, place: int, count: int) -> np.ndarray:
    """Return where `count` consecutive numbers begin, the first of them at `place`."""
    places = []
    for _ in range(count):
        places.append(place)
        place += 1 + (data[place] & 15)
    return np.array(places)


def _wholes(words: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole numbers at `places`, int64, and the places behind them."""
    word = words[places]
    length = word & 15
    value = (word >> 8) & ((1 << 8 * length) - 1)
    return np.where(word & 128, -value, value), places + 1 + length


def _reals(words: np.ndarray, places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the next `count` real numbers at each of `places`, float32 (n, count), and the places behind them."""
    values = np.empty((len(places), count), np.float32)
    for number in range(count):
        mantissa, places = _wholes(words, places)
        exponent, places = _wholes(words, places)
        values[:, number] = _real(mantissa, exponent)
    return values, places


def _real(mantissa: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    return np.ldexp(mantissa.astype(np.float32), exponent)
