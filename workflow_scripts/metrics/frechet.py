"""Distance of two sets of pictures: the Fréchet distance of Gaussians that are fitted to a network's features.

It is called FID (Heusel et al. 2017) only with the features of the 2015 Inception network. With the features of another
network it is named after that network, and its values compare only with values of the same network.
"""

from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the distance alone does not need torch, which takes a second to import
    from workflow_scripts.models.efficientnet_lite import EfficientNetLite0

BATCH = 32  # pictures per forward pass; fixed, so that results do not depend on a setting
NETWORK_SIDE = 224  # pixels; the side of the pictures that the network was trained on


def picture_features(pictures: Iterable[np.ndarray], weights: Path) -> np.ndarray:
    """Return EfficientNet-Lite0's pooled features of pictures, resized to 224x224 (bilinear).

    Args:
        pictures: RGB uint8 (H, W, 3) each, all of one size, at least one.
        weights: the network's weights as safetensors.

    Returns:
        float32 (n, 1280).

    Raises:
        UserError: the weights are absent, or are those of another network.
    """
    import torch
    import torch.nn.functional as F

    network = _network(weights)
    pictures = iter(pictures)
    parts = []
    with torch.inference_mode():
        while batch := list(islice(pictures, BATCH)):
            inputs = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() / 255
            resized = F.interpolate(inputs, size=(NETWORK_SIDE, NETWORK_SIDE), mode="bilinear")
            parts.append(network.features(resized).numpy())
    return np.concatenate(parts)


def frechet_distance(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Return |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), covariances C with n - 1.

    With C_a = A'A and C_b = B'B, the trace of the root is the sum of the singular values of A B'. So no root of a
    matrix is taken, and nothing turns complex or breaks down when there are fewer pictures than features.

    Args:
        features_a: float (n, d), with n at least 2.
        features_b: float (m, d), with m at least 2.
    """
    (mean_a, root_a), (mean_b, root_b) = _mean_and_root(features_a), _mean_and_root(features_b)
    shared = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    distance = np.sum((mean_a - mean_b) ** 2) + np.sum(root_a**2) + np.sum(root_b**2) - 2 * shared
    return max(0.0, float(distance))


def _mean_and_root(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (d,) and a matrix R (min(n, d), d) with R'R the covariance."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    return mean, np.linalg.qr((features - mean) / np.sqrt(len(features) - 1), mode="r")


@cache
def _network(weights: Path) -> "EfficientNetLite0":
    import torch

    from workflow_scripts.models.efficientnet_lite import load_efficientnet_lite0

    torch.set_num_threads(1)
    return load_efficientnet_lite0(weights)
