"""What is made of a source follows from what is needed of it: no face is searched where none is wanted."""

import numpy as np
import pytest
from projects import Project
from test_coco import Coco, annotation

from workflow_scripts.config.load import load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table, read_tables
from workflow_scripts.reporting.films import write_mp4

FOLDER = {"type": "folder", "path": "photos"}
COCO = {"type": "coco", "path": "coco", "set": "val2017"}
UNMASK = {"system": "unmask", "train": ["a"], "test": ["a"]}


def needs_of(source: dict, **experiments: dict) -> tuple[str, ...]:
    return load_config({"sources": {"a": source}, "experiments": experiments}).needs_of("a")


def test_a_source_of_its_own_is_made_into_what_its_type_is_for():
    assert needs_of(FOLDER) == ("crops",) and needs_of(COCO) == ("objects", "captions")
    assert needs_of(FOLDER | {"needs": []}) == () and needs_of(COCO | {"needs": ["crops"]}) == ("crops",)


def test_what_an_experiment_needs_comes_first_and_more_can_be_asked_for():
    assert needs_of(COCO, unmask=UNMASK) == ("crops",)
    assert needs_of(FOLDER | {"needs": []}, unmask=UNMASK) == ("crops",)
    assert needs_of(COCO | {"needs": ["objects"]}, unmask=UNMASK) == ("crops", "objects")


def test_objects_of_a_source_without_annotations_are_refused_with_the_remedy():
    with pytest.raises(UserError, match=r"sources\.a: only a source of type coco has objects; leave it out"):
        needs_of(FOLDER | {"needs": ["objects"]})


@pytest.fixture(scope="module")
def tables(tmp_path_factory, astronaut) -> Project:
    """A folder, a COCO set and a video, of which no faces are wanted, run to their tables."""
    project = Project.create(tmp_path_factory.mktemp("tables"), astronaut)
    made = Coco(pictures=4)
    made.annotations["instances"] = [annotation(number, number) for number in range(1, 5)]
    made.annotations["captions"] = [{"id": 9, "image_id": 1, "caption": "words"}]
    made.write(project.root / "coco")
    rng = np.random.default_rng(0)
    frames = [(number / 10, rng.integers(0, 255, (64, 96, 3), np.uint8)) for number in range(20)]
    (project.root / "street").mkdir()
    write_mp4(project.root / "street/street.mp4", frames)
    sources = {
        "landscapes": FOLDER | {"needs": []},
        "looked_at": FOLDER | {"needs": ["pictures"]},
        "coco": COCO,
        "street": {"type": "video", "path": "street", "every": 5, "needs": []},
    }
    project.configure({"sources": sources, "experiments": {}})
    project.said()
    return project


def test_they_are_run_to_their_tables_without_one_landmark_job(tables):
    results = tables.root / "results"
    made = {path.parent.name for path in results.glob("records/jobs/*/*") if path.is_dir()} | {
        path.name for path in (results / "records/jobs").iterdir()
    }
    assert not {"find_landmarks", "crop_faces", "check_landmarks", "fetch_weights"} & made
    assert not list(results.glob("*/landmarks")) and not list(results.glob("*/crops"))
    assert len(read_tables(sorted((results / "coco/objects").iterdir()))) == 4
    assert len(read_tables(sorted((results / "coco/captions").iterdir()))) == 1
    assert len(read_table(results / "street/index.parquet")) == 4


def test_every_file_is_in_the_index_or_in_quarantine(tables):
    results = tables.root / "results"
    for name in ("landscapes", "looked_at", "coco", "street"):
        items = set(read_table(results / name / "index.parquet")["item"])
        lost = read_table(results / name / "quarantine.parquet")
        assert not items & set(lost.loc[lost["stage"] == "index_source", "item"])
        if name in ("landscapes", "looked_at"):
            files = {path.name for path in (tables.root / "photos").iterdir()}
            assert items | set(lost["item"]) == files and "broken.jpg" in set(lost["item"])


def test_the_page_says_that_no_faces_were_asked_for(tables):
    page = (tables.root / "results/overview.html").read_text()
    assert page.count("usable; no faces were asked for") == 4 and "lost in find_landmarks" not in page
    assert {"items.svg", "sizes.svg", "accepted.png", "summary.json"} <= {
        path.name for path in (tables.root / "results/landscapes/summary").iterdir()
    }


def test_a_single_face_table_can_still_be_asked_for(tables):
    assert "find_landmarks" in tables.planned("results/landscapes/landmarks/00000.parquet")
