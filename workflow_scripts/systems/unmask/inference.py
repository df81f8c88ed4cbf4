"""The trained networks at work: evaluation mode, fp32, no dropout, so that the same input gives the same output."""

from collections.abc import Sequence

import numpy as np
import torch

from workflow_scripts.systems._removal.inference import predict_maps
from workflow_scripts.systems.unmask.networks import EditModule
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.data import maps_to_float, on_device, pictures_to_float, pictures_to_uint8

__all__ = ["edit_faces", "load_network", "predict_maps"]


@torch.inference_mode()
def edit_faces(network: EditModule, images: np.ndarray, maps: np.ndarray, seeds: Sequence[int] = ()) -> np.ndarray:
    """Return the faces without their occluders.

    Args:
        network: as `load_network` returns it.
        images: RGB uint8 (N, S, S, 3).
        maps: cleaned maps, uint8 (N, S, S), 0 or 255.
        seeds: of the items, for systems that show noise to their network; not used.

    Returns:
        RGB uint8 (N, S, S, 3); what lies outside the map is painted too.
    """
    painted = network(pictures_to_float(on_device(network, images)), maps_to_float(on_device(network, maps)))
    return pictures_to_uint8(painted)
