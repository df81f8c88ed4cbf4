"""The table of costs at full size: its jobs are those that Snakemake plans, its rates those of a run's files."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from projects import Project

from benchmarks.scale.__main__ import describe, folder_of, table
from benchmarks.scale.pilots import STAND_INS, pilot_config
from benchmarks.scale.plans import Job, plan, snakemake
from benchmarks.scale.rates import NOISE, UNIT_OF, key_of
from benchmarks.scale.schedule import makespan
from benchmarks.scale.sizes import SIZES, Size, simulate
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table

FACES = 3000


@pytest.fixture(scope="module")
def tiny(finished, made_once, tmp_path_factory) -> tuple[Size, Path]:
    """The finished project's configuration with `FACES` pictures of type celeba, and a folder with two pilots of it."""
    work = tmp_path_factory.mktemp("scale")
    config = finished.config()
    config["sources"]["photos"]["type"] = "celeba"
    (work / "preset.yaml").write_text(yaml.safe_dump(config))
    (work / "tiny").mkdir()
    (work / "tiny/large").symlink_to(finished.root)
    (work / "tiny/small").symlink_to(made_once("half a project", lambda folder: run_half(finished, folder)))
    return Size("tiny", str(work / "preset.yaml"), "unmask", {"photos": FACES}, "faces"), work


def run_half(finished: Project, folder: Path) -> None:
    """Run the finished project's workflow on half of its pictures."""
    folder.rmdir()
    half = finished.copy(folder)
    config = half.config()
    config["sources"]["photos"]["subset"] = 0.5
    half.configure(config)
    half.said()


@pytest.fixture(scope="module")
def described(tiny, tmp_path_factory) -> dict:
    size, work = tiny
    return describe(size, work, {}, tmp_path_factory.mktemp("simulated"))


def test_the_jobs_of_the_table_are_those_that_snakemake_plans(tiny, described, tmp_path):
    simulate(tiny[0], tmp_path / "project", tmp_path / "data")
    (total,) = set(re.findall(r"^total +(\d+)", snakemake(tmp_path / "project", "--dry-run"), re.M))
    assert described["jobs"] == int(total) - 1  # without `all`
    assert described["parts"]["crop_faces"]["jobs"] == 32  # 3,000 items in shards of at most 150
    assert sum(part["jobs"] for part in described["parts"].values()) == described["jobs"]


def test_the_rates_of_the_table_are_those_of_the_two_runs(tiny, described):
    small, large = (tiny[1] / "tiny" / pilot / "results" for pilot in ("small", "large"))
    file = "records/jobs/find_landmarks/photos/00000.json"
    less, more = (json.loads((results / file).read_text())["processor"] for results in (small, large))
    few, many = (len(read_table(results / "photos/index.parquet")) for results in (small, large))
    item = max(more - less, NOISE) / (many - few)
    part = described["parts"]["find_landmarks"]
    assert list(part["measured"]) == [str(small / file), str(large / file)]
    assert part["seconds_of_a_job"] == pytest.approx(max(0, more - item * many) + item * FACES / 32)
    record = json.loads((large / file).read_text())
    size = sum(size for _, size in record["outputs"].values())
    assert part["bytes"] == pytest.approx(size / many * FACES)


def test_pairs_and_trainings_grow_with_the_items_of_their_splits(finished, described):
    splits = read_table(finished.root / "results/unmask/splits.parquet")
    split_of = dict(zip(splits["item"], splits["split"], strict=True))
    pairs = Shard(finished.root / "results/unmask/pairs/photos/00000.arrow").items
    shares = finished.config()["sources"]["photos"]["split"]
    rows = {
        split: FACES * share * sum(split_of.get(item) == split for item in pairs) / sum(splits["split"] == split)
        for split, share in shares.items()
    }
    assert described["parts"]["make_pairs"]["units"] == pytest.approx(sum(rows.values()))
    assert described["parts"]["train_network edit"]["units"] == pytest.approx(rows["train"], abs=8)  # batches of 8
    assert described["parts"]["edit_faces"]["units"] == pytest.approx(FACES * shares["test"] + 3)  # `score_train`


def test_the_hours_are_those_of_the_parts(described):
    hours = sum(part["jobs"] * (part["seconds_of_a_job"] or 0) for part in described["parts"].values()) / 3600
    assert hours / 2 <= described["hours"]["2 cores"] <= hours
    assert described["hours"]["64 slots"] < described["hours"]["2 cores"]
    assert described["unmeasured"] == ["check_landmarks"]  # of type celeba alone
    assert f"| {described['jobs']} |" in table({"tiny": described})


def test_trainings_that_were_timed_on_a_gpu_leave_the_slots(tiny, described, tmp_path):
    """An edit's step of a tenth of a second, so that the map is what takes long."""
    steps = {"edit": {"batch": 8, "seconds": 0.1}}
    timed = describe(*tiny, steps, tmp_path)
    assert timed["hours"].keys() - described["hours"].keys() == {"64 slots, 8 GPUs"}
    assert timed["parts"] == described["parts"]
    passes = described["parts"]["train_network edit"]["units"]
    map_alone, slots = described["parts"]["train_network map"]["seconds_of_a_job"], timed["hours"]["64 slots, 8 GPUs"]
    assert (passes / 8 * 0.1 + map_alone) / 3600 < slots < described["hours"]["64 slots"]


@pytest.mark.parametrize("size", SIZES, ids=folder_of)
def test_every_planned_job_has_a_unit_and_a_pilot_that_measures_it(size, tmp_path):
    few = replace(size, files=dict.fromkeys(size.files, 4))
    simulate(few, tmp_path / "project", tmp_path / "data")
    jobs, _ = plan(tmp_path / "project")
    assert {job.rule for job in jobs} <= UNIT_OF.keys()
    for pilot in STAND_INS:
        (tmp_path / pilot).mkdir()
        (tmp_path / pilot / "config.yaml").write_text(yaml.safe_dump(pilot_config(size, pilot)))
        measured = {key_of(job) for job in plan(tmp_path / pilot)[0]}
        assert {key_of(job) for job in jobs} - measured <= {("check_landmarks", "")}


def test_jobs_wait_for_their_inputs_for_slots_and_for_gpus():
    first, second = Job("a", {}, (), False), Job("b", {}, (0,), True)
    jobs = [first, second, second, Job("c", {}, (1, 2), False)]
    seconds = [1.0, 4.0, 4.0, 2.0]
    assert makespan(jobs, seconds, slots=1) == 11
    assert makespan(jobs, seconds, slots=9) == 7
    assert makespan(jobs, seconds, slots=9, gpus=2) == 7
    assert makespan(jobs, seconds, slots=9, gpus=1) == 11
    assert makespan([], [], slots=2) == 0
