"""Source `pairs`: matching by number, and what makes no pair."""

from pathlib import Path

import pytest
from source_files import index, jpeg, write

from workflow_scripts import sources
from workflow_scripts.config.sources import PairsSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._reader import PictureReader


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
        "clean/again/1.jpg": "number used twice",
        "clean/2.jpg": "no counterpart",
        "occluded/7_cloth.jpg": "no counterpart",
        "occluded/3_cloth.jpg": "sizes differ",
        "occluded/cloth.jpg": "no number in the name",
        "occluded/4_N95.jpg": "not a picture",
        "occluded/5_cloth.jpg": "empty file",
        "occluded/list.txt": "not a picture file",
    }
    # Conservation: every occluded file is an item or set aside.
    seen = {row["item"] for row in rows} | {row["item"] for row in rejected if row["item"].startswith("occluded/")}
    assert seen == {f"occluded/{name}" for name in occluded}


def test_folders_without_a_pair_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"clean, occluded: no number of .* is in "):
        sources.list_files(pairs(tmp_path, {"1.jpg": jpeg(1)}, {"2_cloth.jpg": jpeg(1)}))
