"""Hostile bytes: an item that crashes or fills what reads it is one row of the quarantine, and the run goes on."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import yaml
from PIL import Image
from projects import ROOT, Project, edit_code
from weights import landmark_weights

from workflow_scripts.core.files import open_regular, sha256_of
from workflow_scripts.core.tables import INDEX, read_table, read_tables, write_table

CRASH = b"a decoder crashes"  # bytes for which the decoder of the project below is made to crash
SCRIPT = """
import ctypes, os, sys, time
from workflow_scripts.core import cli, guard

def main():
    for item in sys.argv[1:]:
        try:
            with guard.reading(item):
                match item:
                    case "crash": ctypes.string_at(0)
                    case "abort": os.abort()
                    case "memory": bytearray(3 << 30)
                    case "time":
                        while True: pass
                    case "long":
                        for _ in range(8):
                            end = time.process_time() + 0.5
                            while time.process_time() < end: pass
                            guard.go_on()
                    case "wait": print(os.getpid(), flush=True); time.sleep(60)
"""
WORK = """
import ctypes, sys, time
from workflow_scripts.core import cli, guard

def main():
    for item in sys.argv[1:]:
        try:
            with guard.working(item):
                with guard.reading(item + " as bytes"):
                    if item == "bad bytes": ctypes.string_at(0)
                with guard.working("a part of " + item):
                    pass
                if item == "crash": ctypes.string_at(0)
                end = time.process_time() + 2.5 * (item == "busy")
                while time.process_time() < end: pass
"""
END = """
        except cli.BadItem as bad:
            print(item, bad.reason, sep=": ")
        else:
            print(item)

guard.SECONDS = 1
guard.supervise()
cli.run(main)
"""


def start(*items: str, script: str = SCRIPT + END) -> subprocess.Popen:
    """Start a job that reads items, each of which does what its name says."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *items]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_an_item_that_kills_its_reader_is_refused_and_the_others_are_read():
    said, log = start("good", "crash", "abort", "memory", "time", "long", "more").communicate(timeout=60)
    assert said.splitlines()[-7:] == [
        "good",
        "crash: crashes its reader",
        "abort: crashes its reader",
        "memory: needs too much memory",
        "time: takes too long to read",
        "long",
        "more",
    ]
    assert [line for line in log.splitlines() if "begins again" in line] == [
        "'crash' crashes its reader; the stage begins again without it",
        "'abort' crashes its reader; the stage begins again without it",
        "'time' takes too long to read; the stage begins again without it",
    ]


def test_work_on_an_item_is_not_limited_and_a_crash_refuses_the_item():
    said, log = start("good", "crash", "bad bytes", "busy", script=WORK + END).communicate(timeout=300)
    wanted = ["good", "crash: crashes a library", "bad bytes: crashes its reader", "busy"]
    assert said.splitlines()[-4:] == wanted
    assert log.count("begins again") == 2


def test_a_worker_that_is_killed_from_outside_ends_its_stage():
    job = start("wait", "good")
    os.kill(int(job.stdout.readline()), signal.SIGKILL)
    assert job.wait(timeout=30) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_stage(number):
    job = start("wait")
    worker = int(job.stdout.readline())
    assert worker != job.pid
    job.send_signal(number)
    job.wait(timeout=30)
    end = time.monotonic() + 30
    while is_running(worker):
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name in ("pipe", "zero", "folder", "socket"):
            with pytest.raises(OSError, match="no regular file"):
                open_regular(tmp_path / name)
    (tmp_path / "good").write_bytes(b"good")
    with open_regular(tmp_path / "good") as file:
        assert file.read() == b"good"
    (tmp_path / "endless").symlink_to("/proc/kmsg" if os.access("/proc/kmsg", os.R_OK) else "/proc/self/mem")
    with open_regular(tmp_path / "endless") as file:
        assert file.read() == b""
    assert len(sha256_of(tmp_path / "endless")) == 64


def tiff_of_one_tile(side: int) -> bytes:
    """Return a TIFF of 64 x 64 pixels that lie in a tile of side x side, which a decoder unpacks as a whole."""
    pixels = zlib.compress(bytes(1000))
    tags = [(256, 4, 64), (257, 4, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    tags += [(322, 4, side), (323, 4, side), (324, 4, 8 + 2 + 12 * 10 + 4), (325, 4, len(pixels))]
    entries = b"".join(
        number.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for number, kind, value in tags
    )
    return b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + entries + bytes(4) + pixels


def bombs(folder: Path) -> None:
    """Write a COCO set: a good picture, special files beside it, and annotations that crash or fill pycocotools."""
    pictures = folder / "val2017"
    pictures.mkdir(parents=True)
    Image.new("RGB", (4000, 4000)).save(pictures / "large.png")
    (pictures / "crash.png").write_bytes(CRASH)
    (pictures / "tile.tif").write_bytes(tiff_of_one_tile(60_000))
    os.mkfifo(pictures / "pipe.jpg")
    (pictures / "zero.jpg").symlink_to("/dev/zero")
    (pictures / "memory.jpg").symlink_to("/proc/self/mem")
    zigzag = [number % 4 // 2 * 3999 for number in range(400_000)]
    outlines = [[[0, 0, 4000, 0, 4000, 4000, 0, 4000] * 30_000], [[10, 10, 90, 10, 90, 90]], [zigzag]]
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": [9, 9, 90, 90], "iscrowd": 0, "segmentation": outline}
        for number, outline in enumerate(outlines, 1)
    ]
    text = json.dumps(
        {
            "images": [{"id": 1, "file_name": "large.png", "width": 4000, "height": 4000}],
            "categories": [{"id": 1, "name": "ball", "supercategory": "toy"}],
            "annotations": [*annotations, annotations[1] | {"id": 0}],
        }
    )
    (folder / "annotations").mkdir()
    (folder / "annotations/instances_val2017.json").write_text(text.replace('"id": 0', f'"id": {"9" * 5000}'))


SEARCH = """
import ctypes
from workflow_scripts.core import guard
guard.supervise()
from workflow_scripts.stages.faces import find_landmarks as stage
search = stage.detect_faces

def crash_at_one(picture, *words):
    return ctypes.string_at(0) if picture.size == (299, 300) else search(picture, *words)

stage.detect_faces = crash_at_one
stage.main()
"""


def test_a_picture_in_which_the_search_for_faces_crashes_is_a_row_of_the_quarantine(astronaut, tmp_path):
    folder = tmp_path / "people"
    folder.mkdir()
    for name, width in (("a", 300), ("b", 299), ("c", 300)):
        Image.fromarray(astronaut[:300, 70 : 70 + width]).save(folder / f"{name}.png")
    source = {"type": "folder", "path": str(folder), "faces": {"detector": "dlib_hog"}}
    write_table(tmp_path / "index", [{"item": f"{name}.png", "file": f"{name}.png"} for name in "abc"], INDEX)
    words = ["--source", json.dumps(source), "--index", tmp_path / "index", "--model", landmark_weights()]
    words += ["--output", tmp_path / "faces", "--quarantine", tmp_path / "lost"]
    _, log = start(*map(str, words), script=SEARCH).communicate(timeout=120)
    assert read_table(tmp_path / "faces")["item"].tolist() == ["a.png", "c.png"], log
    lost = read_table(tmp_path / "lost")
    assert lost[["item", "reason"]].to_numpy().tolist() == [["b.png", "crashes a library"]]


def test_bombs_and_special_files_are_rows_of_the_quarantine_of_a_real_run(tmp_path):
    project = Project(tmp_path)
    bombs(tmp_path / "coco")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    source = {
        "type": "coco",
        "path": "coco",
        "set": "val2017",
        "needs": ["objects"],
    }
    config |= {"sources": {"bombs": source}, "experiments": {}}
    project.configure(config)
    for name in ("Snakefile", "rules", "envs", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "workflow_scripts", tmp_path / "workflow_scripts")
    crash = f"    if data == {CRASH}:\n        __import__('os').abort()\n"
    edit_code("sources/_pictures.py", "    if not data:\n", crash + "    if not data:\n")(project)
    project.said("results/bombs/summary", "results/bombs/rejected_annotations.parquet")
    lost = read_table(tmp_path / "results/bombs/quarantine.parquet").set_index("item")["reason"].to_dict()
    assert lost == {
        "crash.png": "crashes its reader",
        "memory.jpg": "empty file",
        "pipe.jpg": "cannot be read",
        "tile.tif": "too many pixels",
        "zero.jpg": "cannot be read",
    }
    objects = read_tables(sorted((tmp_path / "results/bombs/objects").iterdir()))
    assert list(objects["annotation"][objects["counts"].notna()]) == [2] and len(objects) == 3
    rejected = read_table(tmp_path / "results/bombs/rejected_annotations.parquet").set_index("item")["reason"].to_dict()
    assert rejected == {
        "instances_val2017.json#/annotations/0/segmentation": "segmentation left out, outline too long",
        "instances_val2017.json#/annotations/2/segmentation": "segmentation left out, outline too long",
        "instances_val2017.json#/annotations/3": "wrong type",
    }
