"""The optimiser takes the steps of torch's plain Adam, whatever lies in memory in which order."""

import subprocess
import sys

import pytest
import torch
from projects import ROOT
from torch import nn

from workflow_scripts.training.adam import Adam

ALL_THAT_IT_DOES = """
import sys
import torch
from workflow_scripts.training.adam import Adam
one = torch.ones(2, requires_grad=True)
optimizer = Adam([one], 0.1, (0.5, 0.9))
one.sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
optimizer.zero_grad()
sys.exit("torch._dynamo" in sys.modules)
"""
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("of_gradient", LAYOUTS)
@pytest.mark.parametrize("of_parameter", LAYOUTS)
def test_steps_are_those_of_plain_adam(of_parameter, of_gradient):
    torch.manual_seed(0)
    started, gradients = torch.randn(8, 6, 4, 4), torch.randn(3, 8, 6, 4, 4)
    ours, plain = (nn.Parameter(started.clone(memory_format=of_parameter)) for _ in range(2))
    optimizers = Adam([ours], 0.1, (0.5, 0.9)), torch.optim.Adam([plain], 0.1, (0.5, 0.9), foreach=False)
    for gradient in gradients:
        for parameter, optimizer in zip((ours, plain), optimizers, strict=True):
            parameter.grad = gradient.clone(memory_format=of_gradient)
            optimizer.step()
    assert torch.allclose(ours, plain, atol=1e-6)
    assert ours.is_contiguous(memory_format=of_parameter)
    state = optimizers[0].state[ours]
    assert torch.allclose(state["exp_avg"], optimizers[1].state[plain]["exp_avg"], atol=1e-6)


def test_parameters_without_gradients_and_of_other_shapes():
    first, second, third = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(()))
    optimizer = Adam([first, second, third], 0.1, (0.9, 0.99))
    (2 * first.sum() - third).backward()
    optimizer.step()
    assert torch.allclose(first, torch.full((3,), 0.9)) and torch.equal(second, torch.ones(2, 2))
    assert torch.allclose(third, torch.tensor(1.1))


def test_the_compiler_is_not_imported():
    assert subprocess.run([sys.executable, "-c", ALL_THAT_IT_DOES], cwd=ROOT, check=False).returncode == 0
