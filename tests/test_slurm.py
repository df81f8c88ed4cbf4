"""The workflow on a real Slurm: what jobs are given, what a run survives, that results are those of one machine.

They are skipped where Slurm or the plugin is not installed. A reaction of the plugin takes seconds: it asks for the
state of its jobs, and Slurm gives a job that it stops time to end, and starts it again after that.
"""

import itertools
import json
import re
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from projects import ROOT, Project, edit_code, edit_config
from test_chaos import digests

from benchmarks.slurm_cluster import Cluster, missing, wait_for

CHECKPOINT = "results/unmask/checkpoints/map.safetensors"
LOG = "results/logs/train_network/unmask/map.log"
FACES = ("index_source", "find_landmarks", "crop_faces")  # one job of a shard
TRAINING = {"epochs": 150, "save_every": 100_000, "preview_every": 1000}  # seconds of steps; saved when it is stopped


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if lacks := missing():
        pytest.skip(lacks)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def running(cluster):
    """A function that starts Snakemake on the cluster; what it started and a failed test left is ended."""
    started: list[subprocess.Popen] = []

    def start(project: Project, *options: str, seconds: int = 5) -> subprocess.Popen:
        started.append(cluster.snakemake(project.root, *options, seconds=seconds))
        return started[-1]

    yield start
    for run in started:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
            run.wait(60)


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


def job_of(cluster: Cluster, rule: str, state: str = "RUNNING", but: tuple[str, ...] = ()) -> str:
    """Return the number of the job of a rule, `rule_` and its name, as soon as it is in a state."""

    def find() -> str | None:
        found = cluster.jobs().items()
        return next((n for n, (name, now) in found if n not in but and name.startswith(rule) and now == state), None)

    return wait_for(find)


def edit_everything(project: Project) -> None:
    """Edit code, a rule and the configuration so that any job that read them would fail or make something else."""
    edit_code("stages/faces/crop_faces.py", "def crop_faces(", "raise RuntimeError\ndef crop_faces(")(project)
    edit_config("seed", 5)(project)
    rules = project.root / "rules/faces.smk"
    rules.write_text(rules.read_text().replace("crop_faces --reuse", "crop_faces --no-such-option"))


def test_a_run_outlives_a_node_and_edits_and_makes_the_files_of_one_machine(cluster, running, finished, tmp_path):
    project = Project(tmp_path / "project")
    shutil.copytree(finished.root, project.root, ignore=shutil.ignore_patterns("results", ".snakemake"))
    before = {name: (project.root / name).read_bytes() for name in ("config.yaml", "rules/faces.smk")}
    run = running(project, CHECKPOINT, seconds=7)
    faces = job_of(cluster, f"rule_faces_photos_00000_{'_'.join(sorted(FACES))}")
    edit_everything(project)
    wait_for((project.root / "results/photos/index/00000.parquet").exists)
    node = cluster.ask("squeue", "--noheader", "--jobs", faces, "--format=%N")
    cluster.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    assert code_of(run, project) == 0, said(project)
    assert not any(name.startswith(f"rule_{rule}") for name, _ in cluster.jobs().values() for rule in FACES)
    ours, theirs = digests(project), digests(finished)
    assert ours == {name: theirs[name] for name in ours} and len(ours) > 12
    assert "the job was given a GPU, but torch sees no CUDA device" in (project.root / LOG).read_text()
    for record in (project.root / "results/records/jobs").rglob("*.json"):
        made = json.loads((finished.root / record.relative_to(project.root)).read_text())
        assert json.loads(record.read_text())["digests"] == made["digests"], record.name
    for name, content in before.items():
        (project.root / name).write_bytes(content)
    edit_code("stages/faces/crop_faces.py", "raise RuntimeError\n", "")(project)
    assert project.planned(CHECKPOINT) == {}


def test_a_training_that_is_preempted_and_one_that_is_cancelled_go_on(cluster, running, project):
    for key, value in TRAINING.items():
        edit_config(f"experiments.unmask.map.training.{key}", value)(project)
    shutil.rmtree(project.root / "results/unmask/checkpoints")
    shutil.rmtree(project.root / "results/unmask/resume")
    (project.root / LOG).unlink()
    here = project.copy(project.root.with_name("here"))
    state = project.root / "results/unmask/resume/map/state.safetensors"
    with ThreadPoolExecutor(1) as pool:
        whole = pool.submit(here.said, CHECKPOINT)
        run = running(project, CHECKPOINT)
        job = job_of(cluster, "rule_train_network")
        wait_for(lambda: logged(project, "epochs of"))
        cluster.ask("scontrol", "requeue", job)  # as Slurm does it when another job needs the node
        first = wait_for(lambda: state.exists() and state.read_bytes())
        wait_for(lambda: logged(project, "going on from step"))
        cluster.ask("scancel", job)
        wait_for(lambda: state.read_bytes() != first)
        job_of(cluster, "rule_train_network", but=(job,))
        assert code_of(run, project) == 0, said(project)
        assert logged(project, "going on from step")
        whole.result()
    for name in ("checkpoints/map.safetensors", "checkpoints/map.json", "curves/map.parquet"):
        ours, theirs = (place.root / "results/unmask" / name for place in (project, here))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_a_job_that_needs_more_memory_than_it_asks_for_is_named_with_the_remedy(cluster, running, project):
    shutil.rmtree(project.root / "results/unmask/checkpoints")
    little = ("--set-resources", "train_network:mem_mb=100")
    run = running(project, "--retries", "0", *little, "--", CHECKPOINT, seconds=12)
    assert code_of(run, project) != 0
    assert "error: a job of train_network took more memory than it asks for" in said(project)
    assert "write a larger mem_mb for train_network" in said(project) and "Traceback" not in said(project)


def rules() -> dict[str, str]:
    """Return name -> text of all rules."""
    files = (path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    return {rule[: rule.index(":")]: rule for text in files for rule in re.split(r"^rule ", text, flags=re.M)[1:]}


def test_what_shares_a_job_is_a_chain_that_needs_no_gpu_and_may_leave_the_login_node():
    assert {name for name, text in rules().items() if re.search(r"^    group:", text, re.M)} == {*FACES}
    for before, after in itertools.pairwise(FACES):
        made = re.search(r'"(results/{source}/\w+/{shard}\.\w+)"', rules()[before].partition("output:")[2])[1]
        assert made in rules()[after].partition("output:")[0]
    assert not any(word in rules()[name] for name in FACES for word in ("gpu=", "localrule", "threads:"))


def test_profiles_agree_with_each_other_and_with_the_rules():
    profiles = {path.parent.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("profiles/*/config.yaml")}
    default = profiles.pop("default")
    shared = {key: default[key] for key in ("rerun-incomplete", "max-checksum-file-size", "show-failed-logs")}
    with_gpu = {name for name, text in rules().items() if "gpus=given_gpus" in text}
    assert {*profiles} == {"slurm", "kubernetes", "htcondor"} and with_gpu
    for name, profile in profiles.items():
        assert shared.items() <= profile.items(), name
        assert {rule for rule, given in profile["set-resources"].items() if given["gpu"] == 1} == with_gpu, name
