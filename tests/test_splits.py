"""Splits of an experiment: no picture and no person on two sides, whatever the sources hold."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.sources import FolderSource, PairsSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import INDEX, QUARANTINE, read_table, write_table
from workflow_scripts.stages.experiments.assign_splits import assign_splits

SOURCES = {
    "a": FolderSource(type="folder", path="faces"),
    "b": FolderSource(type="folder", path="faces"),  # the same folder again
    "c": FolderSource(type="folder", path="others"),
    "given": PairsSource(type="pairs", clean="x", occluded="y"),
}


def write_source(folder: Path, name: str, rows: list[tuple], lost: tuple[str, ...] = ()) -> None:
    """Write an index of (item, picture, person, split) rows and the quarantine."""
    index = [
        {"item": item, "sha256": picture, "identity": person, "split": split} for item, picture, person, split in rows
    ]
    write_table(folder / name / "index.parquet", index, INDEX)
    rejected = [{"item": item, "stage": "find_landmarks", "reason": "no face"} for item in lost]
    write_table(folder / name / "quarantine.parquet", rejected, QUARANTINE)
    prints = ({"item": item, "fingerprint": unlike(picture)} for item, picture, *_ in rows if item not in lost)
    write_shard(folder / name / "crops/0.arrow", prints, {"item": pa.string(), "fingerprint": (np.uint64, (4,))})


def unlike(picture: str) -> np.ndarray:
    """Return a fingerprint that is near to no other picture's."""
    return item_rng(0, picture, "fingerprint").integers(0, 2**64, 4, dtype=np.uint64)


def splits(folder: Path, used: dict[str, list[str]], score_train: int = 1):
    """Assign splits; return {source/item: row} and the items taken out."""
    experiment = BaseExperiment(system="unmask", score_train=score_train, **used)
    sources = {name: SOURCES[name] for names in used.values() for name in names}
    tables = (folder / name for name in ("splits.parquet", "training.parquet", "lost.parquet"))
    crops = [folder / name / "crops/0.arrow" for name in sources]
    index, lost = ([folder / name / f"{file}.parquet" for name in sources] for file in ("index", "quarantine"))
    assign_splits(experiment, sources, 1, index, lost, crops, *tables)
    table = read_table(folder / "splits.parquet")
    rows = {f"{row.source}/{row.item}": row for row in table.itertuples()}
    return rows, {row.item: row.reason for row in read_table(folder / "lost.parquet").itertuples()}


BASIC = [("t", "p1", None, "train"), ("v", "p2", None, "val"), ("s", "p3", None, "test")]


def test_a_training_picture_that_is_also_tested_on_is_taken_out(tmp_path):
    write_source(tmp_path, "a", [*BASIC, ("copy", "p9", None, "train"), ("copy_val", "p9", None, "val")])
    write_source(tmp_path, "given", [("g", "p9", None, "test"), ("unused", "p8", None, "train")])
    rows, lost = splits(tmp_path, {"train": ["a"], "test": ["given"]})
    assert lost == {"copy": "also in the test set", "copy_val": "also in the test set"}
    assert rows["given/g"].split == "test" and rows["given/unused"].split == "unused"
    assert rows["a/t"].split == "train" and rows["a/s"].split == "unused"  # `a` is not tested on


def test_a_person_is_on_one_side_only_across_sources_of_one_naming(tmp_path):
    write_source(tmp_path, "a", [*BASIC, ("x", "q1", "anna", "train"), ("y", "q2", "anna", "val")])
    write_source(tmp_path, "b", [("z", "q3", "anna", "test")])
    write_source(tmp_path, "c", [("w", "q4", "anna", "train")])  # another folder's anna is somebody else
    rows, lost = splits(tmp_path, {"train": ["a", "c"], "test": ["b"]})
    assert set(lost) == {"x", "y"} and rows["b/z"].split == "test" and rows["c/w"].split == "train"


def test_a_person_is_known_by_an_equal_picture_that_bears_the_name(tmp_path):
    write_source(tmp_path, "a", [*BASIC, ("1", "h1", "77", "train"), ("2", "h2", "77", "train")])
    write_source(tmp_path, "given", [("g", "h1", None, "test")])
    _, lost = splits(tmp_path, {"train": ["a"], "test": ["given"]})
    assert set(lost) == {"1", "2"}


def test_one_folder_is_one_naming_however_its_path_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "b", FolderSource(type="folder", path="./faces/"))
    write_source(tmp_path, "a", [*BASIC, ("x", "q1", "anna", "train")])
    write_source(tmp_path, "b", [("z", "q3", "anna", "test")])
    _, lost = splits(tmp_path, {"train": ["a"], "test": ["b"]})
    assert set(lost) == {"x"}


def test_what_is_tested_or_applied_changes_no_training_table(tmp_path):
    write_source(tmp_path, "a", BASIC)
    write_source(tmp_path, "b", [("new", "q3", None, "train")])
    splits(tmp_path, {"train": ["a"], "test": ["a"]}, score_train=0)
    before = (tmp_path / "training.parquet").read_bytes()
    splits(tmp_path, {"train": ["a"], "test": ["a"], "apply": ["b"]}, score_train=1)
    assert (tmp_path / "training.parquet").read_bytes() == before
    assert read_table(tmp_path / "training.parquet")["item"].tolist() == ["t", "v"]


def test_a_picture_watched_is_not_trained_on(tmp_path):
    write_source(tmp_path, "a", [*BASIC, ("double", "p2", None, "train")])
    rows, lost = splits(tmp_path, {"train": ["a"], "test": ["a"]})
    assert lost == {"double": "also in the val set"} and "a/double" not in rows


def test_applied_items_that_were_trained_on_are_marked(tmp_path):
    write_source(tmp_path, "a", [*BASIC, ("x", "q1", "anna", "train")])
    write_source(
        tmp_path, "b", [("same", "p1", None, "train"), ("anna2", "q2", "anna", "test"), ("new", "q3", None, "train")]
    )
    rows, _ = splits(tmp_path, {"train": ["a"], "test": ["a"], "apply": ["b"]})
    assert {name: rows[f"b/{name}"].seen for name in ("same", "anna2", "new")} == {
        "same": True,
        "anna2": True,
        "new": False,
    }
    assert all(rows[f"b/{name}"].split == "apply" and rows[f"b/{name}"].scored for name in ("same", "anna2", "new"))


def test_items_without_a_crop_have_no_split_and_few_training_items_are_scored(tmp_path):
    many = [(f"t{number}", f"m{number}", None, "train") for number in range(20)]
    write_source(tmp_path, "a", [*BASIC, *many], lost=("t3",))
    rows, _ = splits(tmp_path, {"train": ["a"], "test": ["a"]}, score_train=4)
    assert "a/t3" not in rows
    assert sum(row.scored for row in rows.values() if row.split == "train") == 4
    assert rows["a/s"].scored and not rows["a/v"].scored


def test_an_empty_split_is_named_with_the_sources_that_could_fill_it(tmp_path):
    write_source(tmp_path, "a", [("t", "p1", None, "train"), ("s", "p3", None, "test")])
    write_source(tmp_path, "b", [("x", "p4", None, "val")])
    with pytest.raises(UserError, match=r"no item is left in the val set \(sources a\)"):
        splits(tmp_path, {"train": ["a"], "test": ["a"], "apply": ["b"]})
