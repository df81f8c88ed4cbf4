"""The trained networks at work: evaluation mode, fp32, no dropout, so that the same input gives the same output."""

import numpy as np
import torch
from torch import nn

from workflow_scripts.systems.unmask.networks import EditModule, MapModule
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.data import maps_to_float, pictures_to_float

__all__ = ["edit_faces", "load_network", "predict_maps"]


@torch.inference_mode()
def predict_maps(network: MapModule, images: np.ndarray) -> np.ndarray:
    """Return the probability of the occluder.

    Args:
        network: as `load_network` returns it.
        images: RGB uint8 (N, S, S, 3).

    Returns:
        float32 (N, S, S) in 0..1.
    """
    return torch.sigmoid(network(pictures_to_float(_on_device(network, images))))[:, 0].cpu().numpy()


@torch.inference_mode()
def edit_faces(network: EditModule, images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return the faces without their occluders.

    Args:
        network: as `load_network` returns it.
        images: RGB uint8 (N, S, S, 3).
        maps: cleaned maps, uint8 (N, S, S), 0 or 255.

    Returns:
        RGB uint8 (N, S, S, 3); what lies outside the map is painted too.
    """
    painted = network(pictures_to_float(_on_device(network, images)), maps_to_float(_on_device(network, maps)))
    return pictures_to_uint8(painted)


def pictures_to_uint8(pictures: torch.Tensor) -> np.ndarray:
    """Turn (N, 3, S, S) in -1..1 to RGB uint8 (N, S, S, 3)."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def _on_device(network: nn.Module, array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(next(network.parameters()).device)
