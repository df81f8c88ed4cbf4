"""Likeness of two pictures: PSNR and SSIM, on the whole picture and inside a hole.

Both are computed in float64 on 8-bit values, 0..255, for one item. Averages are taken over items, never over batches.
"""

from typing import NamedTuple

import numpy as np
from skimage.metrics import structural_similarity

DATA_RANGE = 255
PSNR_CEILING = 100.0  # dB; equal pictures have an infinite ratio, which no mean, chart or JSON file can hold
WINDOW_SIGMA = 1.5  # pixels; standard deviation of SSIM's Gaussian window (Wang et al. 2004)
WINDOW_BORDER = 5  # pixels at every side, where the window of 11 x 11 pixels is not whole


class Likeness(NamedTuple):
    """PSNR in dB and SSIM, of the whole picture and of a hole; None where the hole holds no pixel that counts."""

    psnr_whole: float
    ssim_whole: float
    psnr_hole: float | None
    ssim_hole: float | None


def compare_pictures(picture: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> Likeness:
    """Compare a picture with the truth.

    Args:
        picture: uint8 (H, W, 3).
        truth: uint8 (H, W, 3).
        hole: bool (H, W), the pixels of the hole.

    Returns:
        `psnr_whole` and `ssim_whole` count the whole picture, `psnr_hole` the squared error of the hole's pixels alone,
        and `ssim_hole` is the mean of `local_ssim` over those of the hole's pixels that it has.
    """
    error = (picture.astype(np.float64) - truth.astype(np.float64)) ** 2
    similarity = local_ssim(picture, truth)
    inner = hole[WINDOW_BORDER:-WINDOW_BORDER, WINDOW_BORDER:-WINDOW_BORDER]
    return Likeness(
        psnr_whole=psnr_of_error(error.mean()),
        ssim_whole=float(similarity.mean()),
        psnr_hole=psnr_of_error(error[hole].mean()) if hole.any() else None,
        ssim_hole=float(similarity[inner].mean()) if inner.any() else None,
    )


def compare_whole(picture: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return PSNR in dB and SSIM of a picture against its truth, both uint8 (H, W, 3)."""
    error = (picture.astype(np.float64) - truth.astype(np.float64)) ** 2
    return psnr_of_error(error.mean()), float(local_ssim(picture, truth).mean())


def psnr_of_error(squared_error: float) -> float:
    """Return the peak signal-to-noise ratio in dB of a mean squared error of 8-bit values, at most `PSNR_CEILING`."""
    if squared_error == 0:
        return PSNR_CEILING
    return min(PSNR_CEILING, float(10 * np.log10(DATA_RANGE**2 / squared_error)))


def local_ssim(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the structural similarity around each pixel and channel.

    It is scikit-image's definition with the Gaussian window of Wang et al. (sigma 1.5, 11 x 11 pixels, population
    covariance), without the border of 5 pixels where the window is not whole.

    Args:
        picture: uint8 (H, W, 3), H and W at least 11.
        truth: uint8 (H, W, 3).

    Returns:
        float64 (H - 10, W - 10, 3), at most 1.
    """
    _, full = structural_similarity(
        picture,
        truth,
        gaussian_weights=True,
        sigma=WINDOW_SIGMA,
        use_sample_covariance=False,
        data_range=DATA_RANGE,
        channel_axis=2,
        full=True,
    )
    return full[WINDOW_BORDER:-WINDOW_BORDER, WINDOW_BORDER:-WINDOW_BORDER]
