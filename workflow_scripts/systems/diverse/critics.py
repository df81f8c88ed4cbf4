"""Discriminators of the published family, and the Wasserstein losses of critics."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

SLOPE = 0.2
RELU_GAIN, ELU_GAIN = math.sqrt(2), 1.25  # of a layer's deviation, which its activation takes away again


class Critic(nn.Module):
    """Convolutions of stride 2 with leaky ReLU, then one number for the whole picture.

    Args:
        widths: channels of the input and of each layer.
        kernel: pixels of the convolutions' side.
        side: of the pictures.
    """

    def __init__(self, widths: Sequence[int], kernel: int, side: int):
        super().__init__()
        self.layers = strided_layers(widths, kernel)
        self.verdict = nn.Linear(widths[-1] * (side >> (len(widths) - 1)) ** 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, side, side) to (N, 1), higher for real pictures."""
        return self.verdict(self.layers(x).flatten(1))


def strided_layers(widths: Sequence[int], kernel: int) -> nn.Sequential:
    """Return convolutions that halve the side, each with leaky ReLU; `widths` begins with the input's channels."""
    layers: list[nn.Module] = []
    for before, width in pairwise(widths):
        layers += [nn.Conv2d(before, width, kernel, 2, (kernel - 1) // 2), nn.LeakyReLU(SLOPE)]
    return initialised(nn.Sequential(*layers), RELU_GAIN)


def initialised(module: nn.Module, gain: float) -> nn.Module:
    """Return a module whose convolutions begin with weights that keep the signal's deviation (He et al. 2015).

    None of these networks has normalisation. With PyTorch's own initial weights, a third of the variance would pass
    each layer, and the deepest ones, where the latents are, would hardly learn.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # Of the taps of a transposed convolution, one in `stride` squared meets an input.
            taps = math.prod(layer.kernel_size) / (layer.stride[0] ** 2 if layer.transposed else 1)
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_channels * taps))
            nn.init.zeros_(layer.bias)
    return module


def wasserstein_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return E D(fake) - E D(real), what a critic minimises (Arjovsky et al. 2017)."""
    return fake.mean() - real.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weight: Tensor) -> Tensor:
    """Return E (|| w * grad D(x) || - 1)^2 at random places x between real and fake (Gulrajani et al. 2017).

    Args:
        critic: of pictures.
        real: (N, C, H, W).
        fake: (N, C, H, W), without gradient.
        weight: (N, 1, H, W), 1 in the hole, as only there real and fake differ (Yu et al. 2018, equation 3).
    """
    # Squared differences of norms from 1 need more than the 8 bits of bf16's mantissa.
    with torch.autocast(real.device.type, enabled=False):
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = torch.lerp(fake.float(), real.float(), share).requires_grad_()
        gradient = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
        norm = (gradient * weight).square().sum(dim=(1, 2, 3)).add(1e-12).sqrt()
        return (norm - 1).square().mean()
