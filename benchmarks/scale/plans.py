"""The jobs that Snakemake plans, and what each waits for, read from a dry run."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale.sizes import ROOT


@dataclass(frozen=True)
class Job:
    """A planned job.

    Attributes:
        rule: its rule.
        wildcards: their values by name.
        needs: the numbers of the jobs that make its inputs, in the order of the plan.
        uses_gpu: whether its rule can use a GPU.
    """

    rule: str
    wildcards: dict[str, str]
    needs: tuple[int, ...]
    uses_gpu: bool


def snakemake(folder: Path, *options: str) -> str:
    """Run Snakemake in a folder with a `config.yaml` and return what it printed; end with it if it fails."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    config = ["--configfile", folder / "config.yaml"]
    done = subprocess.run([*command, *options, *config], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout + done.stderr


def plan(folder: Path) -> tuple[list[Job], float]:
    """Return the jobs that the configuration of a folder needs, and the seconds to plan them. `all` is none."""
    start = time.perf_counter()
    printed = snakemake(folder, "--dry-run", "--cores", "1")
    return read_jobs(printed), time.perf_counter() - start


def read_jobs(printed: str) -> list[Job]:
    """Return the jobs that a dry run prints."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", printed, re.M)
    fields = [(rule, dict(re.findall(r"^    (\w+): (.*)$", block, re.M))) for rule, block in blocks if rule != "all"]
    makers = {path: number for number, (_, job) in enumerate(fields) for path in _listed(job, "output")}
    jobs = []
    for rule, job in fields:
        wildcards = dict(pair.split("=", 1) for pair in _listed(job, "wildcards"))
        needs = {makers[path] for path in _listed(job, "input") if path in makers}
        jobs.append(Job(rule, wildcards, tuple(sorted(needs)), "gpu=" in job.get("resources", "")))
    return jobs


def _listed(job: dict[str, str], field: str) -> list[str]:
    return job[field].split(", ") if field in job else []
