"""Rebuilds are equal byte for byte, and the manifest names what is not as the workflow made it, and why."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from projects import Project, edit_code, edit_config

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table


def verify(project: Project, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "workflow_scripts.provenance.verify_results", *arguments]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(finished, tmp_path_factory) -> Project:
    """A project whose workflow has run to the end on two cores, with its manifest."""
    project = finished.copy(tmp_path_factory.mktemp("built") / "project")
    code, said = verify(project, "check")
    assert code == 0 and "files are what the workflow made" in said
    return project


@pytest.fixture
def project(built, tmp_path) -> Project:
    """A copy of the built project, to be changed."""
    return built.copy(tmp_path / "project")


def test_two_rebuilds_from_nothing_are_equal_on_one_core_and_on_two(built, tmp_path, astronaut):
    again = Project.create(tmp_path, astronaut)
    done = again.run(cores=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verify(again, "check")[0] == 0
    code, said = verify(again, "compare", str(built.root / "results"), "results")
    assert code == 0 and said.endswith("artifacts, byte for byte\n"), said
    ours, theirs = (json.loads((place.root / "results/manifest.json").read_text()) for place in (again, built))
    assert ours == theirs
    for name in (
        *("photos/index.parquet", "photos/landmarks/00000.parquet", "photos/crops/00000.arrow", "overview.html"),
        *("unmask/pairs/photos/00000.arrow", "unmask/checkpoints/edit.safetensors", "unmask/checkpoints/edit.json"),
        *("unmask/metrics.json", "unmask/figures/gallery_photos.png", "unmask/previews/map/epoch_0001.png"),
    ):
        assert name in ours["artifacts"], name
    assert not any(name.startswith(("logs/", "benchmarks/", "records/")) for name in ours["artifacts"])


def test_the_size_of_shards_changes_no_merged_table_and_no_pixel(built, tmp_path, astronaut):
    small = Project.create(tmp_path, astronaut)
    edit_config("shard_size", 20)(small)
    small.said("results/unmask/metrics.json")
    results = (built.root / "results", small.root / "results")
    for name in (
        *("photos/index.parquet", "photos/quarantine.parquet", "unmask/splits.parquet", "unmask/metrics.parquet"),
        *("unmask/metrics.json", "unmask/checkpoints/map.safetensors", "unmask/checkpoints/edit.safetensors"),
    ):
        whole, parts = ((folder / name).read_bytes() for folder in results)
        assert whole == parts, name
    for folder, columns in {
        "photos/crops": ("image", "landmarks"),
        "unmask/pairs/photos": ("input", "target", "map", "coverage"),
        "unmask/maps/photos": ("probability", "map"),
        "unmask/outputs/photos": ("output", "composite"),
    }.items():
        whole, parts = (read_pixels(place / folder, columns) for place in results)
        assert whole.keys() == parts.keys() and len(list((results[1] / folder).iterdir())) == 2
        for key, value in whole.items():
            np.testing.assert_array_equal(value, parts[key])


def read_pixels(folder: Path, columns: tuple[str, ...]) -> dict[tuple, np.ndarray]:
    shards = [Shard(path) for path in sorted(folder.iterdir())]
    return {
        (item, column): shard.tensor(column, row)
        for shard in shards
        for row, item in enumerate(shard.items)
        for column in columns
    }


def test_a_flipped_byte_a_deleted_and_an_extra_file_are_named(project):
    results = project.root / "results"
    flipped_name, deleted_name = "results/photos/crops/00000.arrow", "results/unmask/metrics.json"
    flipped, deleted, extra = project.root / flipped_name, project.root / deleted_name, results / "photos/notes.txt"
    again = "make it again: snakemake --cores all --force"
    status = flipped.stat()
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    os.utime(flipped, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a failing disk does it
    deleted.unlink()
    extra.write_text("words")
    for _ in range(2):  # looking does not make it good
        code, said = verify(project, "check")
        assert code == 1 and said.splitlines() == [
            f"changed: {flipped_name} is not what crop_faces photos/00000 made; {again} {flipped_name}",
            f"missing: {deleted_name}; {again} {deleted_name}",
            "unknown: results/photos/notes.txt was not made by the workflow; move it elsewhere",
        ]
    extra.unlink()
    project.said("--force", flipped_name)
    project.said("--force", deleted_name)
    assert verify(project, "update")[0] == 0 and verify(project, "check")[0] == 0


def test_without_records_of_the_run_nothing_can_be_said(project):
    shutil.rmtree(project.root / "results/records")
    code, said = verify(project, "check")
    assert code == 1 and said.startswith("error: results has no records of a run")


def test_explain_tells_the_way_from_the_pictures_to_a_score(project):
    _, said = verify(project, "explain", "results/unmask/metrics.json")
    order = (
        "by summarize_scores unmask (python -m",
        "by score_outputs unmask/photos/00000",
        "by crop_faces photos/00000",
    )
    assert sorted(order, key=said.index) == list(order)
    index = read_table(project.root / "results/photos/index.parquet")
    assert f"files: {len(index) + 1} of the source: broken.jpg, no_face.png" in said
    assert '"learning_rate": 0.001' in said and "torch 2." in said
    code, said = verify(project, "explain", "results/nothing.parquet")
    assert code == 1 and "is not in results/manifest.json" in said


SPLITS = "results/unmask/splits.parquet"
CAUSES = {
    "setting": (edit_config("experiments.unmask.score_train", 4), "setting experiment.score_train: 3 -> 4"),
    "code": (edit_code("stages/experiments/assign_splits.py", '"scored", row', '"chosen", row'), "code "),
    "picture": (
        lambda project: (project.root / "photos/portrait_00.png").unlink(),
        "1 files of the source differ: portrait_00",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_compare_names_the_first_cause_of_a_difference(built, project, cause):
    change, reason = CAUSES[cause]
    change(project)
    project.said(SPLITS)
    assert verify(project, "update")[0] == 0
    _, said = verify(project, "compare", str(built.root / "results"), "results")
    groups = said.split(" differ, because\n")
    causes = next(group for group in groups if "  unmask/splits.parquet" in group).split("\n  unmask")[0]
    stage = "index_source photos/00000" if cause == "picture" else "assign_splits unmask"
    assert causes.strip().startswith(f"{stage}: {reason}") and "\n    " not in causes.strip(), said
    assert "metrics.json" not in said  # not made again
