"""Squares of annotated pictures: area filter, crops, crowds, backgrounds, labels; and objects written back as COCO."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from test_coco import KEYPOINTS, Coco, annotation, read

from workflow_scripts.config.sources import SampleObjectsSource
from workflow_scripts.core.cli import BadItem
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.sources import sample_objects
from workflow_scripts.stages.generation.make_objects import make_objects
from workflow_scripts.stages.objects.export_objects import export_objects
from workflow_scripts.stages.objects.read_objects import read_objects
from workflow_scripts.stages.objects.split_annotations import split_annotations
from workflow_scripts.stages.sources import draw_sample_objects as draw_stage
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._generation.config import Squares
from workflow_scripts.systems._generation.squares import Mask, coco_masks, composite, fit_square, make_squares

HEIGHT, WIDTH = 40, 80


def picture() -> np.ndarray:
    """A picture whose red tells the column and whose green tells the row."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns * 3, rows * 6, np.zeros_like(rows)], axis=2).astype(np.uint8)


def box(left: int, top: int, right: int, bottom: int, number: int = 1, crowd: bool = False) -> Mask:
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[top:bottom, left:right] = True
    return Mask(pixels, f"kind {number}", number, number, crowd)


def test_the_area_of_all_masks_together_or_of_each_decides():
    halves = [box(0, 0, 20, 16), box(20, 0, 32, 20, 2)]  # 10 % and 7.5 % of the picture
    (square,) = make_squares(picture(), halves, Squares(size=32))
    assert square.area == pytest.approx(0.175) and (square.objects, square.left_out) == (2, 0)
    assert (square.category, square.label, square.annotation) == ("kind 1", 1, 1)
    with pytest.raises(BadItem, match="covers too little"):
        make_squares(picture(), halves[:1], Squares(size=32))
    (square,) = make_squares(picture(), halves, Squares(size=32, area_of="object", min_area=0.08))
    assert square.area == pytest.approx(0.1) and (square.objects, square.left_out) == (1, 1)
    with pytest.raises(BadItem, match="covers too little"):
        make_squares(picture(), halves, Squares(size=32, area_of="object"))


def test_overlapping_masks_count_once():
    (square,) = make_squares(picture(), [box(0, 0, 40, 20)] * 2, Squares(size=32))
    assert square.area == pytest.approx(0.25)


def test_a_crop_is_the_largest_square_around_the_mask_and_a_letterbox_shows_all():
    (left,) = make_squares(picture(), [box(0, 0, 20, 40)], Squares(size=32))
    assert left.image[0, 0, 0] < 4 and left.mask[:, :15].min() == 255 and left.mask[:, 17:].max() == 0
    (right,) = make_squares(picture(), [box(60, 0, 80, 40)], Squares(size=32))
    assert right.image[0, -1, 0] > 235 and right.mask[:, 17:].min() == 255
    (whole,) = make_squares(picture(), [box(0, 0, 20, 40)], Squares(size=32, fit="letterbox"))
    assert not whole.image[:8].any() and not whole.image[24:].any() and whole.image[8:24, -1, 0].min() > 230
    assert whole.mask[8:24, :8].min() == 255 and not whole.mask[:8].any()


def test_each_object_becomes_a_square_of_its_own_with_room_around_it():
    config = Squares(size=32, unit="object", min_area=0.05, margin=0.25)
    first, second = make_squares(picture(), [box(10, 10, 26, 26), box(60, 0, 80, 40, 2)], config)
    assert (first.variant, second.variant) == (0, 1) and (first.label, second.label) == (1, 2)
    inside = first.mask > 127  # 16 of 24 pixels, so 21 of 32
    assert abs(inside.any(axis=0).sum() - 21) <= 1 and abs(inside.any(axis=1).sum() - 21) <= 1
    assert second.mask.mean() / 255 == pytest.approx(0.5, abs=0.02)  # its square ends at the picture's


def test_crowds_belong_to_the_mask_of_a_picture_and_are_no_objects():
    masks = [box(0, 0, 40, 20), box(40, 20, 80, 40, 2, crowd=True)]
    (square,) = make_squares(picture(), masks, Squares(size=32))
    assert square.area == 0.5
    (square,) = make_squares(picture(), masks, Squares(size=32, crowds=False))
    assert square.area == 0.25 and square.left_out == 1
    (square,) = make_squares(picture(), masks, Squares(size=32, unit="object"))
    assert square.category == "kind 1" and square.left_out == 1
    with pytest.raises(BadItem, match="crowds alone"):
        make_squares(picture(), masks[1:], Squares(size=32, crowds=False))


@pytest.mark.parametrize(("background", "value"), [("black", 0), ("grey", 128), ("white", 255)])
def test_a_background_is_taken_away_and_the_object_stays(background, value):
    kept, removed = (
        make_squares(picture(), [box(0, 0, 20, 40)], Squares(size=32, background=name))[0]
        for name in ("keep", background)
    )
    assert (removed.image[kept.mask == 255] == kept.image[kept.mask == 255]).all()
    assert (removed.image[kept.mask == 0] == value).all() and (kept.mask == removed.mask).all()


def test_categories_choose_objects_and_give_labels():
    rows = [("dog", "animal", 1), ("car", "vehicle", 2), ("cat", "animal", 3)]
    counts = coco_mask.encode(np.asfortranarray(box(0, 0, 40, 40).pixels.astype(np.uint8)))["counts"]
    names = ("category", "supercategory", "annotation")
    objects = pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    objects = objects.assign(counts=counts, crowd=False, height=HEIGHT, width=WIDTH)
    found = coco_masks(objects, Squares(categories=["cat", "vehicle"]))
    assert [(mask.category, mask.label) for mask in found] == [("car", 1), ("cat", 0)]
    assert [mask.label for mask in coco_masks(objects, Squares())] == [-1, -1, -1]
    assert (found[0].pixels == box(0, 0, 40, 40).pixels).all()
    with pytest.raises(BadItem, match="no object"):
        make_squares(picture(), coco_masks(objects, Squares(categories=["boat"])), Squares())


def test_small_pictures_are_enlarged_and_a_composite_dims_what_is_outside():
    tall = np.full((10, 5, 3), 200, np.uint8)
    square = fit_square(tall, 64)
    assert (square[:, 16:48] == 200).all() and not square[:, :16].any() and not square[:, 48:].any()
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    shown = composite(np.full((64, 64, 3), 200, np.uint8), mask)
    assert (shown[:32] == 200).all() and (shown[32:] == 50).all()


def test_every_usable_picture_is_a_square_or_in_quarantine(tmp_path):
    made = Coco(pictures=4)
    large = [[2, 2, 58, 2, 58, 38, 2, 38]]
    made.annotations["instances"] = [
        annotation(1, 1, segmentation=large),
        annotation(2, 2),
        annotation(3, 4, iscrowd=1),
    ]
    source = made.write(tmp_path)
    for name in made.names:
        Image.fromarray(picture()[:40, :60]).save(tmp_path / made.set / name)
    read(source, tmp_path)
    columns = {"item": pa.string()}
    write_shard(tmp_path / "prints.arrow", [{"item": name} for name in made.names[:3]], columns)
    paths = (
        tmp_path / name for name in ("i_00000.parquet", "prints.arrow", "o_00000.parquet", "out.arrow", "q.parquet")
    )
    index, prints, objects, output, quarantine = paths
    make_objects(source, Squares(size=32), index, prints, objects, output, quarantine)
    shard, lost = Shard(output), read_table(quarantine).set_index("item")["reason"]
    assert shard.items == made.names[:1] and shard.scalars("category") == ["dog"] and shard.scalars("annotation") == [1]
    assert shard.tensor("image", 0).shape == (32, 32, 3) and shard.tensor("mask", 0).mean() > 200
    assert lost.to_dict() == {made.names[1]: "covers too little", made.names[2]: "no object"}


def test_objects_written_as_coco_are_read_again_as_they_were(tmp_path):
    made = Coco(pictures=3)
    thirds = [[1 / 3, 2 / 3, 20.1, 2 / 3, 20.1, 15.7, 1 / 3, 15.7]]
    made.annotations["instances"] = [
        annotation(7, 1, segmentation=thirds, bbox=[1 / 3, 2 / 3, 19.77, 15.03]),
        annotation(3, 1, iscrowd=1, category_id="c-7"),
        annotation(5, 3, segmentation=...),
    ]
    made.annotations["person_keypoints"] = [annotation(9, 2, category_id=1, keypoints=KEYPOINTS)]
    first = made.write(tmp_path / "first")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    index, objects, *_ = read(first, tmp_path / "one")
    write_table(tmp_path / "index.parquet", index[["item", "height", "width"]])
    export_objects(tmp_path / "index.parquet", [tmp_path / "one/o_00000.parquet"], tmp_path / "first/objects.json")
    again = first.model_copy(update={"annotations": ("objects.json",)})
    _, objects_again, _, rejected = read(again, tmp_path / "two")
    assert len(objects) == 4 and rejected.empty
    assert (tmp_path / "one/o_00000.parquet").read_bytes() == (tmp_path / "two/o_00000.parquet").read_bytes()
    assert objects_again["counts"].notna().sum() == 3
    written = json.loads((tmp_path / "first/objects.json").read_text())
    assert [image["file_name"] for image in written["images"]] == made.names
    decoded = coco_mask.decode(written["annotations"][0]["segmentation"])
    assert decoded.sum() == written["annotations"][0]["area"]


def test_the_scenes_of_the_sample_are_whole_and_what_is_hidden_belongs_to_no_mask(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_objects, "NAMES", sample_objects.NAMES[:24])
    monkeypatch.setattr(draw_stage, "NAMES", sample_objects.NAMES[:24])
    for name in ("FOLDER", "PICTURES", "ANNOTATIONS"):
        monkeypatch.setattr(sample_objects, name, tmp_path / getattr(sample_objects, name))
    draw_stage.draw_sample_objects(sample_objects.PICTURES, sample_objects.ANNOTATIONS)
    source = SampleObjectsSource(type="sample_objects")
    first = sample_objects.ANNOTATIONS.read_bytes()
    draw_stage.draw_sample_objects(sample_objects.PICTURES, sample_objects.ANNOTATIONS)
    assert sample_objects.ANNOTATIONS.read_bytes() == first
    split_annotations(source, sample_objects.annotation_files(source), 1, tmp_path / "annotations")
    tables = [tmp_path / f"{kind}.parquet" for kind in "irocq"]
    index_source(source, 1, 0, 1, *tables[:2])
    read_objects(source, tmp_path / "annotations", "00000", *tables)
    objects, rejected = read_table(tables[2]), read_table(tables[4])
    assert rejected.empty and set(objects["item"]) == set(sample_objects.NAMES[:24])
    assert set(objects["category"]) == {"cat", "cup", "person", "rocket", "coin"}
    for _, rows in objects.groupby("item"):
        masks = [mask.pixels for mask in coco_masks(rows, Squares())]
        assert len(masks) == 1 or (masks[0] & masks[1]).mean() < 0.01  # but for pixels that the edge divides
    assert (objects.groupby("item").size() == 2).any() and (objects.groupby("item").size() == 1).any()
