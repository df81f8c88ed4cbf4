"""What clusters on this machine have in common, for tests and benchmarks: daemons, and Snakemake with their profile."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

SEARCH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
REAPER = str(Path(__file__).with_name("reaper.py"))
WAIT = 180  # seconds until something that was asked of a cluster must have happened, also on a busy machine


class LocalCluster(ABC):
    """Daemons that end with `stop`, or with the process that started them.

    Args:
        folder: for their configuration, states and logs.
    """

    PROFILE: str

    def __init__(self, folder: Path):
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.environment["PATH"] = SEARCH

    def daemon(self, name: str, *options: str) -> None:
        """Start one."""
        with open(self.folder / f"{name}.out", "a") as said:
            process = subprocess.Popen(
                [sys.executable, REAPER, shutil.which(name, path=SEARCH), *options],
                stdout=said,
                stderr=said,
                env=self.environment,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self.processes.append(process)

    @abstractmethod
    def start(self) -> Self:
        """Start the daemons and wait until jobs can be given to them."""

    @abstractmethod
    def running(self) -> dict[str, str]:
        """Return number -> name of the jobs that run."""

    @contextmanager
    def started(self) -> Iterator[Self]:
        """Give the cluster with its daemons, which end with the context."""
        try:
            yield self.start()
        finally:
            self.stop()

    def stop(self) -> None:
        """End the daemons."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ask(self, *command: str, check: bool = True) -> str:
        """Return what one of the cluster's commands prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def snakemake(self, folder: Path, *options: str) -> subprocess.Popen:
        """Start Snakemake in a project with the cluster's profile; its output goes to `said.txt` there."""
        with open(folder / "said.txt", "w") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--workflow-profile", self.PROFILE, *options],
                cwd=folder,
                stdout=said,
                stderr=said,
                env=self.environment,
                preexec_fn=_end_with_parent,
            )


def wait_for(condition, seconds: float = WAIT):
    """Return what `condition` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


def free_ports(count: int) -> list[int]:
    """Return the numbers of ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _end_with_parent() -> None:
    """Let Linux end this process when the process that started it has ended, however that came."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
