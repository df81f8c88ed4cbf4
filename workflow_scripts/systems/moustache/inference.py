"""The trained networks at work: evaluation mode, fp32, no dropout, so that the same input gives the same output."""

from collections.abc import Sequence

import numpy as np
import torch

from workflow_scripts.systems._removal.inference import predict_maps
from workflow_scripts.systems.moustache.networks import PaintModule, fill_holes
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.data import maps_to_float, on_device, pictures_to_float, pictures_to_uint8

__all__ = ["edit_faces", "load_network", "predict_maps"]


@torch.inference_mode()
def edit_faces(network: PaintModule, images: np.ndarray, maps: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """Return the faces without their moustaches.

    Args:
        network: as `load_network` returns it.
        images: RGB uint8 (N, S, S, 3).
        maps: cleaned maps, uint8 (N, S, S), 0 or 255.
        seeds: of the items; the noise that fills the maps' region is drawn from them.

    Returns:
        RGB uint8 (N, S, S, 3); what lies outside the map is painted too.
    """
    pictures, holes = pictures_to_float(on_device(network, images)), maps_to_float(on_device(network, maps))
    return pictures_to_uint8(network(fill_holes(pictures, holes, network.fill, seeds), holes))
