"""Group and instance normalisation that leave the memory layout of channels-last pictures alone.

On a GPU torch's own bring such pictures into the other layout and back, which took a third of a training step of
pix2pix on an H100; what is used instead has no second derivative. On a CPU torch's instance normalisation alone does
so, and its gradient of a single channels-last picture is wrong (torch 2.13). Batch normalisation of one picture at a
time is the same and is free of both.

In a network that is compiled the statistics are one pass over the picture and the rest another, joined with what
precedes and follows; there the plain formula is used, whose derivative the compiler makes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` (Wu & He 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if x.is_cuda or torch.compiler.is_compiling():
            return normalise(x, self.num_groups, self.weight, self.bias, self.eps)
        return super().forward(x)


class InstanceNorm2d(nn.InstanceNorm2d):
    """`torch.nn.InstanceNorm2d` without moving statistics (Ulyanov et al. 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if x.is_cuda or torch.compiler.is_compiling():
            return normalise(x, x.shape[1], self.weight, self.bias, self.eps)
        if torch.onnx.is_in_onnx_export():  # a file is for batches of any size
            return super().forward(x)
        one_each = [F.batch_norm(one, None, None, self.weight, self.bias, True, eps=self.eps) for one in x.split(1)]
        return torch.cat(one_each)


def normalise(x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Return (N, C, H, W), each group of channels of an item with mean 0 and variance 1, then scaled and shifted.

    Args:
        x: of any floating type, which the result has too; statistics are float32.
        groups: of neighbouring channels.
        weight: (C,); None: 1.
        bias: (C,); None: 0.
        epsilon: added to the variance.
    """
    with torch.autocast(x.device.type, enabled=False):
        chosen = _formula if torch.compiler.is_compiling() else _Normalise.apply
        return chosen(x, groups, weight, bias, epsilon)


def _formula(x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    variances, means = torch.var_mean(x.float(), dim=(2, 3), correction=0)
    mean = _over_groups(means, groups)
    variance = _over_groups(variances + (means - mean).square(), groups)
    scale = (variance + epsilon).rsqrt()
    if weight is not None:
        scale = scale * weight
    result = (x.float() - mean[:, :, None, None]) * scale[:, :, None, None]
    if bias is not None:
        result = result + bias[None, :, None, None]
    return result.to(x.dtype)


class _Normalise(torch.autograd.Function):
    """y = x a + b, with a and b (N, C, 1, 1) made of the statistics."""

    @staticmethod
    def forward(ctx, x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
        pixels = x.shape[2] * x.shape[3]
        means = x.mean(dim=(2, 3), dtype=torch.float32)
        squares = torch.linalg.vector_norm(x, dim=(2, 3), dtype=torch.float32).square() / pixels
        mean = _over_groups(means, groups)
        deviation = (_over_groups(squares, groups) - mean.square()).clamp(min=0).add(epsilon).rsqrt()
        scale = deviation if weight is None else deviation * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        ctx.save_for_backward(x, mean, deviation, weight)
        ctx.groups, ctx.has_bias = groups, bias is not None
        return torch.addcmul(_spread(shift, x), x, _spread(scale, x))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, mean, deviation, weight = ctx.saved_tensors
        ones = gradient.mean(dim=(2, 3), dtype=torch.float32)  # means over pixels of g, and of g times normalised x
        products = ((gradient * x).mean(dim=(2, 3), dtype=torch.float32) - mean * ones) * deviation
        scale = deviation if weight is None else deviation * weight
        factor = 1.0 if weight is None else weight
        along = _over_groups(products * factor, ctx.groups) * deviation
        constant = -_over_groups(ones * factor, ctx.groups) * deviation
        # dx = g scale - x^ along + constant, x^ = (x - mean) deviation
        by_x = -along * deviation
        result = torch.addcmul(_spread(constant - by_x * mean, x), gradient, _spread(scale, x))
        result.addcmul_(x, _spread(by_x, x))
        pixels = x.shape[2] * x.shape[3]
        of_weight = None if weight is None else products.sum(dim=0) * pixels
        of_bias = ones.sum(dim=0) * pixels if ctx.has_bias else None
        return result, None, of_weight, of_bias, None


def _over_groups(values: Tensor, groups: int) -> Tensor:
    """Return (N, C) with each channel's value replaced by the mean over its group."""
    count, channels = values.shape
    means = values.view(count, groups, -1).mean(dim=-1, keepdim=True)
    return means.expand(-1, -1, channels // groups).reshape(count, channels)


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, :, None, None]
