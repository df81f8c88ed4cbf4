"""Results shared between working copies: taken when all they depend on is the same, and never when it is not."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from projects import Project, edit_code, edit_config

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import sha256_of
from workflow_scripts.provenance.store import KEY, SHARED, STORE, Job, Target, check_store, put, result_key, take

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


def change(entry: Path, files: dict) -> None:
    """Change the files in an entry's note, or add some."""
    known = json.loads((entry / "entry.json").read_text())
    known["files"] |= files
    (entry / "entry.json").write_text(json.dumps(known))


def replace(place: Path, make: Callable[[Path], object]) -> None:
    place.unlink()
    make(place)


OUTSIDE = Path("../../../outside")  # from an entry
WORDS = hashlib.sha256(b"words").hexdigest()
NAMES = ("0/x", "0/../x", "1/../../../../x.py", "1/../a", "1//a", "1/.hidden", "1/b/.hidden", "2", "2/a", "-1", "01")
NAMES += ("1", "/tmp/x", "", "..", "1/", "٠", "1/a\0b", "1/a.png/b", f"1/{'x' * 300}", "\udcff")

FAULTS = {
    **{f"name {name!r}": lambda entry, name=name: change(entry, files={name: WORDS}) for name in NAMES},
    "link to a file": lambda entry: replace(entry / "0", lambda path: path.symlink_to(OUTSIDE / "words")),
    "link in a folder": lambda entry: replace(
        entry / "1/a.png", lambda path: path.symlink_to(Path("..") / OUTSIDE / "a.png")
    ),
    "link to a folder": lambda entry: (shutil.rmtree(entry / "1"), (entry / "1").symlink_to(OUTSIDE)),
    "link to the note": lambda entry: (
        (entry / "entry.json").rename(entry / "note"),
        (entry / "entry.json").symlink_to("note"),
    ),
    "pipe": lambda entry: replace(entry / "0", os.mkfifo),
    "pipe for the note": lambda entry: replace(entry / "entry.json", os.mkfifo),
    "folder for a file": lambda entry: replace(entry / "0", Path.mkdir),
    "no files": lambda entry: (entry / "entry.json").write_text('{"files": {}, "folders": [0, 1]}'),
    "files of another kind": lambda entry: (entry / "entry.json").write_text('{"files": ["0"]}'),
    "digest of another kind": lambda entry: change(entry, files={"0": 1}),
    "a list": lambda entry: (entry / "entry.json").write_text("[]"),
    "nested": lambda entry: (entry / "entry.json").write_text("[" * 100_000),
    "not UTF-8": lambda entry: (entry / "entry.json").write_bytes(b"\xff"),
    "empty": lambda entry: ((entry / "0").write_bytes(b""), change(entry, files={"0": hashlib.sha256().hexdigest()})),
    "only the file": lambda entry: (entry / "entry.json").write_text(json.dumps({"files": {"0": WORDS}})),
    "flipped": lambda entry: flip(entry / "1/a.png"),
    "lost": lambda entry: (entry / "0").unlink(),
    "cut": lambda entry: os.truncate(entry / "0", 3),
    "unreadable": lambda entry: (entry / "entry.json").write_text("{"),
    "partial": lambda entry: (entry / "entry.json").unlink(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_an_entry_goes_unseen(tmp_path, capsys, fault):
    made, wanted, entry = table_and_folder(tmp_path)
    put(entry, made)
    assert take(entry, wanted)
    assert wanted[0].path.read_text() == "words" and (wanted[1].path / "a.png").read_bytes() == b"picture"
    for target in wanted:
        shutil.move(target.path, tmp_path / "before" / target.path.name)
    FAULTS[fault](entry)
    assert not take(entry, wanted) and "is damaged" in capsys.readouterr().err
    assert not os.listdir(wanted[0].path.parent), "an entry is taken whole or not at all"
    assert not os.path.lexists(entry)
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["a.png", "words"]
    put(entry, made)
    assert take(entry, wanted)


def test_an_entry_that_is_a_link_is_not_followed(tmp_path, capsys):
    made, wanted, entry = table_and_folder(tmp_path)
    put(entry, made)
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    assert not take(entry, wanted) and "is damaged" in capsys.readouterr().err
    assert not entry.is_symlink() and (tmp_path / "elsewhere/0").read_text() == "words"


def table_and_folder(tmp_path: Path) -> tuple[list[Target], list[Target], Path]:
    """Return a file and a folder that were made, where they are wanted, and an entry that is not there yet."""
    made, wanted = (
        [Target(tmp_path / name / "table", False), Target(tmp_path / name / "folder", True)]
        for name in ("made", "wanted")
    )
    made[1].path.mkdir(parents=True)
    made[0].path.write_text("words")
    (made[1].path / "a.png").write_bytes(b"picture")
    for name in ("outside", "before"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside/a.png").write_bytes(b"picture")
    (tmp_path / "outside/words").write_text("words")
    return made, wanted, tmp_path / "store/ke/key"


def test_with_a_secret_only_what_is_signed_with_it_is_taken(tmp_path, capsys, monkeypatch):
    made, wanted, entry = table_and_folder(tmp_path)
    put(entry, made)
    monkeypatch.setenv(KEY, "secret")
    assert not take(entry, wanted) and f"not signed with your {KEY}" in capsys.readouterr().err
    put(entry, made)
    assert take(entry, wanted)
    entry.rename(entry.with_name("another"))
    assert not take(entry.with_name("another"), wanted), "the signature is that of another job"
    put(entry, made)
    forged = json.loads((entry / "entry.json").read_text())
    (entry / "0").write_text("other")
    forged["files"]["0"] = sha256_of(entry / "0")
    (entry / "entry.json").write_text(json.dumps(forged))
    assert not take(entry, wanted)
    put(entry, made)
    monkeypatch.setenv(KEY, "another secret")
    assert not take(entry, wanted)


@pytest.mark.parametrize("open_to", ["group", "all", "entry"])
def test_a_store_that_others_write_to_is_refused_unless_they_are_trusted(tmp_path, capsys, monkeypatch, open_to):
    made, wanted, entry = table_and_folder(tmp_path)
    put(entry, made)
    monkeypatch.setenv(STORE, str(tmp_path / "store"))
    check_store()
    (entry if open_to == "entry" else tmp_path / "store").chmod(0o775 if open_to == "group" else 0o757)
    if open_to == "entry":
        assert not take(entry, wanted) and "others can write to it" in capsys.readouterr().err
        put(entry, made)
        entry.chmod(0o777)
    else:
        with pytest.raises(UserError, match=f"others can write to it, .* set {SHARED}=1"):
            check_store()
    monkeypatch.setenv(SHARED, "1")
    check_store()
    assert take(entry, wanted)


def test_a_store_of_ours_is_open_to_nobody_whatever_the_umask(tmp_path):
    made, wanted, entry = table_and_folder(tmp_path)
    before = os.umask(0)
    try:
        put(entry, made)
    finally:
        os.umask(before)
    assert take(entry, wanted)


def test_a_run_with_an_open_store_ends_at_its_start(clone, shared):
    shared.store.chmod(0o777)
    refused = clone.run(LANDMARKS)
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "Traceback" not in said
    assert f"error: {STORE}={shared.store}: others can write to it" in said and not list(clone.root.glob("results/*"))


def test_a_key_depends_on_code_libraries_command_and_contents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(f"results/{name}/pairs").mkdir(parents=True)
        Path(f"results/{name}/pairs/0.arrow").write_text("same")

    def key(name: str = "a", code: str = "code:1,lock:1", seed: int = 1, option: str = "pairs") -> str:
        pairs = Path(f"results/{name}/pairs/0.arrow")
        return result_key(Job("stages.x", code, {"seed": seed}, {option: [pairs]}))

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
