"""Source `pairs`: matching by name and by number, and what makes no pair."""

from pathlib import Path

import numpy as np
import pytest
from source_files import index, jpeg, write

from workflow_scripts import sources
from workflow_scripts.config.sources import PairsSource
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.sources.pairs import check_pair


def pairs(folder: Path, clean: dict, occluded: dict) -> PairsSource:
    write(folder / "bare", clean)
    write(folder / "masked", occluded)
    return PairsSource(type="pairs", clean=str(folder / "bare"), occluded=str(folder / "masked"))


def test_pairs_are_matched_by_number(tmp_path):
    clean = {name: jpeg(100) for name in ("000001.jpg", "000002.png", "sub/img_3.jpg", "4.jpg", "000095.jpg")}
    occluded = {
        "000001_surgical_blue.jpg": jpeg(1),
        "1_cloth.jpg": jpeg(2),
        "deep/000002_N95.jpg": jpeg(3),
        "KN95_0003.png": jpeg(4),
        "000095_with_scarf.jpg": jpeg(5),
        "take2_000004_cloth.jpg": jpeg(6),
    }
    source = pairs(tmp_path, clean, occluded)
    rows, rejected = index(source, tmp_path)
    assert rejected == []
    assert {row["item"]: (row["file"], row["kind"], row["split"]) for row in rows} == {
        "occluded/000001_surgical_blue.jpg": ("clean/000001.jpg", "surgical", "test"),
        "occluded/1_cloth.jpg": ("clean/000001.jpg", "cloth", "test"),
        "occluded/deep/000002_N95.jpg": ("clean/000002.png", "kn95", "test"),
        "occluded/KN95_0003.png": ("clean/sub/img_3.jpg", "kn95", "test"),
        "occluded/000095_with_scarf.jpg": ("clean/000095.jpg", None, "test"),
        "occluded/take2_000004_cloth.jpg": ("clean/4.jpg", "cloth", "test"),
    }
    with PictureReader(source) as reader:
        assert [reader.read(row["file"]).mean() for row in rows] == [100] * 6
        shades = {row["item"]: int(reader.read(row["occluded_file"]).mean().round()) for row in rows}
    assert shades["occluded/deep/000002_N95.jpg"] == 3


def test_pictures_that_make_no_pair_are_set_aside(tmp_path):
    clean = {f"{number}.jpg": jpeg(100) for number in (1, 2, 3, 4, 5)} | {"again/1.jpg": jpeg(9), "5.jpg": b""}
    occluded = {f"{number}_cloth.jpg": jpeg(50) for number in (1, 4, 5, 7)}
    occluded |= {"3_cloth.jpg": jpeg(50, (100, 100)), "cloth.jpg": jpeg(1), "4_N95.jpg": b"text", "list.txt": b""}
    rows, rejected = index(pairs(tmp_path, clean, occluded), tmp_path)
    assert [row["item"] for row in rows] == ["occluded/1_cloth.jpg", "occluded/4_cloth.jpg"]
    assert {row["item"]: row["reason"] for row in rejected} == {
        "clean/again/1.jpg": "no counterpart",
        "clean/2.jpg": "no counterpart",
        "occluded/7_cloth.jpg": "no counterpart",
        "occluded/3_cloth.jpg": "sizes differ",
        "occluded/cloth.jpg": "no counterpart",
        "occluded/4_N95.jpg": "not a picture",
        "occluded/5_cloth.jpg": "empty file",
        "occluded/list.txt": "not a picture file",
    }
    # Conservation: every occluded file is an item or set aside.
    seen = {row["item"] for row in rows} | {row["item"] for row in rejected if row["item"].startswith("occluded/")}
    assert seen == {f"occluded/{name}" for name in occluded}


def test_folders_without_a_pair_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"clean, occluded: no name of .* is in "):
        sources.list_files(pairs(tmp_path, {"1.jpg": jpeg(1)}, {"2_cloth.jpg": jpeg(1)}))


def matched(folder: Path, clean: list[str], occluded: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return which bare picture each occluded one goes with, and the reasons of the others."""
    source = pairs(folder, dict.fromkeys(clean, b"x"), dict.fromkeys(occluded, b"x"))
    listing = sources.list_files(source)
    found = {file.path.partition("/")[2]: file.key.partition("/")[2] for file in listing.files if file.path != file.key}
    return found, {problem.path: problem.reason for problem in listing.problems}


@pytest.mark.parametrize(
    "stems",
    [
        ["Ann/Ann_0001", "Ann/Ann_0002", "Bob/Bob_0001", "Cid/Cid_0001"],
        ["IMG_20240305_101112", "IMG_20240305_101530", "IMG_20240306_101112"],
        ["clip1_frame_0001", "clip1_frame_0002", "clip2_frame_0001"],
        ["anna", "bert", "cloë", "No Kim", "Clothilde", "Ann-95"],
        ["Ann/0001", "Bob/0001", "Cid/0001", "Cid/01"],
    ],
)
@pytest.mark.parametrize("way", ["{}_surgical", "{}_KN95", "{}-Cloth", "masked {}", "{}_with_mask", "flat"])
def test_people_whose_numbers_are_equal_are_told_apart(tmp_path, stems, way):
    if way == "flat" and any("/" in stem for stem in stems):
        expected = {f"sub/{stem}_n95.jpg": f"{stem}.jpg" for stem in stems}
    else:
        path = "{}_surgical" if way == "flat" else way
        expected = {str(Path(stem).with_name(path.format(Path(stem).name))) + ".jpg": f"{stem}.jpg" for stem in stems}
    assert matched(tmp_path, [f"{stem}.jpg" for stem in stems], list(expected)) == (expected, {})


def test_pictures_with_an_ambiguous_name_are_all_set_aside(tmp_path):
    clean = ["Ann_0001.jpg", "Bob_0001.jpg", "Cid_0002.jpg", "dora.jpg", "dora.png", "1/7.jpg", "2/7.jpg"]
    clean += ["Eve_0009.jpg"]
    occluded = ["0001_surgical.jpg", "0001_cloth.jpg", "0002_cloth.jpg", "dora_cloth.jpg", "3_7_n95.jpg", "7_mask.jpg"]
    occluded += ["Fay_0009_surgical.jpg", "Eve_0009_cloth.jpg"]
    found, problems = matched(tmp_path, clean, occluded)
    assert found == {"0002_cloth.jpg": "Cid_0002.jpg", "Eve_0009_cloth.jpg": "Eve_0009.jpg"}
    alone = {"occluded/3_7_n95.jpg": "no counterpart", "occluded/Fay_0009_surgical.jpg": "no counterpart"}
    left = [f"clean/{name}" for name in clean] + [f"occluded/{name}" for name in occluded]
    used = {"clean/Cid_0002.jpg", "clean/Eve_0009.jpg", "occluded/0002_cloth.jpg", "occluded/Eve_0009_cloth.jpg"}
    assert problems == dict.fromkeys(set(left) - used, "ambiguous name") | alone


def test_words_that_all_names_of_a_folder_have_do_not_count(tmp_path):
    found, problems = matched(tmp_path, ["img_1.jpg", "img_02.jpg"], ["result_0001.jpg", "result_2_N95.jpg"])
    assert found == {"result_0001.jpg": "img_1.jpg", "result_2_N95.jpg": "img_02.jpg"} and not problems
    with pytest.raises(UserError, match="no name of"):
        matched(tmp_path / "other", ["Ann_1.jpg", "Bob_2.jpg"], ["Cid_1.jpg", "Dora_2.jpg"])


def test_a_pair_that_differs_nearly_everywhere_is_no_pair(face):
    picture = face[0]
    masked = picture.copy()
    masked[140:, 30:-30] = (90, 160, 200)
    darker = (masked * 0.7).astype(np.uint8)
    for occluded in (masked, darker, picture):
        check_pair("item", picture, occluded)
    flat = np.full_like(picture, 90)
    check_pair("item", flat, flat)
    for other in (picture[:, ::-1], picture[::-1], np.roll(picture, 60, axis=1), flat):
        with pytest.raises(BadItem, match="not the same picture: item: it differs from its bare picture"):
            check_pair("item", picture, np.ascontiguousarray(other))
    with pytest.raises(BadItem, match="give both pictures the same size"):
        check_pair("item", picture, picture[:-1])
