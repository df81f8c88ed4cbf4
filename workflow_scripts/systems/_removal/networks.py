"""The network that finds an occluder."""

import torch
from torch import Tensor, nn

from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._removal.config import MapNetwork

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in OpenCV


class MapModule(nn.Module):
    """Where is the occluder? It returns logits; their sigmoid is the probability."""

    def __init__(self, config: MapNetwork):
        super().__init__()
        self.grey = config.channels == "grey"
        self.mirror = config.mirror
        self.unet = UNet(config.unet, inputs=1 if self.grey else 3, outputs=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in -1..1 to logits float32 (N, 1, S, S)."""
        if self.grey:
            pictures = torch.einsum("nchw,c->nhw", pictures, pictures.new_tensor(LUMA))[:, None]
        return answer(self.unet, pictures, self.mirror and not self.training)


def answer(network: nn.Module, pictures: Tensor, mirror: bool) -> Tensor:
    """Return what a network answers, or the mean of that and of its answer to the mirror images."""
    found = network(pictures)
    return (found + network(pictures.flip(-1)).flip(-1)) / 2 if mirror else found
