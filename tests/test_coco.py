"""COCO sources: layouts, every form of annotation, what is broken and its fate."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from workflow_scripts.config.sources import CocoSource
from workflow_scripts.core.tables import read_tables
from workflow_scripts.sources import coco
from workflow_scripts.sources._coco_names import items_of, picture_folders
from workflow_scripts.sources._listing import File
from workflow_scripts.stages.objects import split_annotations as split_stage
from workflow_scripts.stages.objects.read_objects import read_objects
from workflow_scripts.stages.sources.index_source import index_source

WIDTH, HEIGHT = 60, 40
SQUARE = [10, 5, 20, 5, 20, 15, 10, 15]  # x from 10 to 20, y from 5 to 15
SQUARE_COUNTS = [10 * HEIGHT + 5, *[10, 30] * 9, 10, (HEIGHT - 15) + 40 * HEIGHT]  # columns, from the left upper corner
KEYPOINTS = [30, 20, 2, 25, 18, 1, *[0, 0, 0] * 15]
CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "person", "keypoints": [f"point {i}" for i in range(17)]},
    {"id": 18, "name": "dog", "supercategory": "animal"},
    {"id": "c-7", "name": "cat"},
]


def square_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:15, 10:20] = 1
    return mask


def compressed(mask: np.ndarray) -> dict:
    found = coco_mask.encode(np.asfortranarray(mask))
    return {"size": found["size"], "counts": found["counts"].decode()}


def annotation(number: int, picture: int = 1, **changes) -> dict:
    """A legal annotation; a change to `...` takes a key away."""
    values = {
        "id": number,
        "image_id": picture,
        "category_id": 18,
        "segmentation": [SQUARE],
        "bbox": [10, 5, 10, 10],
        "area": 100.0,
        "iscrowd": 0,
    } | changes
    return {key: value for key, value in values.items() if value is not ...}


class Coco:
    """A small set in COCO's layout; its parts are changed before it is written."""

    def __init__(self, year: int = 2017, pictures: int = 2):
        self.set = f"val{year}"
        prefix = "COCO_val2014_" if year == 2014 else ""
        self.names = [f"{prefix}{number:012d}.jpg" for number in range(1, pictures + 1)]
        self.images = [
            {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
            for number, name in enumerate(self.names, 1)
        ]
        self.annotations = {"instances": [], "person_keypoints": [], "captions": []}

    def write(self, root: Path) -> CocoSource:
        (root / self.set).mkdir(parents=True)
        (root / "annotations").mkdir()
        for number, name in enumerate(self.names):
            shade = np.full((HEIGHT, WIDTH, 3), 40 + number, np.uint8)
            Image.fromarray(shade).save(root / self.set / name)
        for kind, annotations in self.annotations.items():
            values = {"info": {"year": 2017}, "licenses": [], "images": self.images, "annotations": annotations}
            if kind != "captions":
                values["categories"] = CATEGORIES if kind == "instances" else CATEGORIES[:1]
            (root / "annotations" / f"{kind}_{self.set}.json").write_text(json.dumps(values))
        return CocoSource(type="coco", path=str(root), set=self.set)


def read(source: CocoSource, folder: Path, shards: int = 1):
    """Run the stages; return index, objects, captions and quarantine."""
    split_stage.split_annotations(source, coco.annotation_files(source), shards, folder / "annotations")
    tables = [[], [], [], []]
    for shard in range(shards):
        name = f"{shard:05d}"
        index, rejected, *outputs = (folder / f"{kind}_{name}.parquet" for kind in "irocq")
        index_source(source, 1, shard, shards, index, rejected)
        read_objects(source, folder / "annotations", name, index, rejected, *outputs)
        for table, path in zip(tables, (index, *outputs), strict=True):
            table.append(path)
    return [read_tables(paths) for paths in tables]


def decode(row) -> np.ndarray:
    return coco_mask.decode({"size": [row.height, row.width], "counts": row.counts})


FORMS = {
    "polygon": ([SQUARE], 0),
    "polygon in two parts": ([[10, 5, 15, 5, 15, 15, 10, 15], [15, 5, 20, 5, 20, 15, 15, 15]], 0),
    "polygon over the edge": ([[-3, -3, 8, -3, 8, 6, -3, 6]], 0),
    "uncompressed run lengths": ({"size": [HEIGHT, WIDTH], "counts": SQUARE_COUNTS}, 1),
    "compressed run lengths": (compressed(square_mask()), 0),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("year", [2014, 2017])
def test_every_form_of_mask_is_read_pixel_by_pixel(tmp_path, form, year):
    segmentation, crowd = FORMS[form]
    made = Coco(year)
    made.annotations["instances"] = [annotation(7, 2, segmentation=segmentation, iscrowd=crowd)]
    index, objects, _, lost = read(made.write(tmp_path / "coco"), tmp_path)
    assert list(index["item"]) == made.names and lost.empty
    (row,) = objects.itertuples()
    expected = square_mask()
    if "edge" in form:
        expected[:] = 0
        expected[:6, :8] = 1
    assert np.array_equal(decode(row), expected) and row.area == expected.sum()
    assert (row.item, row.annotation, row.category, row.supercategory) == (made.names[1], 7, "dog", "animal")
    assert (row.left, row.top, row.right, row.bottom, row.crowd) == (10, 5, 20, 15, bool(crowd))
    assert row.keypoints is None


def test_a_long_compressed_mask_is_what_pycocotools_wrote(tmp_path):
    noise = (np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.5).astype(np.uint8)
    blocks = np.zeros((HEIGHT, WIDTH), np.uint8)
    blocks[::2, 3:50] = 1
    masks = [noise, blocks, np.ones((HEIGHT, WIDTH), np.uint8)]
    made = Coco()
    made.annotations["instances"] = [annotation(i, segmentation=compressed(mask)) for i, mask in enumerate(masks)]
    _, objects, _, lost = read(made.write(tmp_path / "coco"), tmp_path)
    assert lost.empty and len(objects) == 3
    for row, mask in zip(objects.itertuples(), masks, strict=True):
        assert np.array_equal(decode(row), mask)


def test_keypoints_join_the_object_and_captions_have_their_own_table(tmp_path):
    made = Coco()
    person = annotation(1, category_id=1)
    made.annotations["instances"] = [person, annotation(2)]
    made.annotations["person_keypoints"] = [person | {"keypoints": KEYPOINTS}, annotation(5, 2, category_id=1)]
    made.annotations["captions"] = [{"id": i, "image_id": 1, "caption": f"words {i}"} for i in (9, 3)]
    _, objects, captions, lost = read(made.write(tmp_path / "coco"), tmp_path)
    assert lost.empty and list(objects["annotation"]) == [1, 2, 5]
    points = np.stack(objects["keypoints"][0])
    assert points.shape == (17, 3) and points[0].tolist() == [30, 20, 2]
    assert objects["keypoints"][1] is None and objects["keypoints"][2] is None
    assert captions.to_dict("records") == [
        {"item": made.names[0], "annotation": i, "caption": f"words {i}"} for i in (3, 9)
    ]


def test_a_box_that_is_not_given_is_that_of_the_mask(tmp_path):
    made = Coco()
    made.annotations["instances"] = [annotation(1, bbox=...)]
    (row,) = read(made.write(tmp_path / "coco"), tmp_path)[1].itertuples()
    assert (row.left, row.top, row.right, row.bottom) == (10, 5, 20, 15)


NAN = float("nan")
RUNS = {"size": [HEIGHT, WIDTH], "counts": SQUARE_COUNTS}
BROKEN_MASKS = {
    "two points": ([[1, 1, 9, 9]], "polygon of fewer than 3 points"),
    "odd coordinates": ([[*SQUARE, 1]], "odd number of coordinates"),
    "not a number": ([[NAN, *SQUARE[1:]]], "not a finite number"),
    "infinite": ([[float("inf"), *SQUARE[1:]]], "not a finite number"),
    "text in a polygon": ([["10", *SQUARE[1:]]], "wrong type"),
    "words": ("words", "wrong type"),
    "beside the picture": ([[x + 60 * (i % 2 == 0) for i, x in enumerate(SQUARE)]], "empty mask"),
    "far from the picture": ([[1e9, 5, 2e9, 5, 2e9, 15]], "polygon far outside the picture"),
    "no area": ([[10, 5, 10, 5, 10, 5]], "empty mask"),
    "empty run lengths": (RUNS | {"counts": [HEIGHT * WIDTH]}, "empty mask"),
    "huge run length": (RUNS | {"counts": [10**30]}, "wrong type"),
    "no run lengths": (RUNS | {"counts": []}, "run lengths do not fit the size"),
    "short run lengths": (RUNS | {"counts": [5, 6]}, "run lengths do not fit the size"),
    "negative run length": (RUNS | {"counts": [-5, 5 + HEIGHT * WIDTH]}, "wrong type"),
    "size of another picture": (RUNS | {"size": [41, 60]}, "run lengths of another size"),
    "size turned round": (RUNS | {"size": [WIDTH, HEIGHT]}, "run lengths of another size"),
    "compressed, cut off": (RUNS | {"counts": compressed(square_mask())["counts"][:-2]}, "run lengths not readable"),
    "compressed, of a smaller picture": (
        RUNS | {"counts": compressed(square_mask()[:-1])["counts"]},
        "run lengths do not fit the size",
    ),
    "compressed, ends inside a number": (RUNS | {"counts": "o"}, "run lengths not readable"),
    "compressed, other characters": (RUNS | {"counts": "not base 64!"}, "run lengths not readable"),
    "compressed, huge": (RUNS | {"counts": "o" * 9000 + "1"}, "run lengths not readable"),
    "compressed, empty": (RUNS | {"counts": ""}, "run lengths not readable"),
}
BROKEN = {
    **{case: ({"segmentation": mask, "bbox": ...}, reason) for case, (mask, reason) in BROKEN_MASKS.items()},
    "no mask and no box": ({"segmentation": ..., "bbox": []}, "no mask and no box"),
    "no mask, no width": ({"segmentation": [], "bbox": [10, 5, 0, 10]}, "empty box"),
    "no mask, box elsewhere": ({"segmentation": None, "bbox": [100, 5, 10, 10]}, "box outside the picture"),
    "no mask, box of NaN": ({"segmentation": [[]], "bbox": [NAN, 5, 10, 10]}, "not a finite number"),
    "unknown category": ({"category_id": 99}, "unknown category"),
    "category by name": ({"category_id": "dog"}, "unknown category"),
    "category and a half": ({"category_id": 18.5}, "wrong type"),
    "unknown picture": ({"image_id": 404}, "unknown picture"),
    "no picture": ({"image_id": ...}, "key missing"),
    "picture as list": ({"image_id": [1]}, "wrong type"),
    "id as words": ({"id": "three"}, "wrong type"),
    "id is true": ({"id": True}, "wrong type"),
    "id beyond 64 bits": ({"id": 2**70}, "wrong type"),
    "id used twice": ({"id": 1}, "id used twice"),
    "id used twice, as text": ({"id": "1"}, "id used twice"),
    "no object": (None, "wrong type"),
}
# What of an object cannot be used, and what is then so in its row. (Without a fault the box ends at 20, 15.)
LEFT_OUT = {
    **{case: ("segmentation", mask, reason, {"counts": None}) for case, (mask, reason) in BROKEN_MASKS.items()},
    "no width": ("bbox", [10, 5, 0, 10], "empty box", {"right": 20}),
    "box of three numbers": ("bbox", [10, 5, 10], "wrong type", {"right": 20}),
    "box as words": ("bbox", "10 5 10 10", "wrong type", {"right": 20}),
    "box of NaN": ("bbox", [NAN, 5, 10, 10], "not a finite number", {"left": 10}),
    "box elsewhere": ("bbox", [100, 5, 10, 10], "box outside the picture", {"left": 10}),
    "crowd of two": ("iscrowd", 2, "wrong type", {"crowd": False}),
    "crowd of words": ("iscrowd", "yes", "wrong type", {"crowd": False}),
    "16 keypoints": ("keypoints", KEYPOINTS[:-3], "wrong number of keypoints", {"keypoints": None}),
    "keypoint of two numbers": ("keypoints", KEYPOINTS[:2], "wrong number of keypoints", {"keypoints": None}),
    "visibility 7": ("keypoints", [1, 1, 7, *KEYPOINTS[3:]], "keypoint visibility is none", {"keypoints": None}),
    "keypoints as words": ("keypoints", ["nose"], "wrong type", {"keypoints": None}),
}
# Other tools' ways to write the same object, and what is then so in its row.
WAYS = {
    **{f"mask is {empty}": ({"segmentation": empty}, {"counts": None}) for empty in ([], None, [[]], "", {}, ...)},
    "flat polygon": ({"segmentation": SQUARE}, {"area": 100}),
    "a sliver beside a polygon": ({"segmentation": [SQUARE, [1, 1, 9, 9], [3]]}, {"area": 100}),
    **{f"box is {empty}": ({"bbox": empty}, {"right": 20}) for empty in ([], None, ...)},
    **{f"crowd is {given!r}": ({"iscrowd": given}, {"crowd": False}) for given in (None, ..., False, 0.0, "0")},
    **{f"crowd is {given!r}": ({"iscrowd": given}, {"crowd": True}) for given in (True, 1.0, "1")},
    **{f"keypoints are {given}": ({"keypoints": given}, {"keypoints": None}) for given in ([], None)},
    "keypoints that the category does not name": ({"keypoints": [20, 20, 2], "num_keypoints": 1}, {"right": 20}),
    **{f"ids are {kind.__name__}": ({"image_id": kind(1), "category_id": kind(18)}, {}) for kind in (float, str)},
    "category id is no number": ({"category_id": "c-7"}, {"category": "cat"}),
    "ids are text with a point": ({"image_id": "1.0", "category_id": "18.0"}, {}),
}


def test_each_broken_annotation_is_set_aside_with_its_reason_and_nothing_is_lost(tmp_path):
    made = Coco(pictures=5)
    entries = [annotation(number, number % 5 + 1) for number in range(1, 11)]
    for number, (changes, _) in enumerate(BROKEN.values(), 100):
        entries.append("words" if changes is None else annotation(number, number % 5 + 1, **copy.deepcopy(changes)))
    made.annotations["instances"] = entries
    made.annotations["captions"] = [
        {"id": 1, "image_id": 1, "caption": "good"},
        {"id": 2, "image_id": 1, "caption": 3},
        {"id": 3, "image_id": 77, "caption": "of no picture"},
        {"id": 1, "image_id": 2, "caption": "id again"},
        {"id": 5, "image_id": 1, "caption": " \n"},
        {"id": 6, "image_id": 1, "caption": "half \ud83d"},
        annotation(4),
    ]
    _, objects, captions, lost = read(made.write(tmp_path / "coco"), tmp_path, shards=4)
    fates = lost.set_index("item")
    for number, (case, (_, reason)) in enumerate(BROKEN.items(), 10):
        fate = fates.loc[f"instances_val2017.json#/annotations/{number}"]
        assert fate["reason"] == reason, (case, fate["detail"])
        assert "\n" not in fate["detail"] and ";" in fate["detail"] and fate["stage"] == "read_objects"
    assert sorted(objects["annotation"]) == list(range(1, 11)) and list(captions["caption"]) == ["good"]
    assert lost["item"].is_unique and len(objects) + len(captions) + len(lost) == len(entries) + 7
    assert fates.loc["captions_val2017.json#/annotations/4", "reason"] == "no words"
    assert fates.loc["captions_val2017.json#/annotations/5", "reason"] == "not a Unicode text"


def test_a_field_that_cannot_be_used_does_not_cost_the_object_and_is_reported(tmp_path):
    made = Coco()
    made.annotations["instances"] = [
        annotation(number, **{"category_id": 1, field: value})
        for number, (field, value, _, _) in enumerate(LEFT_OUT.values())
    ]
    _, objects, _, lost = read(made.write(tmp_path / "coco"), tmp_path)
    assert len(objects) == len(lost) == len(LEFT_OUT)
    rows, fates = objects.set_index("annotation"), lost.set_index("item")
    for number, (case, (field, _, reason, expected)) in enumerate(LEFT_OUT.items()):
        fate = fates.loc[f"instances_val2017.json#/annotations/{number}/{field}"]
        assert fate["reason"] == f"{field} left out, {reason}" and "is kept" in fate["detail"], case
        assert reason not in ("wrong type", "not a finite number") or f": {field}" in fate["detail"], fate["detail"]
        for key, value in expected.items():
            assert rows.loc[number, key] == value or (value is None and rows.loc[number, key] is None), (case, key)


def test_other_ways_to_write_an_object_give_the_same_object(tmp_path):
    made = Coco()
    made.images[0] |= {"id": "1"}
    made.images[1] |= {"id": 2.0, "width": None, "height": float(HEIGHT)}
    made.annotations["instances"] = [
        annotation(number, **{"image_id": 1} | changes) for number, (changes, _) in enumerate(WAYS.values())
    ] + [annotation(str(len(WAYS)), "2"), annotation(len(WAYS) + 1.0, 2)]
    _, objects, _, lost = read(made.write(tmp_path / "coco"), tmp_path)
    assert lost.empty and list(objects["annotation"]) == [*range(len(WAYS)), len(WAYS), len(WAYS) + 1]
    assert list(objects["item"]) == [made.names[0]] * len(WAYS) + [made.names[1]] * 2
    for row, (case, (_, expected)) in zip(objects.itertuples(), WAYS.items(), strict=False):
        assert (row.left, row.top, row.right, row.bottom) == (10, 5, 20, 15), case
        for key, value in ({"category": "dog"} | expected).items():
            assert getattr(row, key) == value or (value is None and getattr(row, key) is None), (case, key)
        assert (row.counts is None) == np.isnan(row.area)
    points = objects["keypoints"].dropna()
    assert [np.stack(found).tolist() for found in points] == [[[20, 20, 2]]]


def test_what_two_files_say_of_one_object_is_joined_and_of_two_objects_is_not(tmp_path):
    made = Coco()
    made.annotations["instances"] = [annotation(1, category_id=1, segmentation=[]), annotation(2), annotation(3)]
    made.annotations["person_keypoints"] = [
        annotation(1, category_id=1, keypoints=[]),
        annotation(2, category_id=1, keypoints=KEYPOINTS),
        annotation(3, category_id=1, bbox=[30, 5, 10, 10], keypoints=KEYPOINTS),
    ]
    _, objects, _, lost = read(made.write(tmp_path / "coco"), tmp_path)
    assert list(objects["annotation"]) == [1, 2, 3] and list(objects["area"]) == [100] * 3
    assert objects["keypoints"].isna().all() and list(lost["reason"]) == ["id used twice"] * 2


# How the pictures lie below the set's folder, how the annotations call them, and which picture each name means.
NAMES = {
    "as they are": (["a.jpg"], "val2017", {"a.jpg": "a.jpg"}),
    "here": (["a.jpg"], "val2017", {"./a.jpg": "a.jpg", "a.jpg": "a.jpg"}),
    "with the set's folder": (["a.jpg"], "val2017", {"val2017/a.jpg": "a.jpg", "train2017/b.jpg": "train2017/b.jpg"}),
    "with another folder": (["a.jpg", "b.jpg"], "val2017", {"images/a.jpg": "a.jpg", "images/b.jpg": "b.jpg"}),
    "of Windows": (["sub/a.jpg"], "val2017", {"sub\\a.jpg": "sub/a.jpg"}),
    "of a drive": (["a.jpg"], "val2017", {"C:\\data\\val2017\\a.jpg": "a.jpg"}),
    "absolute": (["sub/a.jpg"], ".", {"/home/x/sub/a.jpg": "sub/a.jpg"}),
    "absolute, below the set": (
        ["a.jpg"],
        "images/val",
        {"/x/images/val/a.jpg": "a.jpg", "/x/val/a.jpg": "x/val/a.jpg"},
    ),
    "an address": (["a.jpg"], ".", {"https://host/x/a.jpg": "a.jpg"}),
    "upwards": (["a.jpg"], "val2017", {"../val2017/a.jpg": "a.jpg", "x/../b.jpg": "b.jpg"}),
    "two folders, one here": (["cam1/1.jpg"], ".", {"cam1/1.jpg": "cam1/1.jpg", "cam2/1.jpg": "cam2/1.jpg"}),
    "two folders, none here": (["1.jpg"], ".", {"cam1/1.jpg": "cam1/1.jpg", "cam2/1.jpg": "cam2/1.jpg"}),
    "two folders, one as the set": (["1.jpg"], "cam1", {"cam1/1.jpg": "1.jpg", "cam2/1.jpg": "cam2/1.jpg"}),
    "other endings": (["a.jpg", "x/b.PNG", "b.jpg"], ".", {"a.JPG": "a.jpg", "x/b.png": "x/b.PNG", "c.tif": "c.tif"}),
    "both endings": (["a.jpg", "b.JPG"], ".", {"a.JPG": "a.JPG", "b.jpg": "b.jpg", "c.Jpg": "c.Jpg"}),
    "an ending twice": (["a.jpg"], ".", {"a.JPG": "a.JPG", "a.jpg": "a.jpg"}),
    "an ending, through the set": (["a.jpg"], "val", {"val/a.JPG": "a.jpg", "b.JPG": "b.jpg"}),
    "marks apart": (["u\u0308.jpg"], ".", {"ü.JPG": "u\u0308.jpg", "plain.jpg": "plain.jpg"}),
    "marks joined": (["ü.jpg"], ".", {"u\u0308.jpg": "ü.jpg"}),
    "marks apart and joined": (["ü.jpg", "o\u0308.jpg"], ".", {"u\u0308.jpg": "u\u0308.jpg", "ö.jpg": "ö.jpg"}),
    "marks apart and joined in one name": (["üu\u0308.jpg"], ".", {"üu\u0308.jpg": "üu\u0308.jpg"}),
    "as in an address": (["a b/c #1.jpg"], ".", {"a%20b/c%20%231.jpg": "a b/c #1.jpg", "50%.jpg": "50%.jpg"}),
    "with a % of its own": (["a%20b.jpg"], ".", {"a%20b.jpg": "a%20b.jpg"}),
    "a folder with other capitals": (["Cam Ü/1.jpg"], ".", {"D:\\cam u\u0308\\1.jpg": "Cam Ü/1.jpg"}),
    "folders that differ in capitals": (["A/1.jpg", "a/2.jpg"], ".", {"A/2.jpg": "A/2.jpg", "a/2.jpg": "a/2.jpg"}),
    "one is exact": (["1.jpg"], ".", {"1.jpg": "1.jpg", "cam2/1.jpg": "cam2/1.jpg"}),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_file_name_means_the_picture_of_the_set_that_it_ends_in(case):
    files, folder, expected = NAMES[case]
    folders = picture_folders([File(name, 1, 1, name) for name in files])
    assert items_of(expected, folder, folders) == expected


def test_results_do_not_depend_on_the_number_of_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(split_stage, "OPEN_FILES", 3)
    monkeypatch.setattr(split_stage, "BUFFER", 500)
    made = Coco(pictures=9)
    made.annotations["instances"] = [annotation(number, number % 9 + 1) for number in range(40)]
    source = made.write(tmp_path / "coco")
    one, many = read(source, tmp_path / "one"), read(source, tmp_path / "many", shards=16)
    for first, second in zip(one, many, strict=True):
        assert first.equals(second.sort_values(list(first.columns[:2]), ignore_index=True))
    assert len(one[1]) == 40


def test_a_listed_picture_that_is_missing_damaged_or_resized_takes_its_objects_along(tmp_path):
    made = Coco(pictures=5)
    made.annotations["instances"] = [annotation(number, number) for number in range(1, 6)]
    made.annotations["captions"] = [{"id": number, "image_id": number, "caption": "words"} for number in range(1, 6)]
    made.images.append({"id": 9, "file_name": made.names[4], "width": "wide", "height": HEIGHT})
    made.images.append({"id": 10, "file_name": made.names[2], "width": WIDTH + 1})
    source = made.write(tmp_path / "coco")
    pictures = tmp_path / "coco/val2017"
    (pictures / made.names[0]).unlink()
    (pictures / made.names[1]).write_bytes(b"damaged")
    Image.new("RGB", (HEIGHT, WIDTH)).save(pictures / made.names[2])
    Image.new("RGB", (WIDTH, HEIGHT)).save(pictures / "unlisted.jpg")
    index, objects, captions, lost = read(source, tmp_path)
    assert set(index["item"]) == {*made.names[2:], "unlisted.jpg"}
    assert list(objects["annotation"]) == [4, 5] and list(captions["annotation"]) == [3, 4, 5]
    reasons = lost.set_index("item")["reason"]
    for place, reason in enumerate(["picture missing", "picture not usable", "sizes differ"]):
        assert reasons[f"instances_val2017.json#/images/{place}"] == reason
        assert reasons[f"instances_val2017.json#/annotations/{place}"] == reason
    assert reasons["captions_val2017.json#/annotations/0"] == "picture missing"
    assert reasons["instances_val2017.json#/images/5"] == "wrong type"
    details = lost.set_index("item")["detail"]
    assert "EXIF" in details["instances_val2017.json#/images/2"]
    assert "EXIF" not in details["instances_val2017.json#/images/6"]


def test_objects_of_an_image_id_that_two_pictures_have_belong_to_neither(tmp_path):
    made = Coco()
    made.images += [made.images[0], made.images[1] | {"id": 7}, made.images[0] | {"id": 7}]
    made.annotations["instances"] = [annotation(1), annotation(2, 7), annotation(3, 2)]
    _, objects, _, lost = read(made.write(tmp_path / "coco"), tmp_path)
    assert list(objects["annotation"]) == [1, 3]
    reasons = lost.set_index("item")["reason"]
    assert reasons["instances_val2017.json#/annotations/1"] == "unknown picture"
    assert list(reasons.filter(like="instances_val2017.json#/images/")) == ["id used twice"] * 2


def test_what_the_subset_leaves_out_is_no_item_and_has_no_objects(tmp_path):
    made = Coco(pictures=20)
    made.annotations["instances"] = [annotation(number, number) for number in range(1, 21)]
    source = made.write(tmp_path / "coco").model_copy(update={"subset": 0.5})
    index, objects, _, lost = read(source, tmp_path)
    assert 0 < len(index) < 20 and list(objects["item"]) == list(index["item"]) and lost.empty
