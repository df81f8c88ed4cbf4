"""The map network at work, and pictures in and out of the editing networks: evaluation mode, fp32, no dropout."""

import numpy as np
import torch
from torch import nn

from workflow_scripts.systems._removal.networks import MapModule
from workflow_scripts.training.data import pictures_to_float


@torch.inference_mode()
def predict_maps(network: MapModule, images: np.ndarray) -> np.ndarray:
    """Return the probability of the occluder.

    Args:
        network: as `load_network` returns it.
        images: RGB uint8 (N, S, S, 3).

    Returns:
        float32 (N, S, S) in 0..1.
    """
    return torch.sigmoid(network(pictures_to_float(on_device(network, images))))[:, 0].cpu().numpy()


def pictures_to_uint8(pictures: torch.Tensor) -> np.ndarray:
    """Turn (N, 3, S, S) in -1..1 to RGB uint8 (N, S, S, 3)."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def on_device(network: nn.Module, array: np.ndarray) -> torch.Tensor:
    """Return an array as a tensor where the network is."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(next(network.parameters()).device)
