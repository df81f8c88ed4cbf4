"""Seconds of a training step of each network of packs of `gpu_check`, one after the other, on a machine with a GPU.

    python -m benchmarks.step_rates PACK... --work FOLDER --output FILE [--seconds 3]

Each training is the command that Snakemake would give, in this process; its batches are filled up by repeating items,
since pilots have few. `seconds` are those of a step in the training, `alone` those of steps with a batch that is there
already, so the rest is what data cost. `benchmarks.scale --gpu FILE` puts the presets' trainings on GPUs by it.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.gpu_check import name_of, open_pack
from benchmarks.training import wait_for
from workflow_scripts.core.files import write_json
from workflow_scripts.stages.experiments import train_network
from workflow_scripts.training import loop
from workflow_scripts.training.data import Items
from workflow_scripts.training.loop import Trainer
from workflow_scripts.training.steps import WARM

SETTLED = 8 * WARM  # steps before which nothing is timed: both courses of a GAN are recorded then
MOST = 2 * 10**6  # items of an epoch, so that none ends


class Enough(Exception):
    """The training has been timed; the argument is what was found."""


class Timed(Trainer):
    """The usual training, which ends when its steps have been timed for `length` seconds each way."""

    length = 0.0

    def _train_on(self, batch) -> None:
        super()._train_on(batch)
        if self.step == SETTLED:
            self._begin()
        if self.step > SETTLED and time.perf_counter() - self._started > self.length:
            in_training = self._seconds_of_a_step()
            self._begin()
            while time.perf_counter() - self._started < self.length:
                super()._train_on(batch)
            alone = self._seconds_of_a_step()
            raise Enough({"batch": self.config.batch_size, "seconds": in_training, "alone": alone})

    def _begin(self) -> None:
        wait_for(self.device)
        self._first, self._started = self.step, time.perf_counter()

    def _seconds_of_a_step(self) -> float:
        wait_for(self.device)
        return (time.perf_counter() - self._started) / (self.step - self._first)


def full_batches(items: Items, batch_size: int, *_) -> Sequence[Sequence[int]]:
    """Return the positions of many batches in which items repeat."""
    return np.resize(np.arange(len(items)), (MOST // batch_size, batch_size)).tolist()


def time_training(command: str, folder: Path) -> dict[str, float]:
    """Return batch size, and seconds of a step in the training and alone, of a job of `train_network`.

    Args:
        command: of the job.
        folder: in which it runs.
    """
    words = shlex.split(command)
    words = [word for word in words[words.index(train_network.__name__) + 1 : words.index("2>&1")] if word != "--reuse"]
    with (
        chdir(folder),
        patch.object(train_network, "Trainer", Timed),
        patch.object(loop, "epoch_batches", full_batches),
    ):
        try:
            train_network.main(words)
        except Enough as enough:
            return enough.args[0]
    sys.exit(f"error: {folder}: the training ended before its steps were timed; lower --seconds")


def main() -> None:
    """Time the trainings of all packs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for the packs' files")
    parser.add_argument("--output", type=Path, required=True, help="JSON")
    parser.add_argument("--seconds", type=float, default=3.0, help="for which steps are timed, each way")
    chosen = parser.parse_args()
    os.environ["FACE_WORKFLOW_GPU_SHARED"] = "1"  # by the trainings of this process
    Timed.length = chosen.seconds
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found: dict = {"device": name_of(device), "torch": torch.__version__, "steps": {}}
    for pack in chosen.packs:
        for job in open_pack(pack, chosen.work.resolve() / pack.stem):
            if job["rule"] != "train_network":
                continue
            network = job["name"].rpartition("/")[2]
            timed = time_training(job["command"], job["folder"])
            found["steps"].setdefault(pack.stem, {})[network] = timed
            print(f"{pack.stem} {network}: {timed}", flush=True)
            write_json(chosen.output, found)


if __name__ == "__main__":
    main()
