"""Flow matching on straight paths (rectified flow, Liu et al. 2022; Lipman et al. 2023), for values of unit variance.

At time t, between noise e (t = 0) and values x (t = 1), a path is at t x + (1 - t) e. A network says which x its place
on the path leads to on average, and the flow goes towards it. As in Karras et al. 2022 (EDM, section 5), what it sees
and what it adds is scaled so that both have unit variance at every time; their formulas are written for this path.
"""

from collections.abc import Callable

import torch
from torch import Tensor

LAST_TIME = 0.98  # beyond it, a path has no noise left that could be learned from
TIME_MEAN, TIME_SIGMA = -0.2, 1.2  # of the logit of the times that are trained on


def draw_times(count: int, device: torch.device) -> Tensor:
    """Return times (N,) in 0..1, drawn so that the middle of the paths is seen most (logit-normal)."""
    logits = TIME_MEAN + TIME_SIGMA * torch.randn(count, device=device)
    return torch.sigmoid(logits).clamp(max=LAST_TIME)


def scales(times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the factors of a place on its path for the input and the skip connection, and that of the output.

    With v = t^2 + (1 - t)^2 the variance at time t, they are 1 / sqrt(v); t / v, which makes the best linear guess of
    the values; and (1 - t) / sqrt(v), the standard deviation of what that guess leaves.
    """
    variance = times**2 + (1 - times) ** 2
    root = variance.sqrt()
    return 1 / root, times / variance, (1 - times) / root


def follow_flow(predict: Callable[[Tensor, float], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Return the values to which the flow leads, by Euler's method.

    Args:
        predict: returns the expected values of places (N, C, S, S) at a time.
        noise: (N, C, S, S), the places at time 0.
        steps: of equal length; the last one ends at the expected values.
    """
    place = noise
    for step in range(steps):
        place = place + (predict(place, step / steps) - place) / (steps - step)
    return place
