"""Classes that are split in two during training (Class-Splitting GAN, Grinblat et al. 2017)."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

ROUNDS = 100  # of k-means at most; it has always ended before


def split_in_two(features: np.ndarray) -> np.ndarray:
    """Return which items belong to the second of two clusters, by k-means from the two sides of the main axis.

    So nothing is drawn at random, and equal features give equal clusters.

    Args:
        features: float (n, d), n at least 2.

    Returns:
        bool (n,); all False where all items are alike.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axis = axes[:, -1] * (1 if axes[np.abs(axes[:, -1]).argmax(), -1] > 0 else -1)
    second = centred @ axis > 0
    for _ in range(ROUNDS):
        if second.all() or not second.any():
            return np.zeros(len(features), bool)
        means = centred[~second].mean(axis=0), centred[second].mean(axis=0)
        distances = [((centred - mean) ** 2).sum(axis=1) for mean in means]
        moved = distances[1] < distances[0]
        if (moved == second).all():
            break
        second = moved
    return second


def split_classes(
    features: np.ndarray, labels: np.ndarray, classes: int, min_items: int, max_classes: int
) -> tuple[np.ndarray, list[int]]:
    """Split every class that has more than `min_items` items, the largest first, while there is room for more.

    Args:
        features: float (n, d).
        labels: int (n,), the class of each item.
        classes: how many there are.
        min_items: a class with so many items or fewer is left whole.
        max_classes: the most classes that there may be.

    Returns:
        The new labels, and the parents of the new classes in their order: parent `parents[i]` keeps one half, and
        the class `classes + i` is the other.
    """
    labels, parents = labels.copy(), []
    sizes = np.bincount(labels, minlength=classes)
    for parent in sorted(range(classes), key=lambda one: (-sizes[one], one)):
        if sizes[parent] <= min_items or classes + len(parents) >= max_classes:
            break
        members = np.flatnonzero(labels == parent)
        second = split_in_two(features[members])
        if second.any():
            labels[members[second]] = classes + len(parents)
            parents.append(parent)
    return labels, parents


def inherit(
    parameters: Iterable[nn.Parameter], parents: list[int], classes: int, optimizer: torch.optim.Optimizer | None
) -> None:
    """Copy the rows of parents to their new classes, in parameters and in their moments.

    Args:
        parameters: each with a row for every class.
        parents: of the classes from `classes` on.
        classes: how many there were.
        optimizer: of the parameters; None for those that no optimiser changes.
    """
    for parameter in parameters:
        state = optimizer.state.get(parameter, {}) if optimizer else {}
        rows = [parameter.detach(), *(value for value in state.values() if value.shape == parameter.shape)]
        for tensor in rows:
            _copy_rows(tensor, parents, classes)


def _copy_rows(tensor: Tensor, parents: list[int], classes: int) -> None:
    with torch.no_grad():
        tensor[classes : classes + len(parents)] = tensor[torch.tensor(parents, device=tensor.device)]
