"""What the benchmarks share: interleaved rounds, medians with their spread, and how they are printed."""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# One core's threads for both sides, as in the workflow's rules. OpenCV's own would wait busily for work on other cores.
ENVIRONMENT = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
}


class Seconds(NamedTuple):
    """What one run took: by the clock, and of processors, its child processes included."""

    clock: float
    processor: float


def interleaved(
    sides: dict[str, Callable[[], None]], rounds: int, clear: Callable[[], None] = lambda: None
) -> dict[str, list[Seconds]]:
    """Run every side once in each round and return the times by side: what else the machine does meets all alike.

    Args:
        sides: by their names.
        rounds: how often each is run.
        clear: removes what earlier runs have left, before each run and outside its time.
    """
    times: dict[str, list[Seconds]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            clear()
            clock, processor = time.perf_counter(), _processor_seconds()
            run()
            times[name].append(Seconds(time.perf_counter() - clock, _processor_seconds() - processor))
    return times


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def run_command(command: list[str | Path], folder: Path, **environment: str) -> None:
    """Run a command on one core's threads, its output kept for the error message.

    Raises:
        RuntimeError: it failed; the message is the end of its output.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def print_table(times: dict[str, list[Seconds]], count: int, unit: str, reference: str) -> None:
    """Print for each side its median seconds, units per second and how many times the reference's speed that is.

    A ratio is the median of the ratios of single rounds, with the lowest and the highest; that of processor seconds
    depends less on what else the machine does.
    """
    print(f"| side | seconds (range) | {unit}/s | times {reference} | by processor seconds |\n|---|---|---|---|---|")
    for name, own in times.items():
        clock = [one.clock for one in own]
        ratios = [[other[i] / one[i] for other, one in zip(times[reference], own, strict=True)] for i in range(2)]
        middle = statistics.median(clock)
        print(
            f"| {name} | {middle:.2f} ({min(clock):.2f}-{max(clock):.2f}) | {count / middle:,.0f} "
            f"| {_with_range(ratios[0])} | {_with_range(ratios[1])} |",
            flush=True,
        )
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores")


def _with_range(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
