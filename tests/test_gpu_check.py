"""Trainings that are carried to another machine are those of the workflow, and their steps can be timed there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from projects import ROOT, Project

CHECKPOINTS = [f"results/unmask/checkpoints/{network}.safetensors" for network in ("map", "edit")]


def call(module: str, *words: object) -> str:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"TQDM_DISABLE": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packed(finished: Project, tmp_path_factory) -> Path:
    pack = tmp_path_factory.mktemp("packed") / "small.zip"
    place = ["--folder", finished.root, "--config", finished.root / "config.yaml", "--output", pack]
    assert call("gpu_check", "pack", *place, "--again", *CHECKPOINTS).startswith("2 commands")
    return pack


def test_networks_that_were_trained_elsewhere_are_those_of_the_workflow(finished, packed, tmp_path):
    said = call("gpu_check", "run", packed, "--work", tmp_path / "work", "--output", tmp_path / "out", "--processes", 1)
    assert said.count("code 0") == 2
    call("gpu_check", "unpack", tmp_path / "out", "--folder", tmp_path / "back", "--pack", "small")
    for path in CHECKPOINTS:
        assert (tmp_path / "back" / path).read_bytes() == (finished.root / path).read_bytes()


def test_steps_are_timed_with_full_batches(finished, packed, tmp_path):
    call("step_rates", packed, "--work", tmp_path / "work", "--output", tmp_path / "rates.json", "--seconds", 0.2)
    steps = json.loads((tmp_path / "rates.json").read_text())["steps"]["small"]
    assert steps.keys() == {"map", "edit"}
    trained = finished.config()["experiments"]["unmask"]
    for network, one in steps.items():
        assert one["batch"] == trained[network]["training"]["batch_size"]
        assert one["seconds"] > 0 < one["alone"]
