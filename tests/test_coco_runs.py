"""COCO sources run through Snakemake: annotation files as other tools write them, and what the page says of them."""

import json
import os
import subprocess
from pathlib import Path

import cv2
import pytest
import yaml
from PIL import Image
from projects import ROOT, SNAKEMAKE, Project
from test_coco import CATEGORIES, Coco, annotation

from workflow_scripts.core.tables import read_table, read_tables
from workflow_scripts.sources import shard_of

SOURCE = {"type": "coco", "path": "coco", "set": "val2017", "annotations": ["objects.json"]}


def project_of(root: Path, astronaut, files: dict[str, dict], **keys) -> Project:
    """Return a project with a COCO source for each annotation file, of which there are no others."""
    project = Project.create(root, astronaut)
    made = Coco()
    made.write(project.root / "coco")
    for path in (project.root / "coco/annotations").iterdir():
        path.unlink()
    for name, values in files.items():
        (project.root / f"coco/{name}.json").write_text(json.dumps(values))
    sources = {name: SOURCE | {"annotations": [f"{name}.json"]} | keys for name in files}
    project.configure({"sources": sources, "experiments": {}})
    return project


def annotated(*annotations: dict, **changes) -> dict:
    return {"images": Coco().images, "categories": CATEGORIES, "annotations": list(annotations)} | changes


def objects_of(project: Project, source: str):
    return read_tables(sorted((project.root / f"results/{source}/objects").iterdir()))


@pytest.fixture(scope="module")
def exports(tmp_path_factory, astronaut) -> Project:
    """Two sources with one annotation file of another name each, run to the page; one was written on Windows."""
    windows = [image | {"file_name": f"D:\\exports\\val2017\\{image['file_name']}"} for image in Coco().images]
    entries = annotation(1), annotation(2, 2), annotation(3, 9), annotation(4, keypoints=[1, 2])
    masks = annotated(*entries, images=windows)
    boxes = annotated(*(annotation(number, segmentation=[]) for number in range(1, 6)))
    project = project_of(tmp_path_factory.mktemp("exports"), astronaut, {"masks": masks, "boxes": boxes})
    project.said()
    return project


def test_annotation_files_of_any_name_are_read_from_the_listing_to_the_page(exports):
    first, second = Coco().names
    assert list(objects_of(exports, "masks")["item"]) == [first, first, second]
    assert read_table(exports.root / "results/boxes/rejected_annotations.parquet").empty


def test_boxes_without_masks_are_kept_with_null_masks(exports):
    boxes = objects_of(exports, "boxes")
    assert len(boxes) == 5 and boxes["counts"].isna().all() and boxes["area"].isna().all()
    assert set(boxes["category"]) == {"dog"} and set(boxes["right"]) == {20}


def test_the_page_counts_objects_and_rejected_entries_of_each_source(exports):
    page = " ".join((exports.root / "results/overview.html").read_text().split())
    assert "5 objects, 5 of them without a mask, and 0 captions. No entry" in page
    assert "1 × keypoints left out, wrong number of keypoints" in page and "1 × unknown picture" in page
    counts = json.loads((exports.root / "results/masks/annotation_counts.json").read_text())
    assert (counts["objects"], counts["objects_without_mask"]) == (3, 0) and len(counts["rejected"]) == 2


def test_a_new_folder_of_pictures_is_looked_for_in_the_names_and_a_new_picture_is_not(exports, tmp_path):
    project = exports.copy(tmp_path / "project")
    pictures = project.root / "coco/val2017"
    (pictures / "more.jpg").write_bytes((pictures / Coco().names[0]).read_bytes())
    target = "results/masks/annotations"
    assert "split_annotations" not in project.planned(target)
    (pictures / "sub").mkdir()
    (pictures / "more.jpg").rename(pictures / "sub/more.jpg")
    assert "split_annotations" in project.planned(target)


def test_annotations_that_all_fail_alike_are_one_error_that_says_why(tmp_path, astronaut):
    entries = [annotation(number) for number in range(1, 8)]
    other_names = [image | {"file_name": f"{image['id']}.jpg"} for image in Coco().images]
    captions = [{"id": 1, "image_id": 9, "caption": "words"}]
    files = {
        "names": annotated(*entries, images=other_names),
        "categories": annotated(*(entry | {"category_id": 5} for entry in entries)),
        "captions": annotated(*captions),
    }
    project = project_of(tmp_path, astronaut, files)
    done = project.run("--keep-going", *(f"results/{name}/rejected_annotations.parquet" for name in files))
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said
    assert "error: none of the 7 objects can be used: 7 picture missing; for example names.json#/annotations/" in said
    assert "no '1.jpg' in the folder" in said and f"called as '{Coco().names[0]}'" in said
    assert "error: none of the 7 objects can be used: 7 unknown category" in said
    assert "error: none of the 1 captions can be used: 1 unknown picture" in said


def snakemake(folder: Path, *targets: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [SNAKEMAKE, *targets, "--cores", "2", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--configfile", folder / "config.yaml"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_a_real_run_gives_landmarks_and_objects_and_an_added_picture_redoes_its_shard_alone(tmp_path, astronaut):
    made = Coco(pictures=7)
    made.annotations["instances"] = [annotation(number, number) for number in range(1, 8)]
    made.write(tmp_path / "coco")
    pictures = tmp_path / "coco/val2017"
    face = cv2.resize(astronaut[:300, 70:370], (200, 200), interpolation=cv2.INTER_AREA)
    Image.fromarray(face).save(pictures / "face.png")
    later = (pictures / made.names[6]).rename(tmp_path / "later.jpg")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    source = {"type": "coco", "path": "coco", "set": "val2017", "faces": {"detector": "dlib_hog"}}
    source["needs"] = ["crops", "objects", "captions"]
    config |= {"sources": {"coco": source}, "shard_size": 4, "experiments": {}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    targets = [
        f"results/coco/{file}" for file in ("index.parquet", "quarantine.parquet", "rejected_annotations.parquet")
    ]
    snakemake(tmp_path, *targets)

    results = tmp_path / "results/coco"
    lost = read_table(results / "quarantine.parquet")
    assert set(lost["item"]) == set(made.names[:6]) and set(lost["reason"]) == {"no face"}
    landmarks = read_tables(sorted((results / "landmarks").iterdir()))
    assert list(landmarks["item"]) == ["face.png"]
    assert len(read_tables(sorted((results / "objects").iterdir()))) == 6
    assert set(read_table(results / "rejected_annotations.parquet")["reason"]) == {"picture missing"}

    later.rename(pictures / made.names[6])
    again = snakemake(tmp_path, *targets)
    shard = f"{shard_of(made.names[6], 2):05d}"
    for stage in ("index_source", "find_landmarks", "read_objects"):
        assert f"results/logs/{stage}/coco/{shard}.log" in again
        assert f"results/logs/{stage}/coco/{1 - int(shard):05d}.log" not in again
    assert "results/logs/split_annotations" not in again
    assert len(read_tables(sorted((results / "objects").iterdir()))) == 7
    assert read_table(results / "rejected_annotations.parquet").empty
