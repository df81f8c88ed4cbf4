"""Adam (Kingma & Ba 2015) in one pass over the memory of parameters of any layout."""

from inspect import unwrap

import torch
from torch import Tensor


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, fused.

    On a CPU torch's fused kernel copies tensors that are not contiguous, to and fro, which takes longer than the update
    itself (torch 2.13), and takes parameters and gradients of unlike layouts in the orders that they have in memory,
    which pairs wrong numbers. Here it sees channels-last tensors with their axes in memory's order.
    """

    # Around these torch disables its compiler, and imports it for that: a second. Only networks are ever compiled.
    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
    zero_grad = unwrap(torch.optim.Adam.zero_grad)

    def __init__(self, parameters, learning_rate: float, betas: tuple[float, float]):
        super().__init__(parameters, learning_rate, betas, fused=True)

    def _init_group(self, group: dict, parameters: list[Tensor], gradients: list[Tensor], *states: list) -> bool:
        """Fill the lists with what the kernel is to work on."""
        is_complex = super()._init_group(group, parameters, gradients, *states)
        *moments, _steps = states
        laid = [_is_channels_last(parameter) for parameter in parameters]
        for tensors in (parameters, gradients, *moments):
            chosen = laid[: len(tensors)]  # some moments are not kept, and their list is empty
            tensors[:] = [x.permute(0, 2, 3, 1) if last else x for x, last in zip(tensors, chosen, strict=True)]
        gradients[:] = [gradient.contiguous() for gradient in gradients]
        return is_complex


def _is_channels_last(x: Tensor) -> bool:
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
