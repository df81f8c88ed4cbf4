"""What a job of a cluster is given and works on, on machines without a cluster too: GPUs, and the copy of the code."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from projects import ROOT, SNAKEMAKE, Project, edit_code, edit_config

from benchmarks.local_cluster import wait_for
from workflow_scripts.provenance import htcondor, job_code, runs

MAP = "experiments.unmask.map.training.device"
HERE = Path("/dev/nvidia0").exists()  # whether this machine has a GPU
CROPS = "results/photos/crops/00000.arrow"
RULE, GROUP = "rule_train_network/unmask_map", "group_faces_photos_00000_crop_faces_find_landmarks_index_source"
STARTED = "    rule crop_faces:\nlocalrule index_source:\n    jobid: 1\nlocalrule find_landmarks:\n    jobid: 2\n"
JOB = ("--mode", "remote", "--force", "--nolock", "--allowed-rules", "crop_faces", "--target-jobs")


def gpus_asked(project: Project) -> dict[str, list[str]]:
    """Return rule -> the GPUs that its jobs ask for in a dry run of everything; nothing where they have no such key."""
    planned = project.run("--dry-run", "--forceall").stdout
    blocks = re.findall(r"^rule (\w+):\n((?:    .*\n)+)", planned, re.M)
    return {rule: re.findall(r"\bgpu=(\w+)", text) for rule, text in blocks if rule != "train_network"} | {
        network: re.findall(r"\bgpu=(\w+)", text)
        for rule, text in blocks
        if rule == "train_network"
        for network in re.findall(r"network=(\w+)", text)
    }


@pytest.mark.parametrize("device", ["auto", "cuda", "cpu"])
def test_a_job_has_a_gpu_where_it_is_wanted_and_no_such_key_where_not(project, device):
    edit_config(MAP, device)(project)
    asked, auto = gpus_asked(project), ["1"] if HERE else []
    assert asked["map"] == {"auto": auto, "cuda": ["1"], "cpu": []}[device]
    assert asked["edit"] == asked["predict_maps"] == asked["edit_faces"] == auto
    assert asked["crop_faces"] == []


def test_another_number_of_gpus_runs_nothing_again(project):
    assert project.planned("--set-resources", "train_network:gpu=1", "predict_maps:gpu=1") == {}


@pytest.fixture
def handed_over(monkeypatch, tmp_path) -> Path:
    """A working folder in which a run hands over its code; the environment is put back."""
    for name in (job_code.JOB_CODE, "PYTHONPATH", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.chdir(tmp_path)
    return tmp_path / job_code.COPIES


def planned(config: dict) -> str:
    return job_code.digest_of(job_code.read_code(ROOT, config))


def test_equal_runs_share_a_copy_and_one_that_nobody_uses_goes(handed_over):
    config = {"seed": 1}
    assert job_code.hand_over(ROOT, config, planned(config)) is None
    (home,) = handed_over.iterdir()
    assert job_code.hand_over(ROOT, config, planned(config)) is None and [*handed_over.iterdir()] == [home]
    assert os.environ[job_code.JOB_CODE] == str(home) and job_code.run_config(home, {"seed": 2}) == config
    assert (home / "rules/common.smk").read_bytes() == (ROOT / "rules/common.smk").read_bytes()
    old = time.time() - job_code.KEPT - 60
    os.utime(home, (old, old))
    assert job_code.hand_over(ROOT, {"seed": 2}, planned({"seed": 2})) is None and not home.exists()


def test_the_copy_has_what_jobs_read_and_no_image_of_a_container(tmp_path):
    for name in ("rules/a.smk", "workflow_scripts/b/c.py", "envs/requirements.lock", "envs/conda/d.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    before = job_code.read_code(tmp_path, {})
    assert len(before) == 4 + 1
    (tmp_path / "envs/face-workflow.sif").write_bytes(b"gigabytes")
    assert job_code.read_code(tmp_path, {}) == before


def test_an_edit_while_jobs_are_planned_is_refused(handed_over):
    assert job_code.hand_over(ROOT, {"seed": 2}, planned({"seed": 1})).startswith("code was edited while this run")
    assert not handed_over.exists()


def test_a_job_works_on_the_copy_and_not_on_what_was_edited_since(project, handed_over, monkeypatch):
    """The command is the one by which a node runs a job."""
    before = (project.root / CROPS).read_bytes()
    record = project.root / "results/records/jobs/crop_faces/photos/00000.json"
    made = record.read_bytes()
    monkeypatch.chdir(project.root)
    code = job_code.read_code(project.root, project.config())
    assert job_code.hand_over(project.root, project.config(), job_code.digest_of(code)) is None
    edit_code("stages/faces/crop_faces.py", "def crop_faces(", "raise RuntimeError\ndef crop_faces(")(project)
    edit_config("sources.photos.crop.size", 32)(project)
    (project.root / CROPS).unlink()
    done = project.run(*JOB, "crop_faces:source=photos,shard=00000", cores=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.root / CROPS).read_bytes() == before
    assert digests_of(record.read_text()) == digests_of(made.decode())
    monkeypatch.delenv(job_code.JOB_CODE)
    assert project.run(*JOB, "crop_faces:source=photos,shard=00000", cores=1).returncode != 0
    assert "RuntimeError" in (project.root / "results/logs/crop_faces/photos/00000.log").read_text()


def test_a_training_saves_before_it_ends_when_its_whole_job_is_told_to_stop(project):
    """Slurm sends SIGTERM to every process of a job, the shell and `tee` among them."""
    for key, value in {"epochs": 2000, "save_every": 100_000, "preview_every": 2000}.items():
        edit_config(f"experiments.unmask.map.training.{key}", value)(project)
    shutil.rmtree(project.root / "results/unmask/resume")
    log = project.root / "results/logs/train_network/unmask/map.log"
    log.unlink()
    with open(project.root / "said.txt", "w") as said:
        command = [SNAKEMAKE, "--cores", "1", "--", "results/unmask/checkpoints/map.safetensors"]
        run = subprocess.Popen(command, cwd=project.root, stdout=said, stderr=said, start_new_session=True)
    try:
        wait_for(lambda: log.exists() and "epochs of" in log.read_text())
        os.killpg(run.pid, signal.SIGTERM)
        assert run.wait(120) != 0
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    assert (project.root / "results/unmask/resume/map/state.safetensors").exists()
    assert re.search(r"error: stopped at step \d+; start again to go on from there", log.read_text())


def test_the_first_process_of_a_job_of_htcondor_tells_all_others_to_stop_and_has_their_code(tmp_path):
    stage = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); print(flush=True); time.sleep(60)"
    job = ["/bin/sh", "-c", htcondor.SHELL, str(tmp_path), f'pwd; {sys.executable} -c "{stage}"']
    with subprocess.Popen(job, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert [process.stdout.readline() for _ in range(2)] == [f"{tmp_path}\n", "\n"]
        process.terminate()
        assert process.wait(30) == 3


def digests_of(record: str) -> str:
    return re.search(r'"digests": \{.*?\}', record, re.S)[0]


def test_a_job_that_htcondor_held_for_its_memory_is_named_with_what_to_raise(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = GROUP.partition("/")[0].removeprefix("group_")
    job = tmp_path / f".snakemake/htcondor/{name}/{name}-8e1d-b9_7.err"
    job.parent.mkdir(parents=True)
    job.write_text(STARTED)
    log = tmp_path / "run.log"
    held = "is held: Error from slot1@node: Job has gone over cgroup memory limit of 128 megabytes."
    lines = [f"Job 8e1d-b9 submitted to HTCondor Cluster ID 7 with batch name {name}-8e1d-b9"]
    lines += ["Job 3 submitted to HTCondor Cluster ID 70 with batch name make_pairs-3"]
    log.write_text("\n".join([*lines, f"    message: Job 8e1d-b9 with HTCondor Cluster ID 7 {held}For further"]))
    runs.explain_kill([str(log)])
    said = capsys.readouterr().err
    assert (
        "larger mem_mb for find_landmarks" in said
        and str(job.relative_to(tmp_path)) in said
        and "make_pairs" not in said
    )


@pytest.mark.parametrize(
    ("folder", "line", "named"),
    [
        (RULE, "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.", "larger mem_mb for train_network"),
        (RULE, "*** JOB 7 ON node CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***", "larger runtime for train_network"),
        (RULE, "*** JOB 7 ON node CANCELLED AT 2026-01-01 ***", None),
        (GROUP, f"{STARTED}slurmstepd: error: StepId=7.0 exceeded memory limit", "larger mem_mb for find_landmarks"),
    ],
)
def test_a_job_that_slurm_ended_at_a_limit_is_named_with_what_to_raise(tmp_path, capsys, folder, line, named):
    job = tmp_path / folder / "7.log"
    job.parent.mkdir(parents=True)
    job.write_text(f"Building DAG of jobs...\n{line}\n")
    log = tmp_path / "run.log"
    log.write_text(f"Job 0 has been submitted with SLURM jobid 7 (log: {job}).\n")
    runs.explain_kill([str(log)])
    said = capsys.readouterr().err
    assert (named in said) if named else (said == "")
