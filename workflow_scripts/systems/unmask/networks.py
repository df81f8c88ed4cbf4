"""The two networks of `unmask`: one finds the occluder, one paints the face below it."""

import torch
from torch import Tensor, nn

from workflow_scripts.models.unet import UNet
from workflow_scripts.systems.unmask.config import EditNetwork, Experiment, MapNetwork

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in OpenCV


class MapModule(nn.Module):
    """Where is the occluder? Returns logits; their sigmoid is the probability."""

    def __init__(self, config: MapNetwork):
        super().__init__()
        self.grey = config.channels == "grey"
        self.unet = UNet(config.unet, inputs=1 if self.grey else 3, outputs=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in -1..1 to logits float32 (N, 1, S, S)."""
        if self.grey:
            pictures = torch.einsum("nchw,c->nhw", pictures, pictures.new_tensor(LUMA))[:, None]
        return self.unet(pictures)


class EditModule(nn.Module):
    """What would the face look like without it?"""

    def __init__(self, config: EditNetwork):
        super().__init__()
        self.residual = config.residual
        self.unet = UNet(config.unet, inputs=4, outputs=3)

    def forward(self, pictures: Tensor, maps: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in -1..1 and maps (N, 1, S, S) in 0..1 to RGB float32 (N, 3, S, S) in -1..1."""
        painted = self.unet(torch.cat([pictures, maps], dim=1))
        if self.residual:
            return (pictures + painted).clamp(-1, 1)
        return torch.tanh(painted)


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds."""
    return MapModule(experiment.map) if network == "map" else EditModule(experiment.edit)
