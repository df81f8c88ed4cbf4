"""The whole workflow by real Snakemake runs on a small folder: results, conservation, caching, single artifacts."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from workflow_scripts.shards import Shard
from workflow_scripts.tables import read_table, read_tables

ROOT = Path(__file__).parent.parent
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
PICTURES = 30


def write_photos(folder: Path, astronaut: np.ndarray) -> None:
    """Write variants of one portrait, a picture without a face and a file that is no picture."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        turn = cv2.getRotationMatrix2D((225, 120), float(rng.uniform(-15, 15)), float(rng.uniform(0.8, 1.1)))
        light = rng.uniform(0.7, 1.2, 3)
        picture = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)[:300, 70:370]
        picture = np.clip(picture * light, 0, 255).astype(np.uint8)[..., ::-1]
        cv2.imwrite(str(folder / f"portrait_{number:02d}.png"), cv2.resize(picture, (200, 200)))
    cv2.imwrite(str(folder / "no_face.png"), np.full((200, 200, 3), 90, np.uint8))
    (folder / "broken.jpg").write_bytes(b"not a picture")


def tiny_config() -> dict:
    """Return the real configuration, shrunk: a folder, one epoch, few channels, nothing to download."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    source = {
        "type": "folder",
        "path": "photos",
        "crop": {"size": 64},
        "split": {"train": 0.6, "val": 0.2, "test": 0.2},
    }
    config["sources"] = {"photos": source}
    experiment = config["experiments"]["unmask"] | {"train": ["photos"], "test": ["photos"], "score_train": 3}
    experiment["occluders"]["variants"] = 1
    experiment |= {"evaluation": {"features": "none"}, "gallery": 2}
    for network in ("map", "edit"):
        experiment[network]["unet"] = {"blocks": 5, "channels": 4, "max_channels": 8, "squeeze_excitation": []}
        experiment[network]["training"] = {"epochs": 1, "batch_size": 8, "preview_items": 2}
    experiment["edit"]["perceptual"] = "none"
    config["experiments"] = {"unmask": experiment}
    return config


class Project:
    """A copy of the workflow's code with its own data and results."""

    def __init__(self, root: Path):
        self.root = root

    @classmethod
    def create(cls, root: Path, astronaut: np.ndarray) -> "Project":
        project = cls(root)
        for name in ("Snakefile", "rules", "workflow_scripts", "envs", "profiles"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, root / name)
        write_photos(root / "photos", astronaut)
        project.configure(tiny_config())
        return project

    def configure(self, config: dict) -> None:
        (self.root / "config.yaml").write_text(yaml.safe_dump(config))

    def config(self) -> dict:
        return yaml.safe_load((self.root / "config.yaml").read_text())

    def run(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess:
        command = [str(SNAKEMAKE), "--cores", str(cores), *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, check=False, timeout=600, env=environment
        )

    def planned(self, *targets: str) -> dict[str, int]:
        """Return which stages would run, and how many jobs of each."""
        printed = self.run("--dry-run", *targets)
        assert printed.returncode == 0, printed.stdout + printed.stderr
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", printed.stdout + printed.stderr, re.M | re.S)
        rows = (line.split() for line in table[1].splitlines()) if table else ()
        return {stage: int(count) for stage, count in rows if stage != "all"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, astronaut) -> Project:
    """A project whose workflow has run to the end."""
    project = Project.create(tmp_path_factory.mktemp("project"), astronaut)
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished project, to be changed."""
    shutil.copytree(finished.root, tmp_path / "project", copy_function=shutil.copy2)
    return Project(tmp_path / "project")


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
        "overview.html",
    ):
        assert (results / name).stat().st_size > 0, name
    assert not list(results.rglob("*.part"))
    metrics = read_table(results / "unmask/metrics.parquet")
    assert set(metrics["split"]) == {"train", "test"} and (metrics["split"] == "train").sum() == 3
    sidecar = json.loads((results / "unmask/checkpoints/edit.json").read_text())
    assert sidecar["network"] == "edit" and "torch" in str(sidecar)


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
    assert set(splits["item"]) == set(crops)
    scored = set(splits[splits["scored"]]["item"]) & set(pairs)
    assert set(read_table(results / "unmask/metrics.parquet")["item"]) == scored


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


EVALUATION = {"summarize_metrics": 1, "draw_figures": 1, "write_overview": 1}
AFTER_EDIT = {"edit_faces": 1, "score_outputs": 1} | EVALUATION
AFTER_PAIRS = {"train_network": 2, "predict_maps": 1} | AFTER_EDIT
AFTER_CROPS = {"make_pairs": 1} | AFTER_PAIRS


def edit_code(path: str, old: str, new: str):
    def change(project: Project) -> None:
        file = project.root / "workflow_scripts" / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return change


def edit_config(path: str, value: object):
    def change(project: Project) -> None:
        config = project.config()
        *parents, key = path.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
        project.configure(config)

    return change


def newer_mtime(project: Project) -> None:
    (project.root / "photos/portrait_00.png").touch()


EDITS = {
    "a comment": (edit_code("make_pairs.py", "DRAWS = 3", "DRAWS = 3  # three\n# words"), {}),
    "a docstring": (edit_code("maps.py", '"""', '"""Words. '), {}),
    "the scoring stage's own code": (
        edit_code("score_outputs.py", "import argparse", "import argparse\nimport string"),
        {"score_outputs": 1} | EVALUATION,
    ),
    "a module that pairs import indirectly": (
        edit_code("occluders/_fit.py", "import ", "import string\nimport "),
        AFTER_CROPS,
    ),
    "a value of the editing network": (
        edit_config("experiments.unmask.edit.training.batch_size", 4),
        {"train_network": 1} | AFTER_EDIT,
    ),
    "how a source's summary looks": (
        edit_code("reporting/contact_sheets.py", "COLUMNS = 8", "COLUMNS = 6"),
        {"summarize_source": 1, "write_overview": 1},
    ),
    "a value that only the figures use": (
        edit_config("experiments.unmask.gallery", 3),
        {"draw_figures": 1, "write_overview": 1},
    ),
    "the same value written differently": (edit_config("experiments.unmask.map.training.learning_rate", 0.0010), {}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_the_stages_that_depend_on_it_and_no_other(project, edit):
    change, expected = EDITS[edit]
    change(project)
    assert project.planned() == expected


def test_a_reverted_edit_reruns_nothing(project):
    file = project.root / "workflow_scripts/find_landmarks.py"
    text = file.read_text()
    file.write_text(text + "\nEXTRA = 1\n")
    assert "find_landmarks" in project.planned()
    file.write_text(text)
    assert project.planned() == {}


def test_a_newer_time_with_equal_content_costs_only_the_look(project):
    newer_mtime(project)
    assert project.run("results/photos/landmarks/00000.parquet").returncode == 0
    assert project.planned() == {}


def test_a_single_artifact_runs_only_its_ancestors(project):
    shutil.rmtree(project.root / "results")
    shutil.rmtree(project.root / ".snakemake")
    assert project.planned("results/photos/landmarks/00000.parquet") == {"index_source": 1, "find_landmarks": 1}


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


def test_a_full_disk_ends_with_a_clear_line_and_no_half_written_file(project):
    results = project.root / "results"
    shutil.rmtree(results)
    shutil.rmtree(project.root / ".snakemake")
    results.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(results)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        refused = project.run("results/photos/crops/00000.arrow")
        message = refused.stdout + refused.stderr
        assert refused.returncode != 0 and "error: the disk is full" in message, message
        assert not (results / "photos/crops/00000.arrow").exists() and not list(results.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(results)], check=True)
    assert project.run("results/photos/crops/00000.arrow").returncode == 0


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_presets_plan_the_whole_workflow(project, preset):
    for folder in ("celeba/img_align_celeba", "celeba/wearing_synthetic_masks", "faces", "faces_wearing_real_masks"):
        (project.root / "data" / folder).mkdir(parents=True)
        for number in range(3):
            suffix = "_N95" if "synthetic" in folder else ""
            shutil.copy(
                project.root / "photos/portrait_00.png", project.root / f"data/{folder}/{number:06d}{suffix}.jpg"
            )
    stages = project.planned("--configfile", str(ROOT / "presets" / preset))
    assert stages["train_network"] == 2 and stages["write_overview"] == 1 and stages["score_outputs"] >= 1
