"""The trained network, as the stages apply it; in either mode the same drawing gives the same face."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from workflow_scripts.systems.reenact.networks import RenderModule
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.data import on_device, pictures_to_float, pictures_to_uint8

__all__ = ["load_network", "paint_faces", "paint_faces_as_published"]


@torch.inference_mode()
def paint_faces(
    network: RenderModule, drawings: np.ndarray, landmarks: np.ndarray, before: np.ndarray | None = None
) -> np.ndarray:
    """Return the faces that drawings stand for: evaluation mode, fp32, no dropout.

    Args:
        network: as `load_network` returns it.
        drawings: RGB uint8 (N, S, S, 3).
        landmarks: that are drawn, float32 (N, 68, 2), in pixels; a network without references does not look at them.
        before: for a temporal network, the outputs for the frames before, of the same shape; black where there is none.

    Returns:
        RGB uint8 (N, S, S, 3).
    """
    shown = None if before is None else pictures_to_float(on_device(network, before))
    recalled = network.recall(on_device(network, landmarks))
    return pictures_to_uint8(network(pictures_to_float(on_device(network, drawings)), shown, recalled))


def paint_faces_as_published(
    network: RenderModule,
    drawings: np.ndarray,
    landmarks: np.ndarray,
    before: np.ndarray | None,
    seeds: Sequence[int],
) -> np.ndarray:
    """Return the faces painted one by one as in training: dropout is on, each normalised by its own statistics.

    Args:
        network: as `load_network` returns it; it is left as it was.
        drawings: as in `paint_faces`.
        landmarks: as in `paint_faces`.
        before: as in `paint_faces`.
        seeds: of the items; what is dropped is drawn from them.

    Returns:
        RGB uint8 (N, S, S, 3).
    """
    device = next(network.parameters()).device
    momenta = {m: m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    network.train()
    for norm in momenta:
        norm.momentum = 0.0  # its moving statistics stay
    painted = []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for row, seed in enumerate(seeds):
            torch.manual_seed(seed % 2**63)
            one = slice(row, row + 1)
            shown = None if before is None else before[one]
            painted.append(paint_faces(network, drawings[one], landmarks[one], shown))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    network.eval()
    return np.concatenate(painted)
