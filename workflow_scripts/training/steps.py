"""Carries out the steps of a training: one after the other on a CPU, recorded and replayed on a GPU.

A step of a small network launches a thousand small pieces of work, and a GPU does each in less time than Python needs
to ask for it. So on a GPU a step is recorded once as a CUDA graph, with forward and backward passes of all its networks
and their optimisers, and later steps copy their batch to where the recorded one lay and replay it.
"""

import sys
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from workflow_scripts.training.compiling import as_written, refusals
from workflow_scripts.training.data import Batch
from workflow_scripts.training.learners import Learners
from workflow_scripts.training.system import System

WARM = 3  # steps of a course before it is recorded, so that libraries have chosen their kernels and got their memory


class Done(NamedTuple):
    """An update that was carried out: its network, and names and values (n,) of loss, gradient norm and parts."""

    network: str
    names: list[str]
    values: Tensor


class Steps:
    """Carries out the steps of one training.

    Args:
        system: says which losses there are.
        learners: its networks and optimisers.
        device: where they are.
        bf16: compute in bf16 where that is safe.
        parts: into which a batch is cut, so that only one of them at a time needs memory; their gradients are added up.
    """

    def __init__(self, system: System, learners: Learners, device: torch.device, bf16: bool, parts: int):
        self._system, self._learners, self._device, self._bf16, self._parts = system, learners, device, bf16, parts
        self._recordings: dict[Hashable, _Recording | None] = {}  # by course; None: it cannot be recorded
        self._counts: dict[Hashable, int] = {}
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def precision(self) -> AbstractContextManager:
        """Return the context in which losses are computed."""
        return torch.autocast(self._device.type, torch.bfloat16) if self._bf16 else nullcontext()

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Give the context in which networks are judged, which is too rare to be compiled."""
        with self.precision(), as_written(self._learners.is_compiled):
            yield

    def forget(self) -> None:
        """Drop what was recorded, because tensors of the optimisers are now others."""
        self._recordings.clear()
        self._counts.clear()

    def carry_out(self, batch: Batch, course: Hashable) -> list[Done]:
        """Carry out one step; all batches of a training have the same columns and shapes.

        Raises:
            UserError: networks are to be compiled, and cannot be.
        """
        recording = self._recordings.get(course)
        if recording is not None:
            return recording.replay(batch)
        count = self._counts[course] = self._counts.get(course, 0) + 1
        with refusals():
            if self._pool is None or count <= WARM or course in self._recordings:
                return self._launch(batch, course)
            return self._record(batch, course)

    def _launch(self, batch: Batch, course: Hashable) -> list[Done]:
        """Carry out the step's updates, each for all parts of the batch before the next one is asked for."""
        parts = self._cut(batch)
        running = [self._system.training_step(part, course) for part in parts]
        shares = [_count(part) / _count(batch) for part in parts]
        done: list[Done] = []
        while True:
            values = []
            for number, part in enumerate(running):
                with self.precision():
                    update = next(part, None)
                if update is None:
                    return done
                self._learners.learn(update, shares[number], goes_on=number > 0)
                values.append(torch.stack([x.detach().float() for x in (update.loss, *update.parts.values())]))
            norm = self._learners.finish(update)
            loss, *others = torch.stack(values).mean(dim=0)
            names = ["total", "gradient norm", *update.parts]
            done.append(Done(update.network, names, torch.stack([loss, norm.float(), *others])))

    def _cut(self, batch: Batch) -> list[Batch]:
        chunks = {name: x.chunk(self._parts) for name, x in batch.items()}
        return [dict(zip(chunks, part, strict=True)) for part in zip(*chunks.values(), strict=True)]

    def _record(self, batch: Batch, course: Hashable) -> list[Done]:
        """Record the course, and replay it for this batch; if that fails, say so and launch each piece of work."""
        graph, static = torch.cuda.CUDAGraph(), {name: x.clone() for name, x in batch.items()}
        try:
            # Other threads make batches meanwhile.
            with torch.cuda.graph(graph, self._pool, torch.cuda.current_stream(), capture_error_mode="thread_local"):
                done = self._launch(static, course)
        except RuntimeError as error:
            first_line = str(error).partition("\n")[0]
            print(f"steps are not recorded, and therefore slower: {first_line}", file=sys.stderr)
            self._recordings[course] = None
            return self._launch(batch, course)
        self._recordings[course] = _Recording(graph, static, done)
        return self._recordings[course].replay(batch)


class _Recording(NamedTuple):
    """A recorded step: the graph, the batch that it reads, and the updates whose values it writes."""

    graph: "torch.cuda.CUDAGraph"
    batch: Batch
    done: list[Done]

    def replay(self, batch: Batch) -> list[Done]:
        for name, x in self.batch.items():
            x.copy_(batch[name], non_blocking=True)
        self.graph.replay()
        return [one._replace(values=one.values.clone()) for one in self.done]


def _count(batch: Batch) -> int:
    return len(next(iter(batch.values())))
