"""The two networks of `unmask`: one finds the occluder, one paints the face below it."""

import torch
from torch import Tensor, nn

from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._removal.networks import answer, build_removal_network
from workflow_scripts.systems.unmask.config import EditNetwork, Experiment


class EditModule(nn.Module):
    """What would the face look like without the mask? It sees the picture, with the map's region filled if wanted."""

    def __init__(self, config: EditNetwork):
        super().__init__()
        self.fill, self.border = config.fill, config.border
        self.mirror, self.residual = config.mirror, config.residual
        self.unet = UNet(config.unet, inputs=4, outputs=3)

    def forward(self, filled: Tensor, maps: Tensor) -> Tensor:
        """Map filled RGB (N, 3, S, S) in -1..1 and maps (N, 1, S, S) in 0..1 to RGB float32 (N, 3, S, S) in -1..1."""
        painted = answer(self.unet, torch.cat([filled, maps], dim=1), self.mirror and not self.training)
        if self.residual:
            return (filled + painted).clamp(-1, 1)
        return torch.tanh(painted)


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds."""
    return build_removal_network(network, experiment, EditModule)
