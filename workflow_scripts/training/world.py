"""Several processes that train one network together, each on its share of every batch, as one would on the whole.

The stage's process is the first one, and starts the others with its own command (`start_world`). After each loss the
gradients are averaged, so weights and optimisers are the same everywhere; the first process decides and writes. It is
plain averaging and not `DistributedDataParallel`, which wraps one network and one loss, where a system may have several
of both.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

# Environment variables of the processes but the first.
RANK, PORT = "FACE_WORKFLOW_RANK", "FACE_WORKFLOW_PORT"
PATIENCE = timedelta(minutes=30)  # for a process that saves a large state, or waits for a GPU
LOOK = 1.0  # seconds between two looks whether all processes live
T = TypeVar("T")


class World:
    """The processes of a training; in this class there is one.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
    """

    rank, size = 0, 1

    @property
    def is_first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    def share(self, positions: Sequence[T]) -> Sequence[T]:
        """Return what of a batch is this process's."""
        return positions[self.rank :: self.size]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace floating-point tensors of one device by their means over all processes."""

    def agree(self, value: T) -> T:
        """Return what the first process has."""
        return value

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, of one shape, on the CPU."""
        return [tensor]

    def any(self, value: bool) -> bool:
        """Return whether it is true in any process."""
        return value


class SeveralProcesses(World):
    """This process among others, which are joined."""

    def __init__(self, rank: int, size: int, port: int):
        self.rank, self.size = rank, size
        # Tensors of a GPU are averaged by NCCL, what lies on a CPU by gloo.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store = dist.TCPStore("127.0.0.1", port, size, is_master=rank == 0, timeout=PATIENCE, wait_for_workers=False)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)

    def average(self, tensors: Sequence[Tensor]) -> None:  # noqa: D102 (as in `World`, and below)
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            by_type.setdefault(tensor.dtype, []).append(tensor)
        for same in by_type.values():  # at once, as each by itself would wait for the others
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in same])
            dist.all_reduce(flat)
            flat /= self.size
            for tensor, mean in zip(same, flat.split([tensor.numel() for tensor in same]), strict=True):
                tensor.detach().copy_(mean.view(tensor.shape))

    def agree(self, value: T) -> T:  # noqa: D102
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def gather(self, tensor: Tensor) -> list[Tensor]:  # noqa: D102
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor)
        return found

    def any(self, value: bool) -> bool:  # noqa: D102
        count = torch.tensor([float(value)])
        dist.all_reduce(count)
        return bool(count.item())


@contextmanager
def start_world(processes: int) -> Iterator[World]:
    """Yield the processes that train together; the first one starts the others, and ends where one of them fails.

    Args:
        processes: how many; each starts with the command line of this process.
    """
    if processes < 2:
        yield World()
        return
    rank = int(os.environ.get(RANK, 0))
    if rank:
        yield SeveralProcesses(rank, processes, int(os.environ[PORT]))
        return
    port = free_port()
    with tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-m", sys.modules["__main__"].__spec__.name, *sys.argv[1:]]
        others = [
            subprocess.Popen(command, env=os.environ | {RANK: str(n), PORT: str(port)}, stdout=said, stderr=said)
            for n in range(1, processes)
        ]
        over = Event()
        Thread(target=_watch, args=(others, said, over), daemon=True).start()
        try:
            yield SeveralProcesses(0, processes, port)
            over.set()
            for process in others:
                process.wait()
        finally:
            over.set()
            for process in others:
                if process.poll() is None:
                    process.terminate()
                process.wait()
            dist.destroy_process_group()


def _watch(others: list[subprocess.Popen], said, over: Event) -> None:
    """End this process when another one has failed, because it would wait for it."""
    while not over.wait(LOOK):
        if any(process.poll() for process in others):
            time.sleep(LOOK)  # where all fail for one reason, this process names it
            said.seek(0)
            sys.stderr.write(said.read()[-3000:] + "\nerror: another process of this training has failed\n")
            sys.stderr.flush()
            for process in others:
                process.kill()
            os._exit(1)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
