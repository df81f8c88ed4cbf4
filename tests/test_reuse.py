"""Results shared between working copies: taken when all they depend on is the same, and never when it is not."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from projects import Project, edit_code, edit_config

from workflow_scripts.provenance.store import Job, put, result_key, take

LANDMARKS = "results/photos/landmarks/00000.parquet"
CHECKPOINT = "results/unmask/checkpoints/map.safetensors"
TAKEN = "taken from the store"


class Shared(NamedTuple):
    """A store that one working copy has filled, its entries then, and the copy's results."""

    store: Path
    entries: list[Path]
    results: Path


@pytest.fixture(scope="session")
def first(made_once, astronaut) -> Path:
    """The folder of a working copy that has filled the store in it."""

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACE_WORKFLOW_STORE", str(folder / "store"))
            Project.create(folder, astronaut).said(CHECKPOINT)

    return made_once("project_with_store", fill)


@pytest.fixture
def shared(first, tmp_path) -> Shared:
    """A store to be changed: what one test puts into it or damages, no other sees."""
    store = shutil.copytree(first / "store", tmp_path / "store")
    return Shared(store, entries(store), first / "results")


@pytest.fixture
def clone(shared, tmp_path, astronaut, monkeypatch) -> Project:
    """A second working copy, without results."""
    monkeypatch.setenv("FACE_WORKFLOW_STORE", str(shared.store))
    return Project.create(tmp_path / "clone", astronaut)


def log(project: Project, name: str) -> str:
    return (project.root / f"results/logs/{name}.log").read_text()


def entries(store: Path) -> list[Path]:
    return sorted(path.parent for path in store.glob("*/*/entry.json"))


def test_a_second_clone_takes_what_the_first_made(shared, clone):
    config = clone.config()
    config["experiments"] = {"renamed": config["experiments"]["unmask"]}
    clone.configure(config)
    clone.said(CHECKPOINT.replace("unmask", "renamed"))
    for name in ("find_landmarks/photos/00000", "crop_faces/photos/00000", "make_pairs/renamed/photos/00000"):
        assert TAKEN in log(clone, name), name
    assert TAKEN in log(clone, "train_network/renamed/map") and entries(shared.store) == shared.entries
    first = shared.results
    pairs = [(path, clone.root / "results" / path.relative_to(first)) for path in first.glob("photos/**/*.*")]
    for folder in ("checkpoints", "curves", "previews", "pairs", "quarantine"):
        theirs, ours = first / "unmask" / folder, clone.root / "results/renamed" / folder
        pairs += [(path, ours / path.relative_to(theirs)) for path in theirs.rglob("*.*")]
    compared = [path for path, other in pairs if path.name[0] != "." and path.read_bytes() == other.read_bytes()]
    assert len(compared) == len([path for path, _ in pairs if path.name[0] != "."]) > 12
    assert not any(path.is_symlink() for _, path in pairs), "results stay when the store goes"


EDITS = {
    "code": edit_code("faces/detection.py", "import numpy", "import string\n\nimport numpy"),
    "config": edit_config("sources.photos.faces", {"min_size": 30}),
    "input": lambda project: (project.root / "photos/portrait_00.png").unlink(),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_change_of_what_a_result_depends_on_takes_nothing(clone, edit):
    EDITS[edit](clone)
    clone.said(LANDMARKS)
    assert TAKEN not in log(clone, "find_landmarks/photos/00000")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_entry_is_made_anew(shared, clone):
    first = (shared.results.parent / LANDMARKS).read_bytes()
    entry = next(entry for entry in shared.entries if (entry / "0").read_bytes() == first)
    flip(entry / "0")
    clone.said(LANDMARKS)
    assert (clone.root / LANDMARKS).read_bytes() == first == (entry / "0").read_bytes()
    said = log(clone, "find_landmarks/photos/00000")
    assert "is damaged" in said and TAKEN not in said


FAULTS = {
    "flipped": lambda entry: flip(entry / "1/a.png"),
    "lost": lambda entry: (entry / "0").unlink(),
    "cut": lambda entry: os.truncate(entry / "0", 3),
    "unreadable": lambda entry: (entry / "entry.json").write_text("{"),
    "partial": lambda entry: (entry / "entry.json").unlink(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_an_entry_goes_unseen(tmp_path, capsys, fault):
    made, wanted = ([tmp_path / name / "table", tmp_path / name / "folder"] for name in ("made", "wanted"))
    made[1].mkdir(parents=True)
    made[0].write_text("words")
    (made[1] / "a.png").write_bytes(b"picture")
    entry = tmp_path / "store" / "key"
    put(entry, made)
    assert take(entry, wanted)
    assert wanted[0].read_text() == "words" and (wanted[1] / "a.png").read_bytes() == b"picture"
    FAULTS[fault](entry)
    assert not take(entry, wanted) and "is damaged" in capsys.readouterr().err
    put(entry, made)
    assert take(entry, wanted)


def test_a_key_depends_on_code_libraries_command_and_contents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(f"results/{name}/pairs").mkdir(parents=True)
        Path(f"results/{name}/pairs/0.arrow").write_text("same")

    def key(name: str = "a", code: str = "code:1,lock:1", seed: int = 1, option: str = "pairs") -> str:
        pairs, maps = (Path(f"results/{name}/{kind}/0.arrow") for kind in ("pairs", "maps"))
        return result_key(Job("stages.x", code, {"seed": seed}, {option: [pairs]}, [maps]))

    first = key()
    assert key("b") == first, "another experiment"
    others = {key(code="code:2,lock:1"), key(code="code:1,lock:2"), key(seed=2), key(option="maps")}
    Path("results/a/pairs/0.arrow").write_text("other")
    assert len({first, key(), *others}) == 6


def test_a_store_that_cannot_be_written_stops_no_run(clone, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FACE_WORKFLOW_STORE", str(tmp_path / "file"))
    clone.said(LANDMARKS)
    assert "not put into the store" in log(clone, "find_landmarks/photos/00000")
