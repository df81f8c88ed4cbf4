"""What a machine can do to a run: kills at any moment, a folder that cannot be written, too little memory."""

import fcntl
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from projects import SNAKEMAKE, Project, edit_config

APART = ("benchmarks", "logs", "records")  # of results/: what cannot be identical
MEMORY = 6 * 2**30  # bytes of address space: enough to start a training, not for the network below


def digests(project: Project) -> dict[str, str]:
    """Return the SHA-256 of every result."""
    results = project.root / "results"
    files = (path for path in sorted(results.rglob("*")) if path.is_file() and path.name != ".snakemake_timestamp")
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not (name := str(path.relative_to(results))).startswith(APART)
    }


def children(process: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    try:
        tasks = Path(f"/proc/{process}/task").iterdir()
        direct = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return direct + [deeper for child in direct for deeper in children(child)]


def run_and_kill(project: Project, rng: random.Random) -> str:
    """Start the plain command and kill all of it, Snakemake alone, or one job, at a random moment."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with open(project.root / "killed.txt", "w") as said:
        run = subprocess.Popen(
            [SNAKEMAKE, "--cores", "2"],
            cwd=project.root,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )
    try:
        what = rng.choice(["everything", "everything", "snakemake", "a job"])
        run.wait(rng.uniform(1, 12))
    except subprocess.TimeoutExpired:
        if what == "everything":
            os.killpg(run.pid, signal.SIGKILL)
        elif what == "snakemake":
            run.kill()
        else:
            for job in children(run.pid)[-1:]:
                os.kill(job, signal.SIGKILL)
    run.wait(timeout=120)
    return (project.root / "killed.txt").read_text()


@pytest.mark.parametrize("moments", [3, pytest.param(20, marks=pytest.mark.chaos)])
def test_a_run_killed_at_random_moments_ends_with_the_same_files(finished, tmp_path, moments):
    project = Project(tmp_path / "project")
    nothing_yet = shutil.ignore_patterns("results", ".snakemake")
    shutil.copytree(finished.root, project.root, ignore=nothing_yet)
    rng = random.Random(moments)
    for _ in range(moments):
        said = run_and_kill(project, rng)
        assert "LockException" not in said
        assert "Traceback" not in said
        if (project.root / "results/overview.html").exists():  # it was through: again, from the crops on
            shutil.rmtree(project.root / "results/unmask")
            (project.root / "results/overview.html").unlink()
    project.said()
    assert digests(project) == digests(finished)
    assert not list((project.root / "results").rglob("*.part"))


def test_a_killed_job_is_named_as_such_and_the_plain_command_goes_on(project):
    shutil.rmtree(project.root / "results/unmask/checkpoints")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    target = "results/unmask/checkpoints/map.safetensors"
    run = subprocess.Popen(
        [SNAKEMAKE, "--cores", "2", target],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    while not (jobs := [child for child in children(run.pid) if is_stage(child)]):
        assert run.poll() is None
        time.sleep(0.02)
    os.kill(jobs[0], signal.SIGKILL)
    said = run.communicate(timeout=60)[0]
    assert run.returncode != 0
    assert "error: a job was killed (SIGKILL)" in said
    project.said(target)


def is_stage(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"python\0-m\0workflow_scripts.")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_too_little_memory_ends_with_one_line_and_is_taken_up_again(project):
    shutil.rmtree(project.root / "results/unmask/checkpoints")
    target = "results/unmask/checkpoints/map.safetensors"
    small = project.config()
    edit_config("experiments.unmask.map.unet", {"blocks": 5, "channels": 16_384, "max_channels": 16_384})(project)
    refused = project.run(target, limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "error: out of memory; lower batch_size or shard_size" in said
    assert "Traceback" not in said
    project.configure(small)
    project.said(target)


def test_results_that_cannot_be_written_end_with_one_line(project):
    """A read-only mount refuses root too."""
    results = project.root / "results"
    (results / "overview.html").unlink()
    if subprocess.run(["mount", "--bind", results, results], capture_output=True).returncode:
        results.chmod(0o555)
        undo = lambda: results.chmod(0o755)  # noqa: E731
    else:
        subprocess.run(["mount", "-o", "remount,bind,ro", results], check=True)
        undo = lambda: subprocess.run(["umount", results], check=True)  # noqa: E731
    try:
        refused = project.run()
    finally:
        undo()
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert ": no permission to write in results/: change its owner or mode" in said
    assert "Traceback" not in said
    project.said()


def test_a_lock_that_another_program_holds_is_named_and_the_start_goes_on(project):
    lock = project.root / ".snakemake/runs.lock"
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = project.run("--dry-run", "results/photos/index.parquet")
    assert said.returncode == 0
    assert "another program holds the lock .snakemake/runs.lock" in said.stderr
