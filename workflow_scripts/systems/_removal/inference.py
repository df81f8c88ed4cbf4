"""The trained networks, applied in evaluation mode, in fp32, without dropout: the same input gives the same output."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.systems._removal.fill import fill_holes, widen
from workflow_scripts.systems._removal.networks import MapModule, SamplingModule
from workflow_scripts.training.data import maps_to_float, on_device, pictures_to_float, pictures_to_uint8


@torch.inference_mode()
def find_occluders(network: MapModule, images: np.ndarray) -> np.ndarray:
    """Return the probability of the occluder.

    Args:
        network: as `load_network` returns it.
        images: RGB uint8 (N, S, S, 3).

    Returns:
        float32 (N, S, S) in 0..1.
    """
    return torch.sigmoid(network(pictures_to_float(on_device(network, images))))[:, 0].cpu().numpy()


@torch.inference_mode()
def paint_bare_faces(
    network: nn.Module,
    images: np.ndarray,
    maps: np.ndarray,
    seeds: Sequence[int] = (),
    count: int = 1,
    diversity: float = 1.0,
) -> np.ndarray:
    """Return the faces without their occluders, in several versions where the network samples.

    Args:
        network: as `load_network` returns it: a `PaintModule`, `EditModule` or `SamplingModule`.
        images: RGB uint8 (N, S, S, 3).
        maps: cleaned maps, uint8 (N, S, S), 0 or 255.
        seeds: of the items, for a network that needs noise, which is drawn from them.
        count: versions of each face; more than one of a network that samples.
        diversity: of those; a factor of their noise.

    Returns:
        RGB uint8 (count, N, S, S, 3); what lies outside the map is painted too.
    """
    pictures = pictures_to_float(on_device(network, images))
    holes = widen(maps_to_float(on_device(network, maps)), network.border.margin)
    filled = fill_holes(pictures, holes, network.fill, seeds)
    if not isinstance(network, SamplingModule):
        return pictures_to_uint8(network(filled, holes))[None]
    painted, start = network.begin_edit(filled, holes)
    versions = []
    for number in range(count):
        rngs = (np.random.default_rng(stable_hash(seed, "sample", number)) for seed in seeds)
        latents = np.stack([rng.standard_normal(network.latent_shape(images.shape[1]), np.float32) for rng in rngs])
        versions.append(pictures_to_uint8(network.sample(painted, start, on_device(network, diversity * latents))))
    return np.stack(versions)
