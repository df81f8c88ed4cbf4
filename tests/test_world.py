"""Several processes train one network as one process would; they end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_training import MAP, TRAIN, arguments, astronaut_module, shards, with_loop  # noqa: F401

from workflow_scripts.core.tables import read_table

ROOT = Path(__file__).parent.parent
# Without dropout, jitter and statistics of the batch, a share of a batch has the gradients of its part of the whole.
EQUAL = with_loop(MAP, jitter=0.0, epochs=2, learning_rate=1e-4) | {
    "bare": 0,
    "unet": MAP["unet"] | {"dropout": [0.0], "norm": "none"},
}


def start(shards: Path, out: Path, processes: int, config: dict) -> subprocess.Popen:  # noqa: F811
    command = [sys.executable, "-m", TRAIN, *arguments(shards, out, "map", config), "--gpus", str(processes)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_two_processes_equal_one(shards, tmp_path):  # noqa: F811
    running = [start(shards, tmp_path / str(count), count, EQUAL) for count in (1, 2)]
    assert [(process.communicate()[1], process.returncode)[1] for process in running] == [0, 0]
    one, two = (load_file(tmp_path / str(count) / "checkpoints/map.safetensors") for count in (1, 2))
    assert max((value - two[name]).abs().max() for name, value in one.items()) < 1e-5
    curves = [read_table(tmp_path / str(count) / "curves.parquet") for count in (1, 2)]
    # A mean of a batch is the mean of its shares; the norm is that of the averaged gradient.
    assert curves[0]["value"].to_numpy() == pytest.approx(curves[1]["value"].to_numpy(), rel=1e-3, abs=1e-5)
    assert sorted(path.name for path in (tmp_path / "2").iterdir()) == sorted(
        path.name for path in (tmp_path / "1").iterdir()
    )


def test_two_processes_save_together_and_go_on_bit_for_bit(shards, tmp_path):  # noqa: F811
    config = with_loop(MAP, epochs=25, save_every=7)
    whole = start(shards, tmp_path / "whole", 2, config)
    stopped = start(shards, tmp_path / "parts", 2, config)
    while not (tmp_path / "parts/resume/state.safetensors").is_file() and stopped.poll() is None:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    assert "error: stopped at step" in stopped.communicate()[1] and stopped.returncode == 1
    again = start(shards, tmp_path / "parts", 2, config)
    assert "going on from step" in again.communicate()[1]
    whole.communicate()
    first, second = (load_file(tmp_path / name / "checkpoints/map.safetensors") for name in ("whole", "parts"))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_training_ends_when_one_of_its_processes_does(shards, tmp_path):  # noqa: F811
    first = start(shards, tmp_path, 2, with_loop(MAP, epochs=10_000))
    try:
        while not (others := _children(first.pid)) and first.poll() is None:
            time.sleep(0.05)
        os.kill(others[0], signal.SIGKILL)
        assert "another process of this training has failed" in first.communicate(timeout=60)[1]
        assert first.returncode == 1
    finally:
        first.kill()


def test_a_batch_that_cannot_be_shared_is_refused(shards, tmp_path):  # noqa: F811
    said = start(shards, tmp_path, 3, MAP).communicate()[1]
    assert "`batch_size: 8` of 24 items cannot be shared by 3 GPUs" in said


def _children(parent: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]
