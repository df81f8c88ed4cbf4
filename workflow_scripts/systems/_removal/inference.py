"""The map network at work: evaluation mode, fp32, no dropout."""

import numpy as np
import torch

from workflow_scripts.systems._removal.networks import MapModule
from workflow_scripts.training.data import on_device, pictures_to_float


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
