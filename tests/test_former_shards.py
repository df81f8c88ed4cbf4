"""A source that is divided into fewer shards than before leaves no files of the others behind."""

import json
import os
from pathlib import Path

import pytest
from projects import Project, edit_config

from workflow_scripts.provenance.former_shards import remove_former_shards
from workflow_scripts.provenance.verify_results import check


def test_a_folder_of_shards_holds_each_item_once_after_another_division(tmp_path, astronaut):
    project = Project.create(tmp_path, astronaut)
    photos = {"type": "folder", "path": "photos", "needs": []}
    project.configure({"shard_size": 8, "sources": {"photos": photos}})
    target, shards = "results/photos/index.parquet", tmp_path / "results/photos/index"
    project.said(target)
    assert len(list(shards.iterdir())) == 4
    edit_config("shard_size", 100)(project)
    assert "photos is divided into fewer shards than before; 6 files" in project.said(target)
    assert [path.name for path in shards.iterdir()] == ["00000.parquet"]


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """Results of a source of two shards, which an old and a new experiment use and which has had a third."""
    monkeypatch.chdir(tmp_path)
    results = Path("results")
    jobs = {"index_source/photos": (3, 4), "make_pairs/new/photos": (5, 6), "make_pairs/old/photos": (1, 2)}
    for job, made in jobs.items():
        for shard in range(3):
            made_then = made if shard < 2 else (0, 1)
            output = results / job / f"{shard}.bin"
            record = results / f"records/jobs/{job}/{shard:05d}.json"
            for path in (output, record):
                path.parent.mkdir(parents=True, exist_ok=True)
            output.write_bytes(b"")
            empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            values = {"module": "m", "digests": {}, "inputs": {}, "libraries": {}, "settings": {"shards": 2}}
            outputs = {os.path.relpath(output, results): (empty, 0)}
            outputs |= {"../mine.txt": (empty, 0)} if shard == 2 else {}  # no file of the workflow's
            record.write_text(json.dumps(values | {"outputs": outputs, "made": made_then}))
    return results


def test_what_is_left_over_is_named_and_an_experiment_that_has_not_run_since_stays_whole(results):
    Path("mine.txt").touch()
    left_over = [line for line in check(results) if line.startswith("left over: ")]
    assert left_over == [
        f"left over: results/{job}/2.bin is of a shard that photos no longer has; delete it"
        for job in ("index_source/photos", "make_pairs/new/photos")
    ]
    assert remove_former_shards(results) == [
        "photos is divided into fewer shards than before; 2 files of the others were deleted"
    ]
    assert sorted(str(path.relative_to(results)) for path in results.glob("*/**/2.bin")) == [
        "make_pairs/old/photos/2.bin"
    ]
    assert Path("mine.txt").exists()
    assert check(results) == [] and remove_former_shards(results) == []
