"""The one training loop of all systems.

A system (see `system.py`) says which networks there are and what each minimises; the loop does the rest: order of the
items, precision, optimiser steps, learning rate, moving average, checks, log, validation, which state is kept,
previews, resume states, and what becomes of a training that has failed.
"""

import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from workflow_scripts.config.training import Training
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.tables import write_table
from workflow_scripts.training import state
from workflow_scripts.training.ahead import made_ahead
from workflow_scripts.training.curves import Curves
from workflow_scripts.training.data import Batch, Items, epoch_batches, runs_of
from workflow_scripts.training.health import MOST_REWINDS, Collapse, Health, check_finite
from workflow_scripts.training.inference import item_seed
from workflow_scripts.training.kept import KeptState
from workflow_scripts.training.learners import Learners
from workflow_scripts.training.live import LiveCurves
from workflow_scripts.training.previews import save_grid
from workflow_scripts.training.progress import Progress, stop_signals
from workflow_scripts.training.steps import Steps
from workflow_scripts.training.system import System
from workflow_scripts.training.world import World

LOG_EVERY = 10  # steps between two rows of the curves; on a GPU also between two waits for it
LAST_RATE = 0.01  # of the learning rate, at the end of the cosine schedule


@dataclass(frozen=True)
class Places:
    """Where a training writes: the table of curves; the folders of previews, resume state and live curves."""

    curves: Path
    previews: Path
    resume: Path
    live: Path


class Trainer:
    """One training of one system.

    Args:
        system: networks and losses; its networks are moved to `device`.
        config: the keys of the loop.
        train: items to learn from.
        val: items to watch; may be empty.
        seed: decides order, augmentation and dropout. Initial weights were drawn by whoever built the system.
        device: where to train.
        bf16: compute in bf16 where that is safe, keep the weights in fp32.
        places: where to write.
        stamp: a resume state is continued only when it carries the same.
        world: the processes that train together; only the first one writes resume states.
    """

    def __init__(
        self,
        system: System,
        config: Training,
        train: Items,
        val: Items,
        seed: int,
        device: torch.device,
        bf16: bool,
        places: Places,
        stamp: str,
        world: World | None = None,
    ):
        self.world = world or World()
        self.system, self.config, self.train, self.val = system, config, train, val
        self.seed, self.device, self.places, self.stamp = seed, device, places, stamp
        system.begin(train)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        system.to(device, layout)
        self.learners = Learners(system, config, device, self.world)
        self.bf16 = bf16
        self.launcher = Steps(system, self.learners, device, bf16, config.accumulate)
        self.epoch_steps = len(epoch_batches(train, config.batch_size, seed, 0))
        self.steps = self.epoch_steps * config.epochs
        self.step = 0
        self.epochs = [config.epochs]  # that were aimed at, one after the other; a schedule depends on them
        self.curves = Curves()
        self.states = KeptState(system.judged_by, config.keep)
        self.health = Health(system.limits, config)
        self.window: list[tuple[int, str, list[str], Tensor]] = []  # updates not yet checked and logged

    def run(self) -> nn.Module:
        """Train to the end and return the saved network (its moving average, if there is one) in evaluation mode.

        It is in the state that `self.kept` describes.

        Raises:
            UserError: the training has failed, or the run was told to stop; the last resume state is kept.
        """
        torch.manual_seed(self.seed + self.world.rank)
        self.places.previews.mkdir(parents=True, exist_ok=True)
        if not self._restore() and self.config.on_collapse == "rewind":
            self._save(is_good=True)
        self._say(
            f"{self.config.epochs} epochs of {self.epoch_steps} steps, {len(self.train)} training items, "
            f"{len(self.val)} watched, {'bf16' if self.bf16 else 'fp32'}"
        )
        with (
            _own_stream(self.device),
            stop_signals() as stopped,
            Progress(self.system.saved, self.steps, self.step) as progress,
            LiveCurves(self.places.live, self.system.saved, self.step) as self.live,
        ):
            while not self._is_finished():
                try:
                    self._train_epoch(progress, stopped)
                except Collapse as collapse:
                    self.live.draw(self.curves.table())
                    self._rewind(collapse)
                    progress.go_back(self.step)
            # Also when a run that was killed while it drew had nothing else left to do.
            self.live.draw(self.curves.table())
        network = self.learners.judged
        self.states.load_into(network)
        # A finished training that is merely taken up again has drawn nothing.
        if not any(self.places.previews.iterdir()):
            self._draw(network, f"epoch_{self.kept['step'] // self.epoch_steps:04d}")
        write_table(self.places.curves, self.curves.table())
        self._say(self.states.verdict(self.step, len(self.val) > 0))
        return network

    @property
    def kept(self) -> dict[str, int | str | float | None]:
        """Return step, name of the score, and its value, of the state that is kept."""
        return self.states.describe(self.step)

    def _is_finished(self) -> bool:
        """Return whether all epochs are done, or the last `patience` ones brought no better score."""
        if self.step >= self.steps:
            return True
        return self.config.patience is not None and self.states.waited >= self.config.patience

    def _train_epoch(self, progress: Progress, stopped: Sequence[int]) -> None:
        """Carry out what is left of an epoch.

        Raises:
            Collapse: the training has failed.
            UserError: the run was told to stop.
        """
        epoch = self.step // self.epoch_steps
        if self.step % self.epoch_steps == 0:
            self._begin_epoch(epoch)
        batches = epoch_batches(self.train, self.config.batch_size, self.health.draw_seed(self.seed), epoch)
        rest = [self.world.share(positions) for positions in batches[self.step % self.epoch_steps :]]
        for batch in made_ahead(partial(self._training_batch, epoch), rest, self.device):
            self._train_on(batch)
            progress.advance()
            is_end = self.step % self.epoch_steps == 0
            if self.step % LOG_EVERY == 0 or is_end:
                progress.show(self._log())
            if is_end:
                self._finish_epoch()
            elif self.config.preview_steps and self.step % self.config.preview_steps == 0:
                self._draw(self.learners.judged, f"step_{self.step:08d}")
                self.learners.networks.train()
            is_good = is_end and self.health.is_good(self.step)
            is_told = self.world.any(bool(stopped))
            if is_told or is_good or self.step % self.config.save_every == 0 or self._is_finished():
                self._save(is_good)
            if is_told:
                raise UserError(f"stopped at step {self.step}; start again to go on from there")

    def _training_batch(self, epoch: int, positions: Sequence[int]) -> Batch:
        """Return items as networks see them in training."""
        keys = [self.train.keys[position] for position in positions]
        batch = self._batch(self.train, positions)
        return self.system.augment(batch, keys, self.health.draw_seed(self.seed), epoch, self.config)

    def _train_on(self, batch: Batch) -> None:
        self.learners.set_rates(self._schedule(), self.health.slower())
        course = self.system.course(self.step, self.step / self.steps)
        for update in self.launcher.carry_out(batch, course):
            self.window.append((self.step, *update))
        self.learners.settle()
        self.learners.follow(self.step)
        self.step += 1

    def _begin_epoch(self, epoch: int) -> None:
        """Let the system look at the training items, in the order of their keys, before an epoch."""
        batches = (self._batch(self.train, positions) for positions in runs_of(self.train, self.config.batch_size))
        self.system.epoch_begins(epoch, batches, self.learners.optimizers, self.learners.average)

    def _batch(self, items: Items, positions: Sequence[int]) -> dict[str, Tensor]:
        """Return items as networks see them, without augmentation."""
        batch = self.system.to_tensors(items.gather(positions, self.device))
        seeds = [item_seed(self.seed, items.keys[position]) for position in positions]
        return batch | self.system.prepare(batch, seeds)

    def _schedule(self) -> float:
        """Return the factor of the learning rates at this step."""
        if self.config.schedule == "constant":
            return 1.0
        if self.config.schedule == "linear":
            return 1 - self.step / self.steps
        fall = (1 + math.cos(math.pi * self.step / self.steps)) / 2
        return LAST_RATE + (1 - LAST_RATE) * fall

    def _log(self) -> dict[str, float]:
        """Check the window's updates, add its means to the curves, and return them; this waits for the GPU.

        Raises:
            Collapse: a loss or gradient norm is not finite, or a limit is broken.
        """
        means: dict[str, list[float]] = {}
        for _, network, names, values in self._checked_window():
            for name, value in zip(names, values, strict=True):
                means.setdefault(f"{network} {name}", []).append(value)
        self.window = []
        found = {name: sum(values) / len(values) for name, values in means.items()}
        self._add_rows("train", found | {"learning rate": self.config.learning_rate * self._schedule()})
        self._watch(found)
        return found

    def _checked_window(self) -> list[tuple[int, str, list[str], list[float]]]:
        """Return the window's updates with their values as numbers.

        Raises:
            Collapse: a loss or gradient norm is not finite.
        """
        if not self.window:
            return []
        # All at once, because each number by itself would wait for the GPU.
        counts = [len(names) for _, _, names, _ in self.window]
        values = torch.cat([values for *_, values in self.window])
        self.world.average([values])
        found = values.tolist()
        starts = [sum(counts[:number]) for number in range(len(counts))]
        window = [
            (step, network, names, found[start : start + count])
            for (step, network, names, _), start, count in zip(self.window, starts, counts, strict=True)
        ]
        check_finite(window)
        return window

    def _watch(self, values: dict[str, float]) -> None:
        """Compare newly logged values with the system's limits.

        Raises:
            Collapse: one is broken.
        """
        for warning in self.health.watch(self.step, values):
            self._say(warning)

    @torch.inference_mode()
    def _finish_epoch(self) -> None:
        """Score and draw validation items, remember the state if it is the best, write the curves."""
        epoch = self.step // self.epoch_steps
        network = self.learners.judged
        scores: dict[str, list[Tensor]] = {}
        for positions in runs_of(self.val, self.config.batch_size):
            batch = self._batch(self.val, positions)
            with self.launcher.judging():
                for name, values in self.system.validate(network, batch).items():
                    scores.setdefault(name, []).append(values.float())
        found = self.world.agree({name: torch.cat(values).mean().item() for name, values in scores.items()})
        if found:
            self._add_rows("val", found)
            self._say(f"epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
            self.states.judge(self.step, found[self.system.judged_by.name], network)
        if epoch % self.config.preview_every == 0 or self._is_finished():
            self._draw(network, f"epoch_{epoch:04d}")
        curves = self.curves.table()
        write_table(self.places.curves, curves)
        self.live.draw(curves)
        self.learners.networks.train()
        self._watch(found)

    @torch.inference_mode()
    def _draw(self, network: nn.Module, name: str) -> None:
        if not self.config.preview_items:
            return
        items = self.val if len(self.val) else self.train
        # The first ones show progress; the last one is another each time.
        positions = list(range(min(self.config.preview_items, len(items))))
        positions[-1] = stable_hash(self.seed, "preview", self.step) % len(items)
        with self.launcher.judging():
            columns = self.system.preview(network, self._batch(items, positions))
        save_grid(self.places.previews / f"{name}.png", columns)

    def _add_rows(self, split: str, values: dict[str, float]) -> None:
        self.curves.add(self.step, math.ceil(self.step / self.epoch_steps), split, values)
        self.live.add(split, self.step, values)

    def _save(self, is_good: bool = False) -> None:
        """Write the resume state, after all that it holds was checked."""
        window = self._checked_window()
        if is_good:
            self.health.good = self.step
        header = {
            "stamp": self.stamp,
            "step": self.step,
            "epochs": self.epochs,
            "rows": self.curves.rows,
            "window": window,
            "scores": list(self.states.scores.items()),
            "health": self.health.header(),
        }
        best = {f"best.{name}": value for name, value in self.states.best.items()}
        tensors = self.learners.tensors()
        if self.world.is_first:
            state.save_state(self.places.resume, header, tensors | best, is_good)
        self.world.any(False)  # all wait until it is there

    def _restore(self) -> bool:
        """Go on from the resume state if it belongs to this training; say so in one line, and return whether."""
        path = self.places.resume / state.FILE
        found = state.read_state(path)
        if found is None:
            if path.exists():
                self._say(f"the state in {self.places.resume} is damaged: starting afresh")
            return False
        header, tensors = found
        if header["stamp"] != self.stamp:
            self._say(f"the state in {self.places.resume} is of other settings, data or code: starting afresh")
            return False
        if header["step"] > self.steps:
            self._say(f"the state in {self.places.resume} is beyond {self.config.epochs} epochs: starting afresh")
            return False
        self._put_back(header, tensors)
        self.curves.rows = header["rows"]
        if self.epochs[-1] != self.config.epochs:
            self._say(f"continuing a training of {self.epochs[-1]} epochs up to {self.config.epochs}")
            self.epochs = [*self.epochs, self.config.epochs]
        self._say(f"going on from step {self.step} of {self.steps}")
        return True

    def _put_back(self, header: dict, tensors: dict[str, Tensor]) -> None:
        """Become what a state holds."""
        self.learners.restore(tensors)
        self.launcher.forget()
        self.step, self.epochs = header["step"], header["epochs"]
        self.states.scores = dict(header["scores"])
        self.states.best = state.below("best", tensors)
        self.window = [(*update, torch.tensor(values, device=self.device)) for *update, values in header["window"]]
        self.health.restore(header["health"])

    def _rewind(self, collapse: Collapse) -> None:
        """Go back to the last good state, to go on with other random numbers and lower learning rates.

        Raises:
            UserError: that is not wanted, was done too often, or there is no such state.
        """
        self.health.check_rewind(collapse)
        path = self.places.resume / state.GOOD
        found = state.read_state(path)
        if found is None or found[0]["stamp"] != self.stamp:
            raise UserError(f"{collapse.what}; {path} is no good state; delete {self.places.resume} and start again")
        header, tensors = found
        slows = list(collapse.slows or self.learners.networks)
        rewind = {"at": self.step, "to": header["step"], "reason": collapse.what, "slows": slows}
        rewinds = [*self.health.rewinds, rewind]
        self._put_back(header | {"epochs": self.epochs}, tensors)
        self.health.rewinds = rewinds
        self.curves.go_back(header["rows"])
        torch.manual_seed(self.health.draw_seed(self.seed) % 2**63)
        self.learners.networks.train()
        self.live.go_back(self.step)
        self._save()
        self._say(
            f"{collapse.what}; back to the good state of step {self.step}, with other random numbers and half the "
            f"learning rate of {' and '.join(slows)}: rewind {len(rewinds)} of {MOST_REWINDS}"
        )

    def _say(self, line: str) -> None:
        tqdm.write(f"{self.system.saved}: {line}", file=sys.stderr)


def _own_stream(device: torch.device) -> AbstractContextManager:
    """Return the context of a stream on which all work is launched, because the default one cannot be recorded."""
    return torch.cuda.stream(torch.cuda.Stream(device)) if device.type == "cuda" else nullcontext()
