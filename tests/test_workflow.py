"""The whole workflow by real Snakemake runs on a small folder: results, conservation, caching, single artifacts."""

import argparse
import json
import re
import shutil
import subprocess
from importlib.util import find_spec

import pytest
import torch
import yaml
from projects import PICTURES, ROOT, edit_config

from workflow_scripts.commands._trained import find_trained
from workflow_scripts.commands.families import removal
from workflow_scripts.config.load import load_config
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, read_tables
from workflow_scripts.systems._text_to_image.config import PARTS


def test_a_run_makes_every_artifact_of_the_contract(finished):
    results = finished.root / "results"
    for name in (
        "photos/index.parquet",
        "photos/quarantine.parquet",
        "photos/landmarks/00000.parquet",
        "photos/crops/00000.arrow",
        "photos/summary/summary.json",
        "unmask/splits.parquet",
        "unmask/pairs/photos/00000.arrow",
        "unmask/maps/photos/00000.arrow",
        "unmask/outputs/photos/00000.arrow",
        "unmask/checkpoints/map.safetensors",
        "unmask/checkpoints/edit.json",
        "unmask/curves/edit.parquet",
        "unmask/metrics.parquet",
        "unmask/metrics.json",
        "runs.parquet",
        "overview.html",
    ):
        assert (results / name).stat().st_size > 0, name
    assert not list(results.rglob("*.part"))
    metrics = read_table(results / "unmask/metrics.parquet")
    assert set(metrics["split"]) == {"train", "test"} and (metrics["split"] == "train").sum() == 3
    sidecar = json.loads((results / "unmask/checkpoints/edit.json").read_text())
    assert sidecar["network"] == "edit" and "torch" in str(sidecar)


def test_the_folder_of_checkpoints_is_all_that_is_needed_to_apply_them(finished, tmp_path):
    shutil.copytree(finished.root / "results/unmask/checkpoints", tmp_path / "checkpoints")
    trained = find_trained(tmp_path / "checkpoints")
    experiment = load_config(finished.config()).experiments["unmask"]
    assert trained.experiment("map").difference == experiment.difference
    assert trained.frame("map", None) == "celeba" and trained.size("map", "input") == 64
    removal.build_editor(trained, argparse.Namespace(frame=None, seed=1, count=1, diversity=None), torch.device("cpu"))


def test_items_in_are_items_out_plus_quarantined_at_every_stage(finished):
    results = finished.root / "results"
    lost = read_table(results / "photos/quarantine.parquet").set_index("item")

    def stage_lost(stage):
        return set(lost[lost["stage"] == stage].index)

    files = {path.name for path in (finished.root / "photos").iterdir()}
    index = set(read_table(results / "photos/index.parquet")["item"])
    assert index | stage_lost("index_source") == files and stage_lost("index_source") == {"broken.jpg"}
    found = set(read_table(results / "photos/landmarks/00000.parquet")["item"])
    assert found | stage_lost("find_landmarks") == index and "no_face.png" in stage_lost("find_landmarks")
    crops = Shard(results / "photos/crops/00000.arrow").items
    assert set(crops) | stage_lost("crop_faces") == found and len(crops) == len(set(crops)) >= PICTURES - 2
    rejected = read_tables(sorted((results / "unmask/quarantine/make_pairs/photos").iterdir()))
    pairs = Shard(results / "unmask/pairs/photos/00000.arrow").items
    assert set(pairs) | set(rejected["item"]) == set(crops)
    assert Shard(results / "unmask/maps/photos/00000.arrow").items == pairs
    splits = read_table(results / "unmask/splits.parquet")
    leaks = set(read_table(results / "unmask/quarantine/assign_splits.parquet")["item"])
    assert set(splits["item"]) | leaks == set(crops) and not set(splits["item"]) & leaks
    scored = set(splits[splits["scored"]]["item"]) & set(pairs)
    assert set(read_table(results / "unmask/metrics.parquet")["item"]) == scored


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_a_single_artifact_runs_only_its_ancestors(project):
    shutil.rmtree(project.root / "results")
    shutil.rmtree(project.root / ".snakemake")
    assert project.planned("results/photos/landmarks/00000.parquet") == {
        "fetch_weights": 1,
        "index_source": 1,
        "find_landmarks": 1,
    }


def test_a_wrong_configuration_ends_at_start_with_one_line(project):
    edit_config("experiments.unmask.edit.training.epoch", 3)(project)
    refused = project.run()
    assert refused.returncode != 0
    message = refused.stdout + refused.stderr
    assert "experiments.unmask.edit.training.epoch: unknown key; did you mean `epochs:`?" in message
    assert "Traceback" not in message and "Building DAG" not in message


@pytest.mark.parametrize("case", ["missing", "empty", "no picture"])
def test_a_folder_without_pictures_is_refused_with_one_line(project, case):
    shutil.rmtree(project.root / "photos")
    if case != "missing":
        (project.root / "photos").mkdir()
    if case == "no picture":
        (project.root / "photos/notes.txt").write_text("words")
    refused = project.run()
    message = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "photos" in message
    assert "Traceback" not in message, message
    assert re.search(r"error: .*photos", message)


def test_a_folder_without_faces_ends_with_a_clear_line(project):
    for path in (project.root / "photos").glob("portrait_*"):
        path.unlink()
    refused = project.run()
    message = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "error: no item is left" in message and "photos" in message
    assert "Traceback" not in message
    lost = read_table(project.root / "results/photos/quarantine.parquet")
    assert sorted(lost["reason"]) == ["no face", "not a picture"]


@pytest.mark.parametrize("full_at", ["weights", "crops"])
def test_a_full_disk_ends_with_a_clear_line_and_no_half_written_file(project, full_at):
    results = project.root / "results"
    before = 0 if full_at == "weights" else (results / "weights/landmarks.safetensors").stat().st_size
    shutil.rmtree(results)
    shutil.rmtree(project.root / ".snakemake")
    results.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={before + 400_000}", "tmpfs", str(results)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        refused = project.run("results/photos/crops/00000.arrow")
        message = refused.stdout + refused.stderr
        # Where Snakemake itself is the first to find no room, it says so in its own words.
        assert refused.returncode != 0, message
        assert "error: the disk is full" in message or "No space left on device" in message, message
        assert not (results / "photos/crops/00000.arrow").exists() and not list(results.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(results)], check=True)
    assert project.run("results/photos/crops/00000.arrow").returncode == 0


def test_sources_alone_are_a_whole_run(project):
    config = project.config()
    del config["experiments"]
    project.configure(config)
    assert project.planned() == {"write_overview": 1}
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    page = (project.root / "results/overview.html").read_text()
    assert "1 source, no experiment" in page and 'id="source-photos"' in page and "unmask" not in page


# Stages that write `metrics`, in each family.
SCORING = ("score_outputs", "score_frames", "merge_scores", "score_objects", "score_captions")
CLIPS = ("clip", "a", "b", "target", "driver")


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_presets_plan_the_whole_workflow(project, preset):
    if preset.startswith("paintings") and find_spec("diffusers") is None:
        pytest.skip("the group `paintings` is not installed")
    data = project.root / "data"
    pictures = (
        "celeba/img_align_celeba",
        "faces",
        "faces_wearing_real_masks",
        "photos",
        "paintings",
        "coco/val2017",
        "coco/train2017",
    )
    for folder in (*pictures, "celeba/wearing_synthetic_masks"):
        (data / folder).mkdir(parents=True)
        for number in range(3):
            suffix = "_N95" if "synthetic" in folder else ""
            shutil.copy(project.root / "photos/portrait_00.png", data / folder / f"{number:06d}{suffix}.jpg")
    (data / "paintings/000000.txt").write_text("a harbour at night")
    for part in PARTS:
        base = project.root / "models/stable-diffusion-v1-5" / part
        base.parent.mkdir(parents=True, exist_ok=True)
        base.touch()
    annotations = (f"coco/annotations/instances_{half}2017.json" for half in ("train", "val"))
    for file in (*annotations, "video/clip.mp4", *(f"videos/{name}.mp4" for name in CLIPS)):
        (data / file).parent.mkdir(exist_ok=True)
        (data / file).touch()
    (data / "videos.txt").write_text("videos/clip.mp4")
    stages = project.planned("--configfile", str(ROOT / "presets" / preset))
    config = load_config(yaml.safe_load((ROOT / "presets" / preset).read_text()))
    faces = any("crops" in config.needs_of(source) for source in config.sources)
    assert stages["write_overview"] == 1 and ("find_landmarks" in stages) == faces
    assert stages.get("train_network", 0) == sum(len(one.networks) for one in config.experiments.values())
    assert sum(stages.get(stage, 0) for stage in SCORING) >= len(config.experiments)
