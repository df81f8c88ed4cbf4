"""What only a GPU does: steps that are recorded and replayed, batches made ahead. All of it skips where there is none.

`python -m pytest tests/test_gpu.py` needs neither Snakemake nor dlib.
"""

import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hole_items import train, write_holes
from safetensors.torch import load_file
from test_objects_training import GAN, experiment
from test_objects_training import shards as squares  # noqa: F401 (a fixture)
from test_objects_training import train as train_objects
from test_training import EDIT, MAP, arguments, assert_same, astronaut_module, shards, weights, with_loop  # noqa: F401

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.stages.experiments import train_network
from workflow_scripts.stages.experiments.train_network import main
from workflow_scripts.systems.diverse.config import Experiment
from workflow_scripts.systems.diverse.training import build_system
from workflow_scripts.training import steps
from workflow_scripts.training.device import tune
from workflow_scripts.training.learners import Learners
from workflow_scripts.training.world import SeveralProcesses, free_port

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
ON_GPU = {"device": "cuda", "deterministic": True, "precision": "bf16"}
SMALL = {"blocks": 5, "channels": 16, "max_channels": 32}
COMPLETERS = {
    "keypoints": {"unet": SMALL},
    "regression": {"unet": SMALL},
    "flow": {"unet": {"channels": [16, 16, 32]}, "perceptual": "none"},
    "pii": {"side": 64, "channels": 8, "latent": 8, "extractor_channels": 8, "critic_channels": 8, "critic_steps": 2},
    "de": {
        **{"side": 64, "channels": 8, "latent": 16, "style": 16, "extractor_channels": 8, "critic_channels": 8},
        "training": {"clip": 1000.0},
    },
}
LAUNCHED = 10**9  # steps that are never reached, before one is recorded


@pytest.fixture(autouse=True)
def _reset():
    torch.manual_seed(0)
    yield
    torch.use_deterministic_algorithms(False)


def distance(first: dict, second: dict) -> float:
    return max((first[name].float() - second[name].float()).abs().max().item() for name in first)


@pytest.mark.parametrize("network", COMPLETERS)
def test_a_completer_learns_the_same_recorded_as_launched(network, tmp_path, monkeypatch, capfd):
    rng = np.random.default_rng(0)
    face = rng.integers(0, 255, (256, 256, 3), np.uint8), rng.uniform(60, 200, (68, 2)).astype(np.float32)
    path = write_holes(tmp_path, face, 8, 64)
    warm, found = steps.WARM, []
    for number, launched in enumerate((0, LAUNCHED, LAUNCHED)):
        monkeypatch.setattr(steps, "WARM", launched or warm)
        tune(torch.device("cuda"), deterministic=True)
        torch.manual_seed(0)
        keys = COMPLETERS[network]
        loop = {"epochs": 8, "batch_size": 4, "ema": 0.9, "flip": True, "keep": "last"} | keys.get("training", {})
        chosen = Experiment.model_validate({"system": "diverse", network: keys | {"training": loop}})
        system, settings = build_system(network, chosen, {}), getattr(chosen, network).training
        trainer = train(system, settings, path, 8, tmp_path / str(number), "cuda")
        assert trainer.step == 16 and len(trainer.launcher._recordings) == (not launched)
        found.append({name: x.cpu() for name, x in trainer.learners.tensors().items()})
    assert "not recorded" not in capfd.readouterr().err
    # Some operations have no deterministic form on a GPU: then two launched trainings differ as well.
    assert distance(*found[:2]) <= 10 * distance(*found[1:])


def test_both_courses_of_a_gan_are_recorded(squares, tmp_path, monkeypatch, capfd):  # noqa: F811
    gan = GAN | {"training": GAN["training"] | ON_GPU | {"epochs": 6}}
    for warm in (steps.WARM, LAUNCHED):
        monkeypatch.setattr(steps, "WARM", warm)
        (tmp_path / str(warm)).mkdir()
        train_objects(squares, tmp_path / str(warm), "masked1", experiment(**gan))
    assert "not recorded" not in capfd.readouterr().err
    first, second = (load_file(tmp_path / str(warm) / "masked1.safetensors") for warm in (steps.WARM, LAUNCHED))
    assert distance(first, second) < 1e-3


@pytest.mark.parametrize(
    ("network", "config"), [("map", MAP), ("edit", EDIT | {"losses": {"hole": 3}, "mask_start": 0})]
)
def test_a_training_on_a_gpu_goes_on_bit_for_bit(shards, tmp_path, network, config, capfd):  # noqa: F811
    """10 epochs of 3 steps, and 5 raised to 10."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    main(arguments(shards, whole, network, with_loop(config, **ON_GPU, epochs=10)))
    main(arguments(shards, parts, network, with_loop(config, **ON_GPU, epochs=5)))
    main(arguments(shards, parts, network, with_loop(config, **ON_GPU, epochs=10)))
    assert "not recorded" not in capfd.readouterr().err
    assert_same(weights(whole, network), weights(parts, network))


def test_a_training_that_was_stopped_within_an_epoch_goes_on(shards, tmp_path, monkeypatch, capfd):  # noqa: F811
    """Then there are values that were not yet logged; the state has them as numbers."""
    config = with_loop(MAP, **ON_GPU, epochs=4)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    main(arguments(shards, whole, "map", config))
    follow = Learners.follow

    def stop_in_the_second_epoch(learners, step):
        follow(learners, step)
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(UserError, match="stopped at step 5"):
        patch.setattr(Learners, "follow", stop_in_the_second_epoch)
        main(arguments(shards, parts, "map", config))
    main(arguments(shards, parts, "map", config))
    assert "going on from step 5" in capfd.readouterr().err
    assert_same(weights(whole, "map"), weights(parts, "map"))


@pytest.mark.parametrize(("network", "config"), [("map", MAP), ("edit", EDIT)])
def test_compiled_networks_are_recorded_and_learn_the_same(shards, tmp_path, network, config, capfd):  # noqa: F811
    logged = []
    for compile in (False, True):
        folder = tmp_path / str(compile)
        main(arguments(shards, folder, network, with_loop(config, **ON_GPU, epochs=4, compile=compile)))
        logged.append(read_table(folder / "curves.parquet")["value"])
    assert "not recorded" not in capfd.readouterr().err
    assert np.allclose(*logged, rtol=0.02, atol=0.01)  # bf16 has 8 bits, and a fused kernel rounds less often


def test_averaging_over_gpus_is_recorded_too(shards, tmp_path, monkeypatch, capfd):  # noqa: F811
    """With one process as the only one of several: NCCL averages, and a recorded step holds that."""
    config = with_loop(MAP, **ON_GPU, epochs=8)
    for name in ("alone", "joined"):
        main(arguments(shards, tmp_path / name, "map", config))
        monkeypatch.setattr(train_network, "start_world", only_one_of_several)
    assert "not recorded" not in capfd.readouterr().err
    assert_same(weights(tmp_path / "alone", "map"), weights(tmp_path / "joined", "map"))


@contextmanager
def only_one_of_several(gpus: int):
    try:
        yield SeveralProcesses(0, 1, free_port())
    finally:
        torch.distributed.destroy_process_group()


def test_what_cannot_be_recorded_is_launched(capfd):
    """A step that waits for the GPU, as one that asks for a number does."""
    from workflow_scripts.config.training import Training
    from workflow_scripts.training.learners import Learners
    from workflow_scripts.training.system import Score, System, Update

    class Waiting(System):
        networks = torch.nn.ModuleDict({"one": torch.nn.Linear(2, 2)})
        saved, judged_by, columns = "one", Score("loss", False), {}

        def training_step(self, batch, course):
            loss = self.networks["one"](batch["x"]).square().mean()
            yield Update("one", loss * (2 if loss.item() > 0 else 1))

        def validate(self, network, batch):
            return {}

        def preview(self, network, batch):
            return []

    device, system = torch.device("cuda"), Waiting()
    system.to(device, torch.contiguous_format)
    learners = Learners(system, Training(), device)
    with torch.cuda.stream(torch.cuda.Stream()):
        carried = steps.Steps(system, learners, device, False, 1)
        losses = [carried.carry_out({"x": torch.ones(4, 2, device=device)}, None)[0].values[0].item() for _ in range(9)]
    assert "steps are not recorded" in capfd.readouterr().err
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
