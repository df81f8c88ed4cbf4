"""The workflow on a real HTCondor: what jobs ask for, what a run survives, that results are those of one machine.

They are skipped where HTCondor or the plugin is not installed, and for root, whose jobs HTCondor does not run.
"""

import pytest
from cluster_runs import (
    CHECKPOINT,
    FACES,
    assert_a_training_goes_on,
    code_of,
    edit_everything,
    running_job,
    runs_of,
    said,
    without_results,
)
from test_chaos import digests

from benchmarks.htcondor_pool import Pool, missing
from benchmarks.local_cluster import wait_for

CROPS = "results/photos/crops/00000.arrow"


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    if lacks := missing():
        pytest.skip(lacks)
    with Pool(tmp_path_factory.mktemp("htcondor")).started() as pool:
        yield pool


@pytest.fixture
def running(pool):
    with runs_of(pool) as start:
        yield start


def test_a_shard_is_one_job_that_outlives_edits_and_makes_the_files_of_one_machine(pool, running, finished, tmp_path):
    project = without_results(finished, tmp_path / "a folder's name")
    run = running(project, CROPS)
    job = running_job(pool, f"faces_photos_00000_{'_'.join(sorted(FACES))}")
    edit_everything(project)
    assert code_of(run, project) == 0, said(project)
    ours, theirs = digests(project), digests(finished)
    assert ours == {name: theirs[name] for name in ours} and CROPS.removeprefix("results/") in ours
    asked = pool.jobs("RequestMemory", "RequestCpus", "RequestGPUs")
    assert asked[job][1:] == ["2000", "1", "undefined"]
    assert not any(name.startswith(FACES) for name, *_ in asked.values())
    command = pool.ask("condor_history", job, "-af", "Arguments")
    assert "snakemake" in command
    assert "snakemake-storage-plugin" not in command  # `make test` installs one, and jobs need not do so again


def test_a_training_that_is_preempted_and_one_that_is_removed_go_on(pool, running, project):
    def preempt() -> str:
        job = running_job(pool, "train_network")
        pool.ask("condor_vacate_job", job)
        return job

    def remove(job: str) -> None:
        pool.ask("condor_rm", job)
        running_job(pool, "train_network", but=(job,))

    assert_a_training_goes_on(project, running, preempt, remove)
    assert {gpus for name, gpus in pool.jobs("RequestGPUs").values() if name.startswith("train_network")} == {"1"}


def test_a_job_that_needs_more_memory_than_it_asks_for_is_named_with_the_remedy(pool, running, project):
    (project.root / CHECKPOINT).unlink()
    run = running(project, "--retries", "0", "--set-resources", "train_network:mem_mb=100", "--", CHECKPOINT)
    assert code_of(run, project) != 0
    assert "error: a job of train_network took more memory than it asks for" in said(project)
    assert "write a larger mem_mb for train_network" in said(project) and "Traceback" not in said(project)
    wait_for(lambda: not pool.ask("condor_q", "-af", "ClusterId"))
