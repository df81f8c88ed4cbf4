"""The trained networks of `objects`, as the stages apply them."""

import numpy as np
import torch

from workflow_scripts.core.randomness import item_rng
from workflow_scripts.systems.objects.networks import Generator, SegmentModule
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.data import on_device, pictures_to_float

__all__ = ["draw_samples", "find_masks", "load_network"]


def draw_samples(network: Generator, numbers: range, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return generated pictures uint8 (n, S, S, 3 or 4) and their classes int64 (n,).

    Args:
        network: in evaluation mode.
        numbers: of the samples; a number gives the same picture whatever is drawn beside it.
        seed: of the network's training.
    """
    drawn = [item_rng(seed, f"{number}", "sample") for number in numbers]
    latents = np.stack([rng.standard_normal(network.latent, np.float32) for rng in drawn])
    places = on_device(network, np.array([rng.random() for rng in drawn]))
    with torch.inference_mode():
        classes = network.classes_at(places)
        pictures = network(on_device(network, latents), classes)
    pixels = ((pictures.float() + 1) * 127.5).round().clamp(0, 255).byte()
    return pixels.permute(0, 2, 3, 1).cpu().numpy(), classes.cpu().numpy()


def find_masks(network: SegmentModule, pictures: np.ndarray) -> np.ndarray:
    """Return where the object is, as probability uint8 (n, S, S), in pictures RGB uint8 (n, S, S, 3)."""
    with torch.inference_mode():
        found = torch.sigmoid(network(pictures_to_float(on_device(network, pictures))))
    return (found[:, 0] * 255).round().byte().cpu().numpy()
