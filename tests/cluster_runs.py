"""What tests of the workflow on clusters share: their projects, edits while a run is on, and what a run has said."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from projects import Project, edit_code, edit_config

from benchmarks.local_cluster import LocalCluster, wait_for

CHECKPOINT = "results/unmask/checkpoints/map.safetensors"
LOG = "results/logs/train_network/unmask/map.log"
STATE = "results/unmask/resume/map/state.safetensors"
FACES = ("index_source", "find_landmarks", "crop_faces")  # one job of a shard
TRAINING = {"epochs": 150, "save_every": 100_000, "preview_every": 1000}  # seconds of steps; saved when it is stopped


@contextmanager
def runs_of(cluster: LocalCluster) -> Iterator[Callable[..., subprocess.Popen]]:
    """Give a function that starts Snakemake on a cluster; what it started and a failed test left is ended."""
    started: list[subprocess.Popen] = []

    def start(project: Project, *options: str, **more) -> subprocess.Popen:
        started.append(cluster.snakemake(project.root, *options, **more))
        return started[-1]

    yield start
    for run in started:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
            run.wait(60)


def running_job(cluster: LocalCluster, name: str, but: tuple[str, ...] = ()) -> str:
    """Return the number of the running job whose name begins so as soon as there is one, other than those of `but`."""

    def find() -> str | None:
        jobs = cluster.running().items()
        return next((number for number, own in jobs if number not in but and own.startswith(name)), None)

    return wait_for(find)


def said(project: Project) -> str:
    return (project.root / "said.txt").read_text()


def code_of(run: subprocess.Popen, project: Project) -> int:
    """Return the exit code of a run that must end by itself within ten minutes, also on a busy machine."""
    try:
        return run.wait(600)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the run does not end; it said:\n{said(project)}") from None


def logged(project: Project, text: str) -> bool:
    """Return whether the training's log has a text; Snakemake deletes the log when a job starts again."""
    try:
        return text in (project.root / LOG).read_text()
    except FileNotFoundError:
        return False


def without_results(finished: Project, folder) -> Project:
    """Return a copy of a finished project that has run nothing."""
    shutil.copytree(finished.root, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    return Project(folder)


def edit_everything(project: Project) -> None:
    """Edit code, a rule and the configuration so that any job that read them would fail or make something else."""
    edit_code("stages/faces/crop_faces.py", "def crop_faces(", "raise RuntimeError\ndef crop_faces(")(project)
    edit_config("seed", 5)(project)
    rules = project.root / "rules/faces.smk"
    rules.write_text(rules.read_text().replace("crop_faces --reuse", "crop_faces --no-such-option"))


def assert_a_training_goes_on(project: Project, start: Callable, stop: Callable[[], object], cancel: Callable) -> None:
    """Train, stopped twice, and beside it at one go: the files are the same.

    Args:
        project: finished.
        start: starts Snakemake on the cluster.
        stop: lets the cluster stop the job as it does when another job needs the node; it returns what names the job.
        cancel: lets the cluster cancel the job of this name, and waits until another one has started.
    """
    for key, value in TRAINING.items():
        edit_config(f"experiments.unmask.map.training.{key}", value)(project)
    shutil.rmtree(project.root / "results/unmask/checkpoints")
    shutil.rmtree(project.root / "results/unmask/resume")
    (project.root / LOG).unlink()
    here = project.copy(project.root.with_name("here"))
    state = project.root / STATE
    with ThreadPoolExecutor(1) as pool:
        whole = pool.submit(here.said, CHECKPOINT)
        run = start(project, CHECKPOINT)
        wait_for(lambda: logged(project, "epochs of"))
        job = stop()
        first = wait_for(lambda: state.exists() and state.read_bytes())
        wait_for(lambda: logged(project, "going on from step"))
        cancel(job)
        wait_for(lambda: state.read_bytes() != first)
        assert code_of(run, project) == 0, said(project)
        assert logged(project, "going on from step")
        whole.result()
    for name in ("checkpoints/map.safetensors", "checkpoints/map.json", "curves/map.parquet"):
        ours, theirs = (place.root / "results/unmask" / name for place in (project, here))
        assert ours.read_bytes() == theirs.read_bytes(), name
