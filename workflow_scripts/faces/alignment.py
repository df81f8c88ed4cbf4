"""The geometry of face crops: where a face lies in an aligned crop, and the transform that takes it there.

Positions are x, y in pixels, and integers are the centres of pixels.
"""

import math

import cv2
import numpy as np

from workflow_scripts.config.sources import Crop
from workflow_scripts.faces.landmark_groups import LEFT_EYE, RIGHT_EYE, five_points
from workflow_scripts.faces.mean_face import CELEBA_FRAME, CELEBA_LANDMARKS

# Pixels of the picture per pixel of the result. Where there are fewer, cubic samples are smoother than linear ones.
ENLARGING = 0.7
# Linear interpolation blurs by a variance of up to 1/4 pixel^2, 1/6 on average, and this filter removes the average.
# Four such samples per pixel are nearly as close to 64 samples of aligned CelebA at 128 pixels as cubic ones are (51
# and 52 dB), make details too strong by 1 % instead of 5 %, and take a quarter of the time.
DEBLUR = np.array([-1, 14, -1]) / 12
# Side and left upper corner of a square in aligned CelebA's 178 x 218: from above the brows to below the chin.
CLOSE_SIDE, CLOSE_CORNER = 128, (25, 70)
OUTSIDE_FADE = 0.1  # of the crop's size; distance from the picture at which its continuation is fully blurred
OUTSIDE_BLUR = 0.08  # of the crop's size; standard deviation of the blur

CELEBA_POINTS = five_points(CELEBA_LANDMARKS)  # where the five points lie in an aligned CelebA picture


def tilt_of(landmarks: np.ndarray) -> float:
    """Return the angle of the line between the eyes of landmarks (68, 2), in degrees, clockwise as seen."""
    across = landmarks[LEFT_EYE].mean(axis=0) - landmarks[RIGHT_EYE].mean(axis=0)
    return float(np.degrees(np.arctan2(across[1], across[0])))


def spread_of(points: np.ndarray) -> float:
    """Return the root-mean-square distance of points (n, 2) from their centre."""
    return mean_length(points - points.mean(axis=0))


def mean_length(vectors: np.ndarray) -> float:
    """Return the root mean square of the lengths of vectors (n, 2)."""
    return math.hypot(*vectors.ravel().tolist()) / math.sqrt(len(vectors))


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation, scaling and translation that takes `source` nearest to `target` in the least-squares sense.

    In the plane, with points as complex numbers, Umeyama's solution (IEEE PAMI 13(4), 1991) without reflection is the
    regression of target on source.

    Args:
        source: (n, 2).
        target: (n, 2).

    Returns:
        float64 (2, 3), the matrix for `cv2.warpAffine` without WARP_INVERSE_MAP; NaN if all of `source` are equal.
    """
    source, target = ([complex(x, y) for x, y in points.tolist()] for points in (source, target))
    source_middle, target_middle = (sum(points) / len(points) for points in (source, target))
    source = [point - source_middle for point in source]
    spread = sum(abs(point) ** 2 for point in source) or math.nan
    a = sum(one.conjugate() * (other - target_middle) for one, other in zip(source, target, strict=True)) / spread
    b = target_middle - a * source_middle
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def stretch(source_size: tuple[int, int], target_size: tuple[int, int]) -> np.ndarray:
    """Return the matrix (2, 3) that resizes one (width, height) to another, corner to corner, as `cv2.resize` does."""
    x, y = (target / source for source, target in zip(source_size, target_size, strict=True))
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the matrix (2, 3) that applies `first` and then `second`."""
    composed = second[:, :2] @ first
    composed[:, 2] += second[:, 2]
    return composed


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points (n, 2) moved by a matrix (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def crop_matrix(landmarks: np.ndarray, picture_size: tuple[int, int], crop: Crop) -> np.ndarray:
    """Return the matrix (2, 3) from pixels of the picture to pixels of the crop.

    - `celeba`: a similarity takes the five points nearest to their places in aligned CelebA's 178 x 218, which is then
      stretched to the square, as whole CelebA pictures are.
    - `face`: the same similarity, and then the square of 128 x 128 around the face, which is not stretched.
    - `whole`: the picture is stretched to the square.

    The frame `head` has matrices of its own, see `head_squares.square_matrix`.

    Args:
        landmarks: (68, 2), x and y in pixels of the picture.
        picture_size: width and height of the picture.
        crop: the frame, and the size of the square in pixels.
    """
    square = (crop.size, crop.size)
    if crop.frame == "whole":
        return stretch(picture_size, square)
    to_celeba = fit_similarity(five_points(landmarks), CELEBA_POINTS)
    if crop.frame == "celeba":
        return compose(stretch(CELEBA_FRAME, square), to_celeba)
    to_celeba[:, 2] -= CLOSE_CORNER
    return compose(stretch((CLOSE_SIDE, CLOSE_SIDE), square), to_celeba)


def warp(picture: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture moved by an affine matrix, without aliasing; outside the picture its border is repeated.

    A picture that shrinks is first averaged over whole multiples of pixels, then sampled linearly, twice as densely as
    the result, and averaged again. Memory is bounded by the part of the picture that is seen.

    Args:
        picture: uint8 (H, W) or (H, W, 3).
        matrix: (2, 3), from pixels of the picture to pixels of the result.
        size: width and height of the result.

    Returns:
        uint8 (height, width) or (height, width, 3).
    """
    shrinks = 1 / _least_stretch(matrix)
    (left, right), (top, bottom) = _visible_part(picture.shape[1::-1], matrix, size, margin=4 * max(1, round(shrinks)))
    part = picture[top:bottom, left:right]
    matrix = compose(matrix, np.array([[1, 0, left], [0, 1, top]]))
    if shrinks >= 2:
        full = part.shape[1::-1]
        reduced = tuple(max(1, int(side / int(shrinks))) for side in full)
        part = cv2.resize(part, reduced, interpolation=cv2.INTER_AREA)
        matrix = compose(matrix, stretch(reduced, full))
    if shrinks <= ENLARGING:
        return cv2.warpAffine(part, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    part = cv2.sepFilter2D(part, -1, DEBLUR, DEBLUR, borderType=cv2.BORDER_REPLICATE)
    grid = (2 * size[0], 2 * size[1])
    dense = cv2.warpAffine(part, compose(stretch(size, grid), matrix), grid, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(dense, size, interpolation=cv2.INTER_AREA)


def _least_stretch(matrix: np.ndarray) -> float:
    """Return the smaller singular value of the linear part of a matrix (2, 3)."""
    (a, b), (c, d) = matrix[:, :2].tolist()
    return abs(math.hypot(a + d, b - c) - math.hypot(a - d, b + c)) / 2


def _visible_part(
    picture_size: tuple[int, int], matrix: np.ndarray, size: tuple[int, int], margin: int
) -> list[tuple[int, int]]:
    """Return the columns and the rows of the picture that are seen in the result, each as (first, end).

    `margin` pixels around them are added as far as the picture has them, and at least one of each is returned.
    """
    spans = []
    for (a, b, c), side in zip(cv2.invertAffineTransform(matrix).tolist(), picture_size, strict=True):
        across, down = a * (size[0] - 1), b * (size[1] - 1)
        first = math.floor(c + min(across, 0) + min(down, 0)) - margin
        last = math.ceil(c + max(across, 0) + max(down, 0)) + margin
        spans.append((min(max(first, 0), side - 1), min(max(last, 0), side - 1) + 1))
    return spans


def crop_picture(picture: np.ndarray, matrix: np.ndarray, crop: Crop) -> np.ndarray:
    """Return the crop of a picture, uint8 (size, size, 3); the frame `whole` is plain area resizing.

    Where an aligned crop reaches beyond the picture, the picture's border is continued and grows blurred, as a
    background out of focus: a mirrored border would show second faces, and a sharp one stripes.

    Args:
        picture: uint8 (H, W, 3).
        matrix: (2, 3), from pixels of the picture to pixels of the crop.
        crop: the frame, and the size of the square in pixels.
    """
    size = (crop.size, crop.size)
    if crop.frame == "whole":
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    image = warp(picture, matrix, size)
    outside = _outside(matrix, picture.shape[1::-1], size)
    if not outside.any():
        return image
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    weight = np.minimum(distance / (OUTSIDE_FADE * crop.size), 1)
    small = cv2.resize(image, (crop.size // 8, crop.size // 8), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), OUTSIDE_BLUR * crop.size / 8, borderType=cv2.BORDER_REPLICATE)
    blurred = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    return cv2.blendLinear(blurred, image, weight, 1 - weight)


def _outside(matrix: np.ndarray, picture_size: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return uint8 (height, width): 1 where a pixel of the result lies beyond the picture."""
    x, y = (np.arange(side, dtype=np.float32) for side in size)
    away = []  # from the picture's middle, 1 at its border
    for (a, b, c), side in zip(cv2.invertAffineTransform(matrix).tolist(), picture_size, strict=True):
        away.append(np.abs(x * (2 * a / side) + (y[:, None] * (2 * b / side) + (2 * c + 1 - side) / side)))
    return (np.maximum(*away) > 1).view(np.uint8)
