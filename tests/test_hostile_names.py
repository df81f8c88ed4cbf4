"""Names and paths that are text for a shell, a template, a terminal or a page: nothing of them runs or gets lost."""

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hostile import CLIPS, HOME, NOT_UTF8, SHELL, WORDS, add_environment, create_hostile
from projects import Project

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import CocoSource
from workflow_scripts.core.cli import UserError, run
from workflow_scripts.core.files import atomic_folder, write_text
from workflow_scripts.core.names import LONGEST, file_names, readable
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.occluders._pictures import list_pictures
from workflow_scripts.sources.coco import annotation_files

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def make(project: Project, *goals: str) -> subprocess.CompletedProcess:
    command = ["make", *goals, "CORES=2", "PYTHON=false"]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS")}
    return subprocess.run(command, cwd=project.root, capture_output=True, env=environment, timeout=600)


@pytest.fixture(scope="session")
def hostile(made_once, astronaut) -> Project:
    """A project full of hostile names, of which `make run` has made everything, with a store."""

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACE_WORKFLOW_STORE", str(folder / f"store {SHELL}"))
            project = create_hostile(folder, astronaut)
            runs = [make(project, "run"), make(project, "run", "TARGET=results/unmask/export")]
        said = b"".join(done.stdout + done.stderr for done in runs)
        (folder / "said").write_bytes(said)
        assert not any(done.returncode for done in runs), said.decode(errors="replace")

    return Project(made_once("hostile", fill) / HOME)


def test_nothing_of_a_name_is_executed(hostile):
    assert not [path for path in hostile.root.parent.rglob("*") if path.name in ("PWNED", "out")]
    assert list((hostile.root.parent / f"store {SHELL}").glob("*/*/entry.json"))


def test_no_item_is_lost(hostile):
    results = hostile.root / "results"
    photos = {f"{SHELL}/{name}.png" for name in WORDS}
    refused = f"{SHELL}/{readable(NOT_UTF8)}.png"
    lost = read_table(results / "photos/quarantine.parquet")
    assert lost.loc[lost["stage"] == "index_source", "item"].tolist() == [refused]
    assert set(read_table(results / "photos/index.parquet")["item"]) == photos
    assert {*Shard(results / "photos/crops/00000.arrow").items, *lost["item"]} == photos | {refused}
    assert len(read_table(results / "coco/index.parquet")) == len(WORDS)
    assert set(read_table(results / "clips/index.parquet")["file"]) == {f"{name}.mp4" for name in CLIPS}
    assert set(read_table(results / "coco/objects/00000.parquet")["category"]) == set(WORDS)
    assert set(read_table(results / "coco/captions/00000.parquet")["caption"]) == set(WORDS)
    assert "no face" in set(read_table(results / "ssd/quarantine.parquet")["reason"])
    assert len(list((results / "reenact/videos/clips").glob("*.mp4"))) == len(CLIPS)
    pairs = Shard(results / "unmask/pairs/photos/00000.arrow").items
    with open(results / "unmask/export/items.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows and {row["item"] for row in rows} <= set(pairs)
    for row in rows:
        assert (results / f"unmask/export/maps/{row['split']}/{row['name']}.png").is_file()


def test_nothing_unseen_reaches_the_terminal_or_a_log(hostile):
    said = (hostile.root.parent / "said").read_bytes().decode()
    logs = [path.read_text() for path in (hostile.root / "results/logs").rglob("*.log")]
    for text in (said, *logs):
        assert re.sub(r"[\n\r]", "", text) == readable(re.sub(r"[\n\r]", "", text))


def test_the_results_are_verified_and_told(hostile):
    checked = make(hostile, "verify")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert b"files are what the workflow made" in checked.stdout


@pytest.mark.parametrize("name", ["overview.html", "report.html"])
def test_a_page_shows_names_as_text_and_runs_nothing(hostile, tmp_path, name):
    if not CHROMIUM:
        pytest.skip("needs Chromium")
    page = shutil.copy(hostile.root / "results" / name, tmp_path)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command = [CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", Path(page).as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "Why items were quarantined" in dom  # the page is there, in the report by its scripts
    assert "<title>hit" not in dom and not re.search(r"<img[^>]*\bid=\"?hit", dom)


def test_charts_hold_no_element_of_a_name(hostile):
    charts = list((hostile.root / "results").rglob("*.svg"))
    assert charts
    for chart in charts:
        assert not [node for node in ElementTree.parse(chart).iter() if node.tag.endswith(("script", "foreignObject"))]


def test_a_folder_in_which_snakemake_cannot_work_is_named(astronaut, tmp_path):
    for name in (b"a{b}", b"a:b", b"caf\xe9"):
        project = Project.create(tmp_path / os.fsdecode(name), astronaut, photos=False)
        project.configure({"sources": {}})
        refused = project.run("--dry-run")
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and "Traceback" not in said
        assert re.search(r"^error: .*(a\{b\}|a:b|caf\\xe9): Snakemake .*; rename or move it$", said, re.M)


@pytest.mark.parametrize("name", ["{input}", "<results>", "a<", "line\nbreak", "\x1b[31mred"])
@pytest.mark.parametrize("kind", ["annotations", "weights", "given faces", "moustaches"])
def test_an_input_that_snakemake_would_take_for_a_pattern_is_refused(tmp_path, name, kind):
    path = tmp_path / name
    path.mkdir()
    with pytest.raises(UserError, match=r"Snakemake cannot take a file .*; rename it") as error:
        if kind == "annotations":
            (path / "a.json").touch()
            annotation_files(CocoSource(type="coco", path=str(path), set=".", annotations=["a.json"]))
        elif kind == "weights":
            (path / "a.onnx").touch()
            source = {"type": "folder", "path": str(tmp_path), "faces": {"detector": "yunet"}}
            load_config({"sources": {"photos": source}, "weights": {"yunet": str(path / "a.onnx")}})
        elif kind == "given faces":
            (path / "a.csv").touch()
            source = {"type": "folder", "path": str(tmp_path), "faces": {"prior": "boxes"}}
            load_config({"sources": {"photos": source | {"given_faces": str(path / "a.csv")}}})
        else:
            (path / "a.png").touch()
            list_pictures(path)
    assert readable(name) in str(error.value) and len(str(error.value).splitlines()) == 1 + (
        kind in ("weights", "given faces")
    )


def test_names_of_files_are_short_and_nobody_elses():
    texts = ["a b", "a_b", "A_B", "a_b_1", "a/b", "a", "a_page", "b_0123456789abcdef", "caf\xe9", "cafe\u0301"]
    texts += ["日" * 85, "日" * 84 + "x", "x" * 255, ".hidden", "--help"]
    names = file_names({text: text for text in texts}, endings=("", "_page"))
    files = {f"{name}{ending}".casefold() for name in names.values() for ending in ("", "_page")}
    assert len(files) == 2 * len(texts)
    assert all(re.fullmatch(r"[\w-][\w.-]*", name) for name in names.values())
    assert all(len(name.encode()) <= LONGEST + 17 for name in names.values())
    assert file_names({"IMG_1.jpg": "IMG_1.jpg", "ünï-2": "ünï-2"}) == {"IMG_1.jpg": "IMG_1.jpg", "ünï-2": "ünï-2"}


def test_what_cannot_be_seen_is_escaped_and_the_rest_stays():
    assert readable("a\nb\x1b[1m\x85\u2028\u202e\udce9\x07\ufeff") == r"a\nb\x1b[1m\x85\u2028\u202e\xe9\x07\ufeff"
    same = "ünï 日本 कि می‌خواهم 👩‍🔬 $\\frac{$ <b>"
    assert readable(same) == same
    assert str(UserError("a\nb", "c")) == "a\\nb\n  c"


@pytest.mark.parametrize("length", [199, 200, 255])
def test_a_file_may_have_the_longest_name_of_a_file_system(tmp_path, length):
    write_text(tmp_path / ("x" * length), "words")
    with atomic_folder(tmp_path / ("y" * length)) as folder:
        write_text(folder / "a", "words")
    assert sorted(map(len, os.listdir(tmp_path))) == [length, length]


def test_a_name_that_is_too_long_ends_with_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"error: this name or path is too long: .*xxx; shorten it"):
        run(lambda: write_text(tmp_path / ("x" * 256), "words"))


def test_the_name_of_a_configuration_is_no_command(astronaut, tmp_path):
    project = Project.create(tmp_path / "clone", astronaut)
    add_environment(project)
    name = f"{SHELL.replace('$', '')} {{input}} it's.yaml"  # make itself takes a dollar sign for a variable
    shutil.copy(project.root / "config.yaml", project.root / name)
    done = make(project, "run", f"CONFIG={name}", "TARGET=results/photos/index/00000.parquet")
    assert done.returncode == 0 and (project.root / "results/photos/index/00000.parquet").is_file()
    refused = make(project, "run", "CONFIG=absent.yaml")
    assert refused.returncode and b"error: CONFIG=absent.yaml is no file that can be read" in refused.stderr
    assert b"Traceback" not in refused.stderr and not (project.root / "PWNED").exists()
