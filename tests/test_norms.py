"""Normalisation gives what torch's own gives, forward and backward, and keeps layout and type."""

import pytest
import torch
from torch import nn

from workflow_scripts.models.norms import InstanceNorm2d, normalise


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("groups", "affine"), [(4, True), (16, True), (16, False), (1, True)])
def test_normalisation_equals_torchs(groups, affine, compiled):
    torch.manual_seed(0)
    own = torch.compile(normalise, backend="aot_eager") if compiled else normalise
    x = (torch.randn(3, 16, 7, 5, dtype=torch.float64) * 3 + 2).float().contiguous(memory_format=torch.channels_last)
    norm = nn.GroupNorm(groups, 16, affine=affine)
    if affine:
        nn.init.normal_(norm.weight, 1, 0.5)
        nn.init.normal_(norm.bias)
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    wanted, found = norm(first), own(second, groups, norm.weight, norm.bias, norm.eps)
    assert torch.allclose(found, wanted, atol=1e-5) and found.is_contiguous(memory_format=torch.channels_last)
    direction = torch.randn_like(x)
    parameters = list(norm.parameters())
    gradients = torch.autograd.grad((wanted * direction).sum(), [first, *parameters])
    others = torch.autograd.grad((found * direction).sum(), [second, *parameters])
    for one, other in zip(gradients, others, strict=True):
        assert torch.allclose(one, other, atol=2e-5)


def test_bf16_stays_bf16_and_near():
    x = (torch.randn(2, 8, 16, 16) + 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        found = normalise(x.bfloat16(), 8, None, None, 1e-5)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), nn.functional.instance_norm(x), atol=0.05)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("count", [1, 3])
def test_pictures_are_normalised_one_by_one_and_keep_their_layout(count, layout):
    torch.manual_seed(0)
    x = (torch.randn(count, 8, 6, 5) * 3 + 2).contiguous(memory_format=layout).requires_grad_()
    norm = InstanceNorm2d(8, affine=True)
    nn.init.normal_(norm.weight)
    found = norm(x)
    deviation, mean = torch.std_mean(x, dim=(2, 3), correction=0, keepdim=True)
    wanted = (x - mean) / (deviation.square() + norm.eps).sqrt() * norm.weight[:, None, None]
    assert torch.allclose(found, wanted, atol=1e-5) and found.is_contiguous(memory_format=layout)
    direction = torch.randn_like(found)
    one, other = (torch.autograd.grad((y * direction).sum(), x)[0] for y in (found, wanted))
    assert torch.allclose(one, other, atol=2e-5)  # torch's own gradient of one channels-last picture is wrong
    assert torch.equal(norm.eval()(x), found)
