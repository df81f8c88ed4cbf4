"""Conditional flow matching on straight paths (rectified flow, Liu et al. 2022; Lipman et al. 2023).

At time t, between noise e (t = 0) and picture x (t = 1), a path is at t x + (1 - t) e. A network says which x its place
on the path leads to on average; the flow goes towards it. As in Karras et al. 2022 (EDM, section 5), what it sees and
what it adds is scaled so that both have unit variance at every t; their formulas are written for this path.
"""

from collections.abc import Callable

import torch
from torch import Tensor

DATA_SIGMA = 0.5  # standard deviation of pictures in -1..1
LAST_TIME = 0.98  # beyond it, a path has no noise left that could be learned from
TIME_MEAN, TIME_SIGMA = -0.2, 1.2  # of the logit of the times that are trained on


def draw_times(count: int, device: torch.device) -> Tensor:
    """Return times (N,) in 0..1, drawn so that the middle of the paths is seen most (logit-normal)."""
    logits = TIME_MEAN + TIME_SIGMA * torch.randn(count, device=device)
    return torch.sigmoid(logits).clamp(max=LAST_TIME)


def scales(times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the factors of a place on its path for input and skip connection, and that of the network's output.

    With v = t^2 s^2 + (1 - t)^2 the variance at time t, s that of pictures: 1 / sqrt(v); t s^2 / v, the best linear
    guess of the picture; (1 - t) s / sqrt(v), the standard deviation of what that guess leaves.
    """
    variance = (times * DATA_SIGMA) ** 2 + (1 - times) ** 2
    root = variance.sqrt()
    return 1 / root, times * DATA_SIGMA**2 / variance, (1 - times) * DATA_SIGMA / root


def follow_flow(predict: Callable[[Tensor, float], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Return the pictures to which the flow leads, by Euler's method.

    Args:
        predict: returns the expected pictures of places (N, C, S, S) at a time.
        noise: (N, C, S, S), the places at time 0.
        steps: of equal length; the last one ends at the expected picture.
    """
    place = noise
    for step in range(steps):
        time = step / steps
        place = place + (predict(place, time) - place) / (steps - step)
    return place
