"""The networks of LPIPS (Zhang et al., "The Unreasonable Effectiveness of Deep Features", CVPR 2018), version 0.1.

Each has five taps, and a head with a weight for every channel of each tap. The networks' weights are torchvision's
(`alexnet-owt-7be5be79.pth`, `vgg16-397923af.pth`); the heads are those of the package `lpips`.
"""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from workflow_scripts.core.cli import UserError
from workflow_scripts.models.vgg19 import VGG, TappedFeatures

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# After the ReLUs relu1_2, relu2_2, relu3_3, relu4_3, relu5_3, and those of AlexNet's five convolutions: indices of
# torchvision's `features`.
VGG16_TAPS = (3, 8, 15, 22, 29)
ALEXNET_TAPS = (1, 4, 7, 9, 11)


class AlexNet(TappedFeatures):
    """AlexNet up to its last convolution, for pictures with sides of 63 and more: 64, 192, 384, 256, 256 channels.

    It has the sizes of "One weird trick" (Krizhevsky 2014), as torchvision's has.
    """

    def __init__(self):
        layers = [
            *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]
        super().__init__(layers, ALEXNET_TAPS)


class VGG16(VGG):
    """VGG16 with the taps `VGG16_TAPS`: 64, 128, 256, 512, 512 channels."""

    def __init__(self):
        super().__init__(VGG16_BLOCKS, VGG16_TAPS)


# Name of the heads' weights -> those of the network, and the network.
NETWORKS = {"lpips_alex": ("alexnet", AlexNet), "lpips_vgg": ("vgg16", VGG16)}


def load_lpips(heads: str, weights: Mapping[str, Path]) -> tuple[nn.Module, list[Tensor]]:
    """Return the frozen network and, for each of its taps, the weights of the channels (C,), none below 0.

    Args:
        heads: key of `NETWORKS`.
        weights: safetensors of the network and of the heads by their names, tensors under their published names.

    Raises:
        UserError: a file is damaged, or holds the weights of something else.
    """
    name, build = NETWORKS[heads]
    network = build()
    wanted = network.state_dict()
    try:
        network.load_state_dict({key: value for key, value in load_file(weights[name]).items() if key in wanted})
        linear = load_file(weights[heads])
        return network, [linear[f"lin{tap}.model.1.weight"].flatten() for tap in range(len(linear))]
    except (RuntimeError, KeyError) as error:
        files = f"{weights[name]} and {weights[heads]}"
        raise UserError(f"{files} do not hold the weights of {heads}; delete them and run again") from error
