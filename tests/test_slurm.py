"""The workflow on a real Slurm: what jobs are given, what a run survives, that results are those of one machine.

They are skipped where Slurm or the plugin is not installed. A reaction of the plugin takes seconds: it asks for the
state of its jobs, and Slurm gives a job that it stops time to end, and starts it again after that.
"""

import itertools
import json
import re
import shutil

import pytest
import yaml
from cluster_runs import (
    CHECKPOINT,
    FACES,
    LOG,
    assert_a_training_goes_on,
    code_of,
    edit_everything,
    running_job,
    runs_of,
    said,
    without_results,
)
from projects import ROOT, edit_code
from test_chaos import digests

from benchmarks.local_cluster import wait_for
from benchmarks.slurm_cluster import Cluster, missing


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if lacks := missing():
        pytest.skip(lacks)
    with Cluster(tmp_path_factory.mktemp("slurm")).started() as cluster:
        yield cluster


@pytest.fixture
def running(cluster):
    with runs_of(cluster) as start:
        yield start


def test_a_run_outlives_a_node_and_edits_and_makes_the_files_of_one_machine(cluster, running, finished, tmp_path):
    project = without_results(finished, tmp_path / "project")
    before = {name: (project.root / name).read_bytes() for name in ("config.yaml", "rules/faces.smk")}
    run = running(project, CHECKPOINT, seconds=7)
    faces = running_job(cluster, f"rule_faces_photos_00000_{'_'.join(sorted(FACES))}")
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
    def preempt() -> str:
        job = running_job(cluster, "rule_train_network")
        cluster.ask("scontrol", "requeue", job)  # as Slurm does it when another job needs the node
        return job

    def cancel(job: str) -> None:
        cluster.ask("scancel", job)
        running_job(cluster, "rule_train_network", but=(job,))

    assert_a_training_goes_on(project, running, preempt, cancel)


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
