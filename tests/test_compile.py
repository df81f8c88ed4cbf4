"""Networks that are compiled learn what they would learn as they are written, and are judged as they are written.

`compile: true` is for GPUs; here a CPU does the same. Where a whole system trains, all of torch's compiler works but
its last part, which writes kernels and takes a minute.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_objects_training import GAN, experiment
from test_objects_training import shards as squares  # noqa: F401 (a fixture)
from test_objects_training import train as train_objects
from test_render import shards as drawings  # noqa: F401
from test_render import train as train_render
from test_steps import Duel
from test_training import EDIT, MAP, arguments, assert_same, astronaut_module, shards, weights, with_loop  # noqa: F401
from torch import nn

from workflow_scripts.config.training import Training
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.stages.experiments.train_network import main
from workflow_scripts.training import learners
from workflow_scripts.training.learners import Learners
from workflow_scripts.training.steps import Steps

CPU = torch.device("cpu")
COMPILE = nn.Module.compile


@pytest.fixture(autouse=True)
def compilers(monkeypatch, tmp_path):
    """Networks are compiled on a CPU too, with nothing kept outside the test's folder."""
    monkeypatch.setattr(learners, "compiles", lambda wanted, device: wanted)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    torch.set_num_threads(1)
    yield
    torch.compiler.reset()


@pytest.fixture
def without_kernels(monkeypatch) -> list[nn.Module]:
    """Kernels are torch's own; what was compiled is in the list."""
    compiled = []

    def note(network: nn.Module, **options) -> None:
        compiled.append(network)
        COMPILE(network, backend="aot_eager", **options)

    monkeypatch.setattr(nn.Module, "compile", note)
    return compiled


class Curved(nn.Module):
    """With a kernel to write: a linear layer alone is a call of a library."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(x)) + x


class CurvedDuel(Duel):
    def __init__(self):
        super().__init__()
        self.networks["maker"] = Curved(self.networks["maker"])


def duel(compile: bool) -> list[list[torch.Tensor]]:
    system = CurvedDuel()
    steps = Steps(system, Learners(system, Training(compile=compile), CPU), CPU, False, 1)
    batches = torch.randn(5, 8, 3, generator=torch.Generator().manual_seed(1))
    return [[done.values for done in steps.carry_out({"x": batch}, "both")] for batch in batches]


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_kernels_that_torch_writes_learn_the_same():
    for one, other in zip(duel(False), duel(True), strict=True):
        assert all(torch.allclose(x, y, atol=1e-5) for x, y in zip(one, other, strict=True))


def test_without_a_compiler_a_training_ends_with_one_line(monkeypatch):
    import torch._inductor.config

    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    with pytest.raises(UserError, match=r"torch cannot compile \(InvalidCxxCompiler.*it needs a C compiler") as told:
        duel(True)
    assert "\n" not in str(told.value)


def assert_alike(folder: Path) -> None:
    """Both trainings logged the same losses, but for the noise of last bits, which is another on each processor."""
    written, compiled = (read_table(folder / name / "curves.parquet") for name in ("False", "True"))
    assert written["name"].tolist() == compiled["name"].tolist()
    assert np.allclose(written["value"], compiled["value"], rtol=1e-2, atol=1e-3)


def test_pix2pix_is_compiled_with_its_normalisation(drawings, tmp_path, without_kernels):  # noqa: F811
    for on in (False, True):
        train_render(drawings, tmp_path / str(on), loop={"compile": on})
    assert len(without_kernels) == 2  # the discriminator too
    assert_alike(tmp_path)


def test_a_discriminator_with_a_gradient_penalty_is_not_compiled(squares, tmp_path, without_kernels):  # noqa: F811
    for on in (False, True):
        (tmp_path / str(on)).mkdir()
        loop = GAN["training"] | {"compile": on, "epochs": 1}
        train_objects(squares, tmp_path / str(on), "masked1", experiment(training=loop))
    assert len(without_kernels) == 1
    assert_alike(tmp_path)


@pytest.mark.parametrize(("network", "config"), [("map", MAP), ("edit", EDIT | {"mask_start": 0})])
def test_a_compiled_training_goes_on_bit_for_bit(shards, tmp_path, network, config, without_kernels):  # noqa: F811
    """4 epochs, and 2 raised to 4."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, epochs in ((whole, 4), (parts, 2), (parts, 4)):
        main(arguments(shards, folder, network, with_loop(config, compile=True, epochs=epochs)))
    assert without_kernels
    assert_same(weights(whole, network), weights(parts, network))
