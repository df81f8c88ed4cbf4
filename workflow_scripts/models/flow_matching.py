"""Flow matching on straight paths (rectified flow, Liu et al. 2022; Lipman et al. 2023), for values of unit variance.

At time t, between noise e (t = 0) and values x (t = 1), a path is at t x + (1 - t) e. A network says which x its place
on the path leads to on average, and the flow goes towards it.

The network gives x itself and not, as is usual, the path's direction x - e: it would have to repeat all of the noise,
for which a small network has no room, and what it cannot repeat stays in the pictures (Li & He 2025).
"""

from collections.abc import Callable

import torch
from torch import Tensor

MAX_WEIGHT = 8.0  # of the loss; late on a path, little noise is left, and little is to be learned
TIME_MEAN, TIME_SIGMA = -0.2, 1.2  # of the logit of the times that are trained on


def draw_times(count: int, device: torch.device) -> Tensor:
    """Return times (N,) in 0..1, drawn so that the middle of the paths is seen most (logit-normal)."""
    logits = TIME_MEAN + TIME_SIGMA * torch.randn(count, device=device)
    return torch.sigmoid(logits)


def input_scale(times: Tensor) -> Tensor:
    """Return the factor that gives places on their paths unit variance at every time."""
    return (times**2 + (1 - times) ** 2).rsqrt()


def loss_weight(times: Tensor) -> Tensor:
    """Return the weight of the squared error: the inverse of what the best linear guess of x leaves, within limits.

    This guess, t / v times the place, with v = t^2 + (1 - t)^2, leaves the variance (1 - t)^2 / v.
    """
    return ((times**2 + (1 - times) ** 2) / (1 - times) ** 2).clamp(max=MAX_WEIGHT)


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
