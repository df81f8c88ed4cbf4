"""Losses and scores that systems share. Pictures are (N, 3, H, W) in -1..1, maps and weights (N, 1, H, W) in 0..1."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA, TRUNCATE = 1.5, 5  # Gaussian window of 11x11, Wang et al. 2004
C1, C2 = 0.01**2, 0.03**2  # for pictures in 0..1


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of (N, C, H, W) with weights (N, 1, H, W); 0 where all of them are 0."""
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp(min=1)


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Return structural similarity (Wang et al. 2004) per pixel and channel, the border of 5 pixels cropped.

    Gaussian window, population covariance, as scikit-image computes it with `gaussian_weights=True`.
    """
    with torch.autocast(first.device.type, enabled=False):  # differences of squares do not survive bf16
        first, second = (first.float() + 1) / 2, (second.float() + 1) / 2
        products = torch.cat([first, first * first + second * second, first * second], dim=1)
        mean_1, squares, product = _blur(products).chunk(3, dim=1)
        mean_2 = _blur(second)  # apart, as a target needs no gradient
        luminance = (2 * mean_1 * mean_2 + C1) / (mean_1**2 + mean_2**2 + C1)
        contrast = (2 * (product - mean_1 * mean_2) + C2) / (squares - mean_1**2 - mean_2**2 + C2)
        return luminance * contrast


def inner(weight: Tensor) -> Tensor:
    """Crop (N, 1, H, W) to the pixels of `ssim_map`."""
    return weight[..., TRUNCATE:-TRUNCATE, TRUNCATE:-TRUNCATE]


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return one minus the Dice coefficient of sigmoid(logits) and a map, per item, averaged."""
    probability = torch.sigmoid(logits)
    overlap = (probability * target).sum(dim=(1, 2, 3))
    return (1 - (2 * overlap + 1) / (probability.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3)) + 1)).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E log D(real) - E log(1 - D(fake)) from logits: the discriminator's side of minimax."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: str) -> Tensor:
    """Return -E log D(fake) (`non_saturating`) or E log(1 - D(fake)) (`minimax`) from logits."""
    return F.softplus(-fake).mean() if kind == "non_saturating" else -F.softplus(fake).mean()


def perceptual_loss(network, first: Tensor, second: Tensor) -> Tensor:
    """Return the mean absolute difference of a network's features, averaged over features, then over its taps.

    Args:
        network: has `taps`, of pictures in 0..1.
        first: pictures with gradient.
        second: pictures without.
    """
    with torch.no_grad():
        wanted = network.taps((second + 1) / 2)
    found = network.taps((first + 1) / 2)
    return torch.stack([F.l1_loss(a.float(), b.float()) for a, b in zip(found, wanted, strict=True)]).mean()


def psnr(picture: Tensor, target: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each item in dB, for pictures in -1..1."""
    return 10 * torch.log10(4 / (picture - target).square().mean(dim=(1, 2, 3)).clamp(min=1e-10))


def _blur(x: Tensor) -> Tensor:
    """Blur with a Gaussian; two banded matrix products, which CPUs do faster than depthwise convolution."""
    height, width = x.shape[-2:]
    return _band(height, x.device) @ x @ _band(width, x.device).T


def _band(size: int, device: torch.device) -> Tensor:
    """Return the matrix (size - 10, size) whose rows hold the window."""
    offsets = torch.arange(-TRUNCATE, TRUNCATE + 1, device=device)
    window = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    band = torch.zeros(size - 2 * TRUNCATE, size, device=device)
    rows = torch.arange(size - 2 * TRUNCATE, device=device)[:, None]
    band[rows, rows + offsets + TRUNCATE] = window / window.sum()
    return band
