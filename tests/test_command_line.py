"""What a user writes on the command line: targets beside a configuration, shards, and the keys that are passed on."""

import os
import re
import shutil
import subprocess

import pytest
from projects import ROOT, SNAKEMAKE, Project

from workflow_scripts.core.cli import one_line
from workflow_scripts.core.files import atomic_path


@pytest.fixture(scope="module")
def small(tmp_path_factory, astronaut) -> Project:
    """A project of one source in four shards, of which nothing is made but its index."""
    project = Project.create(tmp_path_factory.mktemp("small"), astronaut)
    photos = {"type": "folder", "path": "photos", "needs": []}
    project.configure({"shard_size": 8, "sources": {"photos": photos, "few": photos | {"path": "few"}}})
    (project.root / "few").mkdir()
    shutil.copy(project.root / "photos/no_face.png", project.root / "few")
    shutil.copy(project.root / "config.yaml", project.root / "mine.yaml")
    return project


@pytest.mark.parametrize(
    "file", ["index/00004.parquet", "crops/00009.arrow", "quarantine/find_landmarks/12345.parquet"]
)
def test_a_shard_that_does_not_exist_is_one_line_that_names_those_that_do(small, file):
    done = small.run("--dry-run", f"results/photos/{file}")
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "error: photos has shards 00000 to 00003, and no " in said
    assert "Traceback" not in said and "Exception" not in said


def test_the_only_shard_is_named(small):
    assert "few has the shard 00000 alone" in small.run("--dry-run", "results/few/index/00001.parquet").stderr


def test_a_fork_is_what_the_command_is(small):
    """As the tests run it (`started_snakemake.py`)."""

    def told(done: subprocess.CompletedProcess) -> list[str]:
        """Return all lines but those of the time and of a random number."""
        lines = (done.stdout + done.stderr).splitlines()
        return [line for line in lines if not re.match(r"\[|  Date:|  Workflow ID:", line)]

    small.planned()  # the first start in a folder says that it migrates `.snakemake`
    command = [SNAKEMAKE, "--cores", "2", "--dry-run", "results/few/index.parquet"]
    plain = subprocess.run(command, cwd=small.root, capture_output=True, text=True, check=True)
    assert told(small.run(*command[3:])) == told(plain) and "rule index_source:" in told(plain)


def test_waiting_jobs_are_looked_at_when_one_ends_and_not_all_the_time(small):
    said = small.run("--verbose", "results/photos/index.parquet", cores=1).stderr
    assert said.count("Ready jobs: ") <= said.count("Finished jobid: ")


def test_a_target_beside_a_configuration_comes_after_two_dashes(small):
    target = "results/few/index.parquet"
    done = small.run("--configfile", "mine.yaml", "--", target)
    assert done.returncode == 0 and (small.root / target).exists(), done.stderr


def test_a_result_that_was_read_as_a_configuration_is_named(small):
    (small.root / "results/few").mkdir(parents=True, exist_ok=True)
    (small.root / "results/few/summary.json").write_text('{"seed": 3}')
    done = small.run("--dry-run", "--configfile", "mine.yaml", "results/few/summary.json")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and "write `--` before the targets" in line and "Traceback" not in done.stderr


def test_a_key_that_stands_twice_in_the_configuration_is_named(small):
    text = (small.root / "config.yaml").read_text()
    (small.root / "twice.yaml").write_text(f"{text}shard_size: 9\n")
    done = small.run("--dry-run", "--configfile", "twice.yaml")
    assert done.returncode == 1 and "twice.yaml: `shard_size` stands in line " in done.stderr


def test_make_run_passes_configuration_and_targets_on_and_makes_no_report(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/requirements.lock").touch()
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".venv/.ready").touch()
    (tmp_path / "mine.yaml").touch()
    command = ["make", "run", "CONFIG=mine.yaml", "TARGET=results/a.parquet results/b.parquet", "CORES=3"]
    # Where make runs the tests, it would hand its own options on, and this one would tell its folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert said[0] == "-m workflow_scripts.config.well_formed mine.yaml"
    assert said[1] == "-m snakemake --configfile mine.yaml --cores 3 -- results/a.parquet results/b.parquet"
    assert len(said) == 3 and "verify_results" in said[2]


@pytest.mark.parametrize(
    ("output", "way"),
    [
        ("file/a", "file is where a folder"),
        ("file/a/b", "file is where a folder"),
        ("folder", "folder is where a file"),
    ],
)
def test_an_output_in_whose_way_something_lies_is_one_line_that_names_it(tmp_path, output, way):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    line = rf"^error: a {way} belongs: {tmp_path}/\w+[^\n]*$"
    with pytest.raises(SystemExit, match=line), one_line(), atomic_path(tmp_path / output):
        pass
