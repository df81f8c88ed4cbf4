"""VGG19 up to block 5 (Simonyan & Zisserman 2014), whose features the published systems compare."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from workflow_scripts.core.cli import UserError

# Channels and convolutions of each block. Max pooling follows each block but the last.
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
# After the ReLU of block3_conv4, block4_conv4, block5_conv4: indices of torchvision's `features`.
TAPS = (17, 26, 35)
PIXEL_MEAN, PIXEL_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TappedFeatures(nn.Module):
    """A frozen feature extractor of pictures, RGB (N, 3, H, W) in 0..1, normalised as torchvision's networks want them.

    Args:
        layers: under the names of torchvision's `features`.
        taps: the layers whose features are returned, as indices.
    """

    def __init__(self, layers: Sequence[nn.Module], taps: Sequence[int]):
        super().__init__()
        self.features, self._taps = nn.Sequential(*layers), frozenset(taps)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(PIXEL_DEVIATION).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def taps(self, pictures: Tensor) -> list[Tensor]:
        """Return the features after each of the taps."""
        x = (pictures - self.mean) / self.deviation
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                found.append(x)
        return found


class VGG(TappedFeatures):
    """The convolutions of a VGG, for pictures with sides of 32 and more.

    Args:
        blocks: channels and convolutions of each.
        taps: as of `TappedFeatures`; the last one ends the network.
    """

    def __init__(self, blocks: Sequence[tuple[int, int]], taps: Sequence[int]):
        layers: list[nn.Module] = []
        before = 3
        for width, convolutions in blocks:
            for _ in range(convolutions):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2))
        super().__init__(layers[: taps[-1] + 1], taps)


class VGG19(VGG):
    """VGG19 with the taps `TAPS`: strides 4, 8, 16, with 256, 512, 512 channels."""

    def __init__(self):
        super().__init__(BLOCKS, TAPS)


def load_vgg19(path: str | Path) -> VGG19:
    """Build the network with torchvision's weights.

    Args:
        path: safetensors with the tensors of `vgg19-dcbb9e9d.pth` under their published names.

    Raises:
        UserError: the file is absent, or holds the weights of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"no weights at {path}; set `weights: {{vgg19: PATH}}` to torchvision's vgg19-dcbb9e9d.pth, "
            "or use `perceptual: efficientnet_lite0`"
        )
    network = VGG19()
    wanted = network.state_dict()
    found = {name: value for name, value in load_file(path).items() if name in wanted}
    try:
        network.load_state_dict(found)
    except RuntimeError as error:
        raise UserError(f"{path} does not hold the weights of VGG19; give torchvision's vgg19-dcbb9e9d.pth") from error
    return network
