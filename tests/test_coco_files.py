"""COCO's annotation files as wholes: where they lie, how they are read, and which cannot be used."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from projects import ROOT
from test_coco import NAN, Coco, annotation, read

from workflow_scripts.config.sources import CocoSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources import _coco_json as coco_json
from workflow_scripts.sources import coco


def test_annotation_files_can_be_named_and_lie_among_the_pictures(tmp_path):
    made = Coco()
    made.annotations["instances"] = [annotation(1)]
    made.write(tmp_path)
    root = tmp_path / "val2017"
    shutil.move(tmp_path / "annotations/instances_val2017.json", root / "_annotations.coco.json")
    source = CocoSource(type="coco", path=str(root), set=".", annotations=("_annotations.coco.json",))
    assert coco.list_files(source).problems == []
    index, objects, _, lost = read(source, tmp_path / "out")
    assert len(index) == 2 and len(objects) == 1 and lost.empty


def test_annotation_files_are_found_by_the_last_name_of_the_set(tmp_path):
    Coco().write(tmp_path)
    (tmp_path / "images").mkdir()
    shutil.move(tmp_path / "val2017", tmp_path / "images/val2017")
    source = CocoSource(type="coco", path=str(tmp_path), set="images/val2017")
    assert [file.name.partition("_")[2] for file in coco.annotation_files(source)][-1] == "val2017.json"
    assert coco.list_files(source).count == 2


def test_sections_in_any_order_and_entries_across_windows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(coco_json, "WINDOW", 7)
    values = {
        "annotations": [{"id": 1, "text": "ü" * 50}, 12345678901234567890, [], NAN],
        "more": {"a": [1]},
        "number": 1234567890123,
        "images": [],
    }
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps(values, indent=3, ensure_ascii=False), encoding="utf-8")
    entries = list(coco_json.read_entries(tmp_path / "a.json"))
    assert [entry.number for entry in entries] == [0, 1, 2, 3]
    assert str([entry.value for entry in entries]) == str(values["annotations"])
    assert json.loads(entries[0].text) == values["annotations"][0]


def edited(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    """Return what changes the values of a JSON file."""

    def edit(data: bytes) -> bytes:
        values = json.loads(data)
        changed = change(values)
        return json.dumps(values if changed is None else changed).encode()

    return edit


BAD_FILES = {
    "empty": (lambda data: b"", "the file ends early"),
    "cut off": (lambda data: data[:-40], "is no whole JSON file"),
    "cut off in a text": (lambda data: data[: data.index(b"file_name") + 14], "is no whole JSON file"),
    "a comma lost": (lambda data: data.replace(b"}, {", b"} {", 1), "`,` is expected"),
    "damaged inside": (lambda data: data.replace(b'"file_name"', b"file_name", 1), "is no whole JSON file"),
    "a picture": (lambda data: b"\x89PNG\r\n\x1a\n" + data, "no UTF-8 text"),
    "a web page": (lambda data: b"<!DOCTYPE html>", "does not begin with `{`"),
    "a bottomless list": (lambda data: b'{"images": [' + b"[" * 100_000, "is no whole JSON file"),
    "detection results": (edited(lambda v: v["annotations"]), "detection results"),
    "no annotations": (edited(lambda v: {"images": v["images"]}), "has no `annotations`"),
    "no images": (edited(lambda v: {"annotations": []}), "has no `images`"),
    "annotations by name": (edited(lambda v: v.update(annotations={"1": {}})), "`annotations` is no list"),
    "no categories": (edited(lambda v: v.pop("categories") and None), "neither categories nor captions"),
    "category without name": (edited(lambda v: v["categories"][0].pop("name") and None), "categories[0]"),
    "category name that is no text": (
        edited(lambda v: v["categories"][0].update(name="\ud800")),
        "categories[0]",
    ),
    "categories with one id": (edited(lambda v: v["categories"].append(v["categories"][0])), "another category"),
    "panoptic": (edited(lambda v: v["annotations"][0].update(segments_info=[])), "panoptic"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_used_ends_the_stage_with_one_line(tmp_path, case):
    damage, expected = BAD_FILES[case]
    made = Coco()
    made.annotations["instances"] = [annotation(1), annotation(2)]
    source = made.write(tmp_path / "coco")
    file = tmp_path / "coco/annotations/instances_val2017.json"
    file.write_bytes(damage(file.read_bytes()))
    command = [sys.executable, "-m", "workflow_scripts.stages.objects.split_annotations"]
    command += ["--source", source.model_dump_json(), "--annotations", str(file), "--shards", "1"]
    run = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    line = run.stderr.splitlines()[-1]
    assert run.returncode == 1 and line.startswith("error: ") and file.name in line and expected in line, run.stderr
    assert "Traceback" not in run.stderr and not list((tmp_path / "out").glob("*.parquet"))
    assert coco.list_files(source).count == 2  # the start looks at names alone


@pytest.mark.parametrize("case", ["no root", "no set", "no annotations", "named file missing"])
def test_a_wrong_folder_is_refused_at_start(tmp_path, case):
    source = Coco().write(tmp_path / "coco")
    if case == "no root":
        source = source.model_copy(update={"path": str(tmp_path / "nowhere")})
    if case == "no set":
        shutil.rmtree(tmp_path / "coco/val2017")
    if case == "no annotations":
        shutil.rmtree(tmp_path / "coco/annotations")
    if case == "named file missing":
        source = source.model_copy(update={"annotations": ("annotations/val.json",)})
    with pytest.raises(UserError, match=r"^(path|set|annotations): .*; "):
        coco.list_files(source)
