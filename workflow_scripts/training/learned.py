"""Which tensors of a network a training changes: all of them, or the adapters on a pretrained model that is frozen.

What learns is what is not frozen: parameters that require gradients, and buffers (running statistics). Checkpoints,
resume states and moving averages hold these tensors and no others.
"""

import copy
from collections.abc import Mapping

from torch import Tensor, nn


def learned(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that training changes, by name; they share the network's memory and have no gradients."""
    tensors = network.state_dict(keep_vars=True)
    return {name: value.detach() for name, value in tensors.items() if not _is_frozen(value)}


def load_learned(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `learned` returned.

    A buffer that is empty, since its size comes with what is learned, takes any shape; its module sees to that.

    Raises:
        ValueError: these are not the tensors that the network learns, or one has another shape.
    """
    expected = learned(network)
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        if name not in expected:
            raise ValueError(f"{name} is not one of the network's tensors")
        if expected[name].numel() and tensors[name].shape != expected[name].shape:
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}")
    network.load_state_dict(dict(tensors), strict=False)


def twin(network: nn.Module) -> nn.Module:
    """Return a copy of the network; what is frozen is shared, so that a large pretrained model is held once."""
    shared = {id(value): value for value in network.state_dict(keep_vars=True).values() if _is_frozen(value)}
    return copy.deepcopy(network, shared)


def _is_frozen(value: Tensor) -> bool:
    return isinstance(value, nn.Parameter) and not value.requires_grad
