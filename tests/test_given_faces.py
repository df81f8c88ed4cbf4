"""Faces that the user gives for any source: every form of the file, what it is refused for, and a real run."""

import json

import numpy as np
import pandas as pd
import pytest
from projects import Project

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import FaceSearch, FolderSource, PairsSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.faces.priors import face_from_points
from workflow_scripts.sources._given_faces import POINTS, GivenFaces

BOX = [60, 30, 40, 50]  # left, top, width, height
CORNERS = [60, 30, 100, 80]
FIVE = [70, 50, 90, 50, 80, 62, 72, 70, 88, 70]


def given(folder, text, prior="boxes", name="faces.csv") -> GivenFaces:
    """Return the faces of a file for a source of two pictures."""
    path = folder / name
    if isinstance(text, pd.DataFrame):
        text.to_parquet(path)
    else:
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    source = FolderSource(type="folder", path="photos", given_faces=str(path), faces=FaceSearch(prior=prior))
    return GivenFaces(source, ["a.jpg", "sub/b.jpg"])


def row(item: str, width: int = 200, height: int = 100, **keys) -> dict:
    return {"item": item, "file": item, "width": width, "height": height} | keys


def test_of_pairs_the_bare_picture_may_be_named_with_and_without_its_folder(tmp_path):
    table = tmp_path / "faces.csv"
    for name in ("a.jpg", "clean/a.jpg", "bare/a.jpg", "occluded/a_mask.jpg", "worn/a_mask.jpg"):
        table.write_text(f"item,left,top,right,bottom\n{name},60,30,100,80\n")
        faces = {"given_faces": str(table), "faces": FaceSearch(prior="boxes")}
        source = PairsSource(type="pairs", clean="bare", occluded="worn", **faces)
        given_faces = GivenFaces(source, ["clean/a.jpg", "occluded/a_mask.jpg"])
        assert given_faces.of(row("occluded/a_mask.jpg", file="clean/a.jpg")) == {"box": BOX}, name


def coco(**annotation) -> dict:
    keypoints = ["nose", "left_eye", "right_eye", "left_ear"]
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}, {"id": 2, "file_name": "sub/b.jpg"}],
        "categories": [{"id": 1, "name": "Face"}, {"id": 2, "name": "person", "keypoints": keypoints}],
        "annotations": [{"image_id": "1", "category_id": 1} | annotation],
    }


TABLES = {
    "corners": "item,left,top,right,bottom\na.jpg,60,30,100,80\n",
    "size": "file_name,x,y,w,h\n./a.jpg,60,30,40,50\n",
    "semicolons": "\ufefffilename;xmin;ymin;xmax;ymax;score\nphotos/a.jpg;60;30;100;80;0.9\n",
    "tabs": "image\tleft\ttop\twidth\theight\na.jpg\t60\t30\t40\t50\n",
    "largest of several": "item,x1,y1,x2,y2\na.jpg,1,1,9,9\na.jpg,60,30,100,80\na.jpg,,,,\n",
    "faces alone": "item,category,left,top,right,bottom\na.jpg,dog,0,0,150,90\na.jpg,human face,60,30,100,80\n",
    "fractions among pixels": "item,left,top,right,bottom\na.jpg,60,30,100,80\nsub/b.jpg,0.1,0.3,0.9,0.6\n",
    "what fits": "item,left,top,right,bottom\na.jpg,60,30,100,80\na.jpg,900,30,1200,800\n",
}


@pytest.mark.parametrize("case", TABLES)
def test_boxes_of_every_form_of_table(tmp_path, case):
    faces = given(tmp_path, TABLES[case])
    assert faces.of(row("a.jpg")) == {"box": BOX} and faces.of(row("sub/b.jpg")) == {}


def test_points_and_boxes_of_parquet_and_coco(tmp_path):
    table = pd.DataFrame([["a.jpg", *CORNERS]], columns=["item", "left", "top", "right", "bottom"])
    assert given(tmp_path, table, name="f.parquet").of(row("a.jpg")) == {"box": BOX}
    points = "item," + ",".join(POINTS) + "\na.jpg," + ",".join(map(str, FIVE)) + "\n"
    assert given(tmp_path, points, "points").of(row("a.jpg")) == {"points": FIVE}
    assert given(tmp_path, coco(bbox=BOX), name="f.json").of(row("a.jpg")) == {"box": BOX}
    assert (
        given(tmp_path, coco(bbox=BOX), name="f.json").of(row("a.jpg", 100, 50)) == {}
    )  # the file states another size


@pytest.mark.parametrize("sides", ["of the viewer", "of the person"])
def test_eyes_and_nose_of_a_person_are_enough_whichever_side_is_called_left(tmp_path, sides):
    left, right = (FIVE[:2], FIVE[2:4]) if sides == "of the viewer" else (FIVE[2:4], FIVE[:2])
    keypoints = [*FIVE[4:6], 2, *left, 2, *right, 1, 0, 0, 0]
    faces = given(tmp_path, coco(category_id=2, keypoints=keypoints), "points", "f.json")
    found = np.array(faces.of(row("a.jpg"))["points"])
    assert found[:6].tolist() == FIVE[:6] and np.isnan(found[6:]).all()
    known, whole = (face_from_points(np.reshape(points, (5, 2)).astype(float)) for points in (found, FIVE))
    assert np.allclose(known.center, whole.center, atol=4) and abs(known.width - whole.width) < 8


REFUSED = {
    "other pictures": ("item,left,top,right,bottom\nc.jpg,60,30,100,80\n", "boxes", "is about other pictures"),
    "other folders": ("item,left,top,right,bottom\nother/a.jpg,60,30,100,80\n", "boxes", "is about other pictures"),
    "fractions": ("item,left,top,right,bottom\na.jpg,0.1,0.3,0.2,0.6\n", "boxes", "fractions"),
    "no box": ("item,left,top\na.jpg,60,30\n", "boxes", "it needs `item` and left, top, right, bottom"),
    "no points": (TABLES["corners"], "points", "it needs `item` and lefteye_x"),
    "no number": ("item,left,top,right,bottom\na.jpg,60,30,x,80\n", "boxes", "row 1: right is 'x', no number"),
    "no faces": ("item,left,top,right,bottom\na.jpg,,,,\n", "boxes", "gives no boxes of faces"),
    "empty": ("", "boxes", "is no table"),
    "bodies alone": (coco(category_id=2, bbox=BOX), "boxes", "gives no boxes of faces"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_without_usable_faces_ends_with_one_line(tmp_path, case):
    text, prior, expected = REFUSED[case]
    with pytest.raises(UserError, match=expected) as told:
        given(tmp_path, text, prior, "f.csv" if isinstance(text, str) else "f.json")
    assert "\n" not in str(told.value)


def test_the_key_and_the_prior_belong_together(tmp_path):
    (tmp_path / "faces.csv").write_text(TABLES["corners"])
    source = {"type": "folder", "path": "photos"}
    for keys, expected in (
        ({"faces": {"prior": "boxes"}}, r"faces\.prior: only .* `given_faces: …`"),
        ({"given_faces": str(tmp_path / "faces.csv")}, r"given_faces is not used; write `faces: \{prior: boxes\}`"),
        ({"given_faces": "no.csv", "faces": {"prior": "boxes"}}, r"sources\.faces\.given_faces: no file no\.csv"),
    ):
        with pytest.raises(UserError, match=expected):
            load_config({"sources": {"faces": source | keys}})


def test_a_run_takes_given_boxes_and_an_edit_of_the_file_takes_the_new_ones(tmp_path, astronaut):
    project = Project.create(tmp_path, astronaut)
    for path in sorted((project.root / "photos").iterdir())[3:]:
        path.unlink()
    photos = {"type": "folder", "path": "photos", "given_faces": "faces.csv", "faces": {"prior": "boxes"}}
    project.configure({"sources": {"photos": photos}})
    kept = sorted(path.name for path in (project.root / "photos").iterdir() if path.suffix == ".png")
    (project.root / "faces.csv").write_text(f"item,left,top,right,bottom\n{kept[-1]},60,50,140,130\n")
    table = "results/photos/landmarks/00000.parquet"
    project.said(table)
    faces = read_table(project.root / table).set_index("item")
    assert faces.loc[kept[-1], "detector"] == "given_box" and (faces["detector"] == "given_box").sum() == 1
    assert project.planned(table) == {}
    (project.root / "faces.csv").write_text(f"item,left,top,right,bottom\n{kept[-1]},70,50,140,130\n")
    assert {"index_source"} <= {*project.planned(table)}
