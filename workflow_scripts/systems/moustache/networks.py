"""The two networks of `moustache`: one finds the moustache, one paints the skin below it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from workflow_scripts.models.pix2pix import Pix2PixGenerator
from workflow_scripts.systems._removal.networks import MapModule
from workflow_scripts.systems.moustache.config import Experiment, PaintNetwork


class PaintModule(nn.Module):
    """What would the face look like without it? Sees the picture with the map's region filled."""

    def __init__(self, config: PaintNetwork):
        super().__init__()
        self.fill, self.sees_map = config.fill, config.sees_map
        inputs = 4 if self.sees_map else 3
        self.generator = Pix2PixGenerator(inputs=inputs, outputs=3, **config.generator.model_dump())

    def forward(self, filled: Tensor, maps: Tensor) -> Tensor:
        """Map filled RGB (N, 3, S, S) in -1..1 and maps (N, 1, S, S) in 0..1 to RGB float32 (N, 3, S, S) in -1..1."""
        return self.generator(torch.cat([filled, maps], dim=1) if self.sees_map else filled)


def fill_holes(pictures: Tensor, maps: Tensor, fill: str, seeds: Sequence[int]) -> Tensor:
    """Return pictures whose map region is filled.

    Args:
        pictures: RGB (N, 3, S, S) in -1..1.
        maps: (N, 1, S, S) in 0..1.
        fill: `noise` (independent uniform colours), `grey` (the middle), `mean` (of each picture outside its map) or
            `none`.
        seeds: one for each picture; noise is drawn from it alone.
    """
    if fill == "none":
        return pictures
    if fill == "noise":
        size = (*pictures.shape[-2:], pictures.shape[1])
        drawn = np.stack([np.random.default_rng(seed).integers(0, 256, size, np.uint8) for seed in seeds])
        content = torch.from_numpy(drawn).to(pictures.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    elif fill == "grey":
        content = torch.zeros_like(pictures)
    else:
        outside = 1 - maps
        shares = outside.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        content = (pictures * outside).sum(dim=(2, 3), keepdim=True) / shares
    return pictures + (content - pictures) * maps


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds."""
    return MapModule(experiment.map) if network == "map" else PaintModule(experiment.edit)
