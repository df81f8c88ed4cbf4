"""The planned jobs of a data set at full size, with the time and the bytes of each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.scale.plans import Job
from benchmarks.scale.rates import UNIT_OF, Key, Rate, Work, key_of
from benchmarks.scale.schedule import makespan
from benchmarks.scale.sizes import Size
from workflow_scripts.config.load import load_config

SLOTS, GPUS = 64, 8  # of the cluster
CORES = 2  # of the laptop


@dataclass(frozen=True)
class Part:
    """The jobs of one rule, of one network or method.

    Attributes:
        jobs: how many.
        units: what they work on, together.
        seconds: of each job; None where no run has measured it.
        bytes: of results, of all together.
        files: that say so.
    """

    jobs: int
    units: float
    seconds: float | None
    bytes: float
    files: tuple[str, ...]


def parts_of(size: Size, jobs: Sequence[Job], work: Work, rates: dict[Key, Rate]) -> dict[Key, Part]:
    """Return rule, and network or method -> its jobs."""
    chosen = load_config(size.config()).experiments[size.experiment]
    parts = {}
    for key, count in Counter(key_of(job) for job in jobs).items():
        # Networks that differ in their seeds are trained and applied on the same items, each for itself.
        alike = count if key[0] in ("train_network", "sample_objects") else 1
        units = alike * work.units(*key, chosen)
        rate = rates.get(key)
        if rate is None:
            parts[key] = Part(count, units, None, 0.0, ())
            continue
        held = alike if UNIT_OF[key[0]] == "passes" else units
        parts[key] = Part(count, units, rate.start + rate.seconds * units / count, rate.bytes * held, rate.files)
    return parts


def hours(jobs: Sequence[Job], parts: dict[Key, Part], on_gpu: dict[Key, Part] | None) -> dict[str, float]:
    """Return the hours on the laptop, on the cluster, and on the cluster with GPUs if trainings were timed on one."""
    seconds = [parts[key_of(job)].seconds or 0.0 for job in jobs]
    found = {
        f"{CORES} cores": makespan(jobs, seconds, CORES),
        f"{SLOTS} slots": makespan(jobs, seconds, SLOTS),
    }
    if on_gpu is not None:
        # What can use a GPU and was not timed on one is done by the slots.
        placed = [replace(job, uses_gpu=on_gpu[key_of(job)] != parts[key_of(job)]) for job in jobs]
        fast = [on_gpu[key_of(job)].seconds or 0.0 for job in jobs]
        found[f"{SLOTS} slots, {GPUS} GPUs"] = makespan(placed, fast, SLOTS, GPUS)
    return {place: taken / 3600 for place, taken in found.items()}
