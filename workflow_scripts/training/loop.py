"""The one training loop of all systems.

A system (see `system.py`) says which networks there are and what each minimises; the loop does the rest: order of the
items, precision, optimiser steps, learning rate, moving average, checks, log, validation, which state is kept,
previews, resume states.
"""

import math
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from workflow_scripts.config.training import Training
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.tables import write_table
from workflow_scripts.training import state
from workflow_scripts.training.data import Items, epoch_batches, runs_of
from workflow_scripts.training.inference import item_seed
from workflow_scripts.training.learned import learned, load_learned, twin
from workflow_scripts.training.live import LiveCurves
from workflow_scripts.training.previews import save_grid
from workflow_scripts.training.progress import Progress, stop_signals
from workflow_scripts.training.system import System, Update

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
    ):
        self.system, self.config, self.train, self.val = system, config, train, val
        self.seed, self.device, self.places, self.stamp = seed, device, places, stamp
        system.begin(train)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        system.to(device, layout)
        self.networks = system.networks.train()
        self.optimizers = {
            name: system.optimizer(name, [x for x in network.parameters() if x.requires_grad], config)
            for name, network in self.networks.items()
        }
        # As the schedule finds them; not the groups themselves, which are others once a resume state is read.
        self.rates = {name: [group["lr"] for group in one.param_groups] for name, one in self.optimizers.items()}
        self.saved = self.networks[system.saved]
        self.average = twin(self.saved).eval() if config.ema else None
        self.bf16 = bf16
        self.epoch_steps = len(epoch_batches(train, config.batch_size, seed, 0))
        self.steps = self.epoch_steps * config.epochs
        self.step = 0
        self.epochs = [config.epochs]  # that were aimed at, one after the other; a schedule depends on them
        self.rows: list[dict] = []  # of the curves
        self.scores: dict[int, float] = {}  # step -> the score by which states are judged
        self.best: dict[str, Tensor] = {}  # what the judged network had learned at the step of the best score
        self.window: list[tuple[int, str, list[str], Tensor]] = []  # updates not yet checked and logged

    def run(self) -> nn.Module:
        """Train to the end and return the saved network (its moving average, if there is one) in evaluation mode.

        It is in the state that `self.kept` describes.

        Raises:
            UserError: a loss or gradient is not finite, or the run was told to stop; the last resume state is kept.
        """
        torch.manual_seed(self.seed)
        self.places.previews.mkdir(parents=True, exist_ok=True)
        self._restore()
        self._say(
            f"{self.config.epochs} epochs of {self.epoch_steps} steps, {len(self.train)} training items, "
            f"{len(self.val)} watched, {'bf16' if self.bf16 else 'fp32'}"
        )
        with (
            stop_signals() as stopped,
            Progress(self.system.saved, self.steps, self.step) as progress,
            LiveCurves(self.places.live, self.system.saved, self.step) as self.live,
        ):
            while not self._is_finished():
                epoch = self.step // self.epoch_steps
                if self.step % self.epoch_steps == 0:
                    self._begin_epoch(epoch)
                batches = epoch_batches(self.train, self.config.batch_size, self.seed, epoch)
                for positions in batches[self.step % self.epoch_steps :]:
                    self._train_on(positions, epoch)
                    progress.advance()
                    if self.step % LOG_EVERY == 0 or self.step % self.epoch_steps == 0:
                        progress.show(self._log())
                    if self.step % self.epoch_steps == 0:
                        self._finish_epoch()
                    elif self.config.preview_steps and self.step % self.config.preview_steps == 0:
                        self._draw((self.average or self.saved).eval(), f"step_{self.step:08d}")
                        self.networks.train()
                    if stopped or self.step % self.config.save_every == 0 or self._is_finished():
                        self._save()
                    if stopped:
                        raise UserError(f"stopped at step {self.step}; start again to go on from there")
            self.live.draw(self._curves())  # also when a run that was killed while it drew had nothing else left to do
        network = (self.average or self.saved).eval()
        if self.best:
            load_learned(network, self.best)
        # A finished training that is merely taken up again has drawn nothing.
        if not any(self.places.previews.iterdir()):
            self._draw(network, f"epoch_{self.kept['step'] // self.epoch_steps:04d}")
        write_table(self.places.curves, self._curves())
        self._say(self._verdict())
        return network

    @property
    def kept(self) -> dict[str, int | str | float | None]:
        """Return the `step` of the state that is kept, and the name (`score`) and `value` by which it was judged.

        The value is None where that state was not judged.
        """
        judged_by = self.system.judged_by
        step = judged_by.best(self.scores) if self.best else self.step
        return {"step": step, "score": judged_by.name, "value": self.scores.get(step)}

    def _verdict(self) -> str:
        """Return one line: which state is kept, and why."""
        step, score, value = self.kept.values()
        if self.best:
            return f"the state of step {step} of {self.step} is kept: {score} {value:.4g}, the best of all epochs"
        reason = "as configured"
        if self.config.keep == "best":
            reason = "as none was judged: " + ("no score was a number" if len(self.val) else "no item is watched")
        return f"the last state, of step {step}, is kept, {reason}"

    def _is_finished(self) -> bool:
        """Return whether all epochs are done, or the last `patience` ones brought no better score."""
        if self.step >= self.steps:
            return True
        best = self.system.judged_by.best(self.scores) or 0
        waited = sum(step > best for step in self.scores)
        return self.config.patience is not None and waited >= self.config.patience

    def _train_on(self, positions: list[int], epoch: int) -> None:
        batch = self._batch(self.train, positions)
        keys = [self.train.keys[position] for position in positions]
        batch = self.system.augment(batch, keys, self.seed, epoch, self.config)
        for name, rates in self.rates.items():
            for group, rate in zip(self.optimizers[name].param_groups, rates, strict=True):
                group["lr"] = rate * self._schedule()
        updates = self.system.training_step(batch, self.step / self.steps)
        while True:
            with self._precision():
                update = next(updates, None)
            if update is None:
                break
            self._carry_out(update)
        if self.average is not None:
            self._follow()
        self.step += 1

    def _begin_epoch(self, epoch: int) -> None:
        """Let the system look at the training items, in the order of their keys, before an epoch."""
        batches = (self._batch(self.train, positions) for positions in runs_of(self.train, self.config.batch_size))
        self.system.epoch_begins(epoch, batches, self.optimizers, self.average)

    def _batch(self, items: Items, positions: Sequence[int]) -> dict[str, Tensor]:
        """Return items as networks see them, without augmentation."""
        batch = self.system.to_tensors(items.gather(positions, self.device))
        seeds = [item_seed(self.seed, items.keys[position]) for position in positions]
        return batch | self.system.prepare(batch, seeds)

    def _carry_out(self, update: Update) -> None:
        network, optimizer = self.networks[update.network], self.optimizers[update.network]
        optimizer.zero_grad()
        update.loss.backward()
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.config.clip and update.network == self.system.saved:
            torch.nn.utils.clip_grads_with_norm_(network.parameters(), self.config.clip, norm)
        optimizer.step()
        names = ["total", "gradient norm", *update.parts]
        values = torch.stack([value.detach().float() for value in (update.loss, norm, *update.parts.values())])
        self.window.append((self.step, update.network, names, values))

    def _schedule(self) -> float:
        """Return the factor of the learning rates at this step."""
        if self.config.schedule == "constant":
            return 1.0
        if self.config.schedule == "linear":
            return 1 - self.step / self.steps
        fall = (1 + math.cos(math.pi * self.step / self.steps)) / 2
        return LAST_RATE + (1 - LAST_RATE) * fall

    def _follow(self) -> None:
        """Move the average; young averages follow faster, so that they soon forget the initial weights."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(learned(self.average).values(), learned(self.saved).values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def _log(self) -> dict[str, float]:
        """Check the window's updates, add its means to the curves, and return them; this waits for the GPU.

        Raises:
            UserError: a loss or gradient norm is not finite.
        """
        means: dict[str, list[float]] = {}
        for _, network, names, values in self._checked_window():
            for name, value in zip(names, values, strict=True):
                means.setdefault(f"{network} {name}", []).append(value)
        self.window = []
        found = {name: sum(values) / len(values) for name, values in means.items()}
        self._add_rows("train", found | {"learning rate": self.config.learning_rate * self._schedule()})
        return found

    def _checked_window(self) -> list[tuple[int, str, list[str], list[float]]]:
        """Return the window's updates with their values as numbers.

        Raises:
            UserError: a loss or gradient norm is not finite.
        """
        window = [(step, network, names, values.tolist()) for step, network, names, values in self.window]
        for step, network, names, values in window:
            for name, value in zip(names, values, strict=True):
                if not math.isfinite(value):
                    raise UserError(
                        f"step {step}: {name} of network {network!r} is {value}; lower `learning_rate`, set `clip` or "
                        f"write `precision: fp32`. A state saved before it is kept in {self.places.resume}"
                    )
        return window

    @torch.inference_mode()
    def _finish_epoch(self) -> None:
        """Score and draw validation items, remember the state if it is the best, write the curves."""
        epoch = self.step // self.epoch_steps
        network = (self.average or self.saved).eval()
        scores: dict[str, list[Tensor]] = {}
        for positions in runs_of(self.val, self.config.batch_size):
            batch = self._batch(self.val, positions)
            with self._precision():
                for name, values in self.system.validate(network, batch).items():
                    scores.setdefault(name, []).append(values.float())
        found = {name: torch.cat(values).mean().item() for name, values in scores.items()}
        if found:
            self._add_rows("val", found)
            self._say(f"epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
            self._judge(network, found[self.system.judged_by.name])
        if epoch % self.config.preview_every == 0 or self._is_finished():
            self._draw(network, f"epoch_{epoch:04d}")
        curves = self._curves()
        write_table(self.places.curves, curves)
        self.live.draw(curves)
        self.networks.train()

    def _judge(self, network: nn.Module, value: float) -> None:
        """Note the score of a network, and remember what it has learned if it is to be kept."""
        self.scores[self.step] = value
        if self.config.keep == "best" and self.system.judged_by.best(self.scores) == self.step:
            self.best = {name: x.to("cpu", copy=True) for name, x in learned(network).items()}

    @torch.inference_mode()
    def _draw(self, network: nn.Module, name: str) -> None:
        if not self.config.preview_items:
            return
        items = self.val if len(self.val) else self.train
        # The first ones show progress; the last one is another each time.
        positions = list(range(min(self.config.preview_items, len(items))))
        positions[-1] = stable_hash(self.seed, "preview", self.step) % len(items)
        with self._precision():
            columns = self.system.preview(network, self._batch(items, positions))
        save_grid(self.places.previews / f"{name}.png", columns)

    def _precision(self):
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def _add_rows(self, split: str, values: dict[str, float]) -> None:
        epoch = math.ceil(self.step / self.epoch_steps)
        self.rows += [
            {"step": self.step, "epoch": epoch, "split": split, "name": name, "value": value}
            for name, value in values.items()
        ]
        self.live.add(split, self.step, values)

    def _curves(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=["step", "epoch", "split", "name", "value"])

    def _save(self) -> None:
        """Write the resume state, after all that it holds was checked."""
        window = self._checked_window()
        tensors = {"rng": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors["rng_cuda"] = torch.cuda.get_rng_state(self.device)
        for name, network in self.networks.items():
            tensors |= state.module_tensors(network, f"network.{name}")
            tensors |= state.optimizer_tensors(self.optimizers[name], f"optimizer.{name}")
        if self.average is not None:
            tensors |= state.module_tensors(self.average, "average")
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        header = {
            "stamp": self.stamp,
            "step": self.step,
            "epochs": self.epochs,
            "rows": self.rows,
            "window": window,
            "scores": list(self.scores.items()),
        }
        state.save_state(self.places.resume, header, tensors)

    def _restore(self) -> None:
        """Go on from the resume state if it belongs to this training; say so in one line."""
        found = state.read_state(self.places.resume)
        if found is None:
            if (self.places.resume / state.FILE).exists():
                self._say(f"the state in {self.places.resume} is damaged: starting afresh")
            return
        header, tensors = found
        if header["stamp"] != self.stamp:
            self._say(f"the state in {self.places.resume} is of other settings, data or code: starting afresh")
            return
        if header["step"] > self.steps:
            self._say(f"the state in {self.places.resume} is beyond {self.config.epochs} epochs: starting afresh")
            return
        for name, network in self.networks.items():
            state.restore_module(network, f"network.{name}", tensors)
            state.restore_optimizer(self.optimizers[name], f"optimizer.{name}", tensors)
        if self.average is not None:
            state.restore_module(self.average, "average", tensors)
        torch.set_rng_state(tensors["rng"])
        if self.device.type == "cuda" and "rng_cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng_cuda"], self.device)
        self.step, self.rows = header["step"], header["rows"]
        self.scores = dict(header["scores"])
        self.best = state.below("best", tensors)
        self.window = [(*update, torch.tensor(values)) for *update, values in header["window"]]
        if header["epochs"][-1] != self.config.epochs:
            self.epochs = [*header["epochs"], self.config.epochs]
            self._say(f"continuing a training of {header['epochs'][-1]} epochs up to {self.config.epochs}")
        else:
            self.epochs = header["epochs"]
        self._say(f"going on from step {self.step} of {self.steps}")

    def _say(self, line: str) -> None:
        tqdm.write(f"{self.system.saved}: {line}", file=sys.stderr)
