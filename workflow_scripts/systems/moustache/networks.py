"""The two networks of `moustache`: one finds the moustache, one paints the skin below it."""

import torch
from torch import Tensor, nn

from workflow_scripts.models.pix2pix import Pix2PixGenerator
from workflow_scripts.systems._removal.networks import answer, build_removal_network
from workflow_scripts.systems.moustache.config import Experiment, PaintNetwork


class PaintModule(nn.Module):
    """What would the face look like without the moustache? It sees the picture with the map's region filled."""

    def __init__(self, config: PaintNetwork):
        super().__init__()
        self.fill, self.border, self.mirror = config.fill, config.border, config.mirror
        self.sees_map, self.residual = config.sees_map, config.residual
        inputs = 4 if self.sees_map else 3
        self.generator = Pix2PixGenerator(inputs=inputs, outputs=3, **config.generator.model_dump())

    def forward(self, filled: Tensor, maps: Tensor) -> Tensor:
        """Map filled RGB (N, 3, S, S) in -1..1 and maps (N, 1, S, S) in 0..1 to RGB float32 (N, 3, S, S) in -1..1."""
        shown = torch.cat([filled, maps], dim=1) if self.sees_map else filled
        painted = answer(self.generator, shown, self.mirror and not self.training)
        return (filled + painted).clamp(-1, 1) if self.residual else painted


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds."""
    return build_removal_network(network, experiment, PaintModule)
