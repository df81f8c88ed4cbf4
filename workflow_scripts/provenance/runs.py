"""What a run of Snakemake leaves beside its results: its own notes, and a lock that ends with its process.

The Snakefile calls this at every start, so only light modules are imported.
"""

import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.core.names import is_utf8, readable

RECORDS = Path("results/records")
OWN = Path(".snakemake")  # Snakemake's folder
PATTERN = re.compile(r"[{}<]")
LOCK_TRIES, LOCK_PAUSE = 20, 0.1  # seconds between two tries
KILLED = re.compile(r"exit status 137|SIGKILL")  # how bash and Python report it
SUBMITTED = re.compile(r"submitted with SLURM jobid \d+ \(log: (.+?/(?:rule|group)_([^/]+)/.+)\)")
ON_HTCONDOR = re.compile(r"^Job (\S+) submitted to HTCondor Cluster ID (\d+) with batch name (\S+)-\1$", re.M)
STARTED = re.compile(r"^(?:local)?rule (\w+):$", re.M)  # in the log of a job
# How Slurm, in the log of a job, and HTCondor, in that of the run, say why they ended the job -> what it did, and the
# resource to raise.
LIMITS = {
    re.compile(r"exceeded memory limit|oom[-_ ]kill|held: .*memory"): ("took more memory than it asks for", "mem_mb"),
    re.compile(r"DUE TO TIME LIMIT"): ("took longer than it asks for", "runtime"),
}


def keep_records() -> None:
    """Let Snakemake keep its records of inputs and parameters in `results/`, so that copied results bring them along.

    Without them, results would be judged by times alone, which a copy does not keep.
    """
    home, link = RECORDS / "snakemake", OWN / "metadata"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(exist_ok=True)
        if link.is_dir() and not link.is_symlink():
            if home.is_dir():
                link.rmdir()  # fails, and all stays as it is, unless it is empty
            else:
                link.rename(home)
        home.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(Path("..") / home)
    except OSError:  # the folder cannot be written, which Snakemake says as soon as it needs it
        return


def unwritable() -> str | None:
    """Return one line that says that results cannot be written, and the remedy; None where they can."""
    if os.access(RECORDS.parent, os.W_OK) or not RECORDS.parent.exists():
        return None
    return (
        f"no permission to write in {RECORDS.parent}/: "
        "change its owner or mode, or mount its file system for writing, and start again"
    )


def unusable_folder(folder: str) -> str | None:
    """Return one line that says why Snakemake cannot work in a folder, and the remedy; None where it can."""
    text = readable(folder)
    if not re.search(r"[{}:]", text) and is_utf8(folder):
        return None
    return (
        f"{text}: Snakemake and Python's search paths cannot work in a folder whose path has a brace, a colon or bytes "
        "that are not UTF-8; rename or move it"
    )


def input_problem(path: str | Path) -> str | None:
    """Return why Snakemake cannot take a file of the user's as an input, and the remedy; None where it can.

    It replaces {word} and <word> in a path by values of its own, and writes paths to terminal and report as they are.
    """
    text = str(path)
    if not PATTERN.search(text) and readable(text) == text:
        return None
    return (
        "Snakemake cannot take a file whose path has { or } or <, control characters or bytes that are not UTF-8; "
        "rename it, or the folder"
    )


def explain_kill(logs: list[str]) -> None:
    """Tell the user if a run's logs show that a job was killed, since the job itself could not."""
    texts = [_text(log) for log in logs]
    for cluster, job_log, name, verdict in (job for text in texts for job in _jobs(text)):
        rules = [name, *STARTED.findall(_text(job_log))]
        rule = rules[-1]  # a group's job is the last of its rules that it has started
        for sign, (what, resource) in LIMITS.items():
            if sign.search(verdict):
                print(
                    f"error: a job of {rule} {what}, and {cluster} ended it ({job_log}): write a larger {resource} for "
                    f"{rule} under `set-resources:` of the profile, and start again; finished files are kept",
                    file=sys.stderr,
                )
    if any(KILLED.search(text) for text in texts):
        print(
            "error: a job was killed (SIGKILL), by the system if it ran out of memory: use fewer --cores, "
            "lower shard_size or batch_size, and start again; finished files are kept",
            file=sys.stderr,
        )


def _jobs(run_log: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield of each job that a run gave to a cluster: whose it is, its log, its name, and the text that has signs."""
    for log, name in SUBMITTED.findall(run_log):
        yield "Slurm", log, name, _text(log)
    for job, number, name in ON_HTCONDOR.findall(run_log):
        verdict = "\n".join(re.findall(rf"HTCondor Cluster ID {number} is (held: .*)", run_log))
        yield "HTCondor", f"{OWN}/htcondor/{name}/{name}-{job}_{number}.err", name, verdict


def _text(log: str) -> str:
    """Return what a log says; nothing where it is gone."""
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def join_runs() -> None:
    """Remove Snakemake's lock if nobody is left who could hold it, and hold a lock of our own until this process ends.

    Snakemake's lock is a file, which a killed run leaves behind. Ours is a lock of the operating system, which ends
    with the process. All runs in a folder share it; a run that can have it alone for a moment is the only one.
    """
    try:
        lock = os.open(OWN / "runs.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(OWN / "locks", ignore_errors=True)
    except OSError:  # another run lives, or the file system has no locks; then Snakemake's own lock decides
        pass
    for _ in range(LOCK_TRIES):  # another run that starts holds it alone for a moment
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE)
        except OSError:
            return
        else:
            return
    print(
        f"warning: another program holds the lock {OWN / 'runs.lock'} for itself; this run goes on without it. "
        "If Snakemake then says that the folder is locked, end that program and start again",
        file=sys.stderr,
    )
