"""Source `folder`: persons in names, splits, shards, subsets, and the digests of files and archives."""

import json
import os
from collections import Counter

import pytest
from source_files import PICTURES, index, jpeg, shard_digests, write

from workflow_scripts import sources
from workflow_scripts.config.sources import FolderSource, Split
from workflow_scripts.core.tables import read_table
from workflow_scripts.stages.sources.index_source import draw_split


def test_a_folder_takes_persons_from_names(tmp_path):
    files = {"a/ann_1.jpg": jpeg(10), "ann_2.jpg": jpeg(20), "b/bob_1.jpg": jpeg(30), "nobody.jpg": jpeg(40)}
    source = FolderSource(type="folder", path=str(write(tmp_path / "in", files)), identity=r"([a-z]+)_\d")
    rows, _ = index(source, tmp_path)
    assert {row["item"]: row["identity"] for row in rows} == {
        "a/ann_1.jpg": "ann",
        "ann_2.jpg": "ann",
        "b/bob_1.jpg": "bob",
        "nobody.jpg": None,
    }
    splits = {row["item"]: row["split"] for row in rows}
    assert splits["a/ann_1.jpg"] == splits["ann_2.jpg"]


def test_adding_pictures_moves_no_other(tmp_path):
    names = [f"{number}.jpg" for number in range(40)]
    folder = write(tmp_path / "in", {name: jpeg(number) for number, name in enumerate(names)})
    source = FolderSource(type="folder", path=str(folder))
    before, _ = index(source, tmp_path, shards=4)
    write(folder, {f"new {number}.jpg": jpeg(number) for number in range(40)})
    after, _ = index(source, tmp_path, shards=8)
    splits = {row["item"]: row["split"] for row in after}
    assert len(splits) == 80
    assert {row["item"]: row["split"] for row in before} == {name: splits[name] for name in names}


def test_splits_follow_the_fractions_and_the_seed():
    split = Split(train=0.7, val=0.2, test=0.1)
    drawn = [draw_split(split, 1, f"{number}") for number in range(5000)]
    counts = Counter(drawn)
    assert [counts[name] / 5000 for name in ("train", "val", "test")] == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    assert drawn != [draw_split(split, 2, f"{number}") for number in range(5000)]
    only_test = Split(train=0, val=0, test=1)
    assert {draw_split(only_test, 1, f"{number}") for number in range(100)} == {"test"}


def test_every_file_is_in_exactly_one_shard(tmp_path):
    files = {f"{number}.jpg": jpeg(number) for number in range(50)} | {f"list_{n}.txt": b"" for n in range(9)}
    captions = {f"{number}.txt": b"a face" for number in range(3)}  # which belong to pictures
    source = FolderSource(type="folder", path=str(write(tmp_path / "in", files | captions | {"bad.jpg": b""})))
    rows, rejected = index(source, tmp_path, shards=8)
    assert sorted(row["item"] for row in rows + rejected) == sorted([*files, "bad.jpg"])
    assert Counter(row["reason"] for row in rejected) == {"not a picture file": 9, "empty file": 1}
    sizes = [len(read_table(tmp_path / f"{shard}.parquet")) for shard in range(8)]
    assert sum(sizes) == 50
    assert max(sizes) < 20


def test_the_same_files_give_the_same_bytes(tmp_path):
    source = FolderSource(type="folder", path=str(write(tmp_path / "in", PICTURES | {"bad.jpg": b""})))
    for run in ("a", "b"):
        index(source, tmp_path / run)
    for name in ("0.parquet", "0.quarantine.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(("files", "size", "shards"), [(1, 10, 1), (10, 10, 1), (11, 10, 2), (41, 10, 8), (3, 1, 4)])
def test_the_number_of_shards_is_a_power_of_two(tmp_path, files, size, shards):
    folder = write(tmp_path, {f"{number}.jpg": b"x" for number in range(files)})
    assert sources.shard_count(FolderSource(type="folder", path=str(folder)), size) == shards


def test_a_change_shows_in_the_digest_of_its_shard_alone(tmp_path):
    folder = write(tmp_path, {f"{number}.jpg": b"x" for number in range(40)})
    source = FolderSource(type="folder", path=str(folder))

    def digests() -> list[str]:
        return shard_digests(source, 4, tmp_path / "records")

    def changed(before: list[str]) -> list[int]:
        return [shard for shard, (old, new) in enumerate(zip(before, digests(), strict=True)) if old != new]

    before = digests()
    assert changed(before) == []
    for change in (
        lambda: (folder / "new.jpg").write_bytes(b"x"),
        lambda: os.utime(folder / "new.jpg", ns=(0, 1)),
        lambda: (folder / "new.jpg").unlink(),
    ):
        before = digests()
        change()
        assert changed(before) == [sources.shard_of("new.jpg", 4)]


def test_other_times_of_equal_contents_change_no_digest_and_are_looked_into_once(tmp_path):
    folder = write(tmp_path / "in", {f"{number}.jpg": bytes([number]) for number in range(40)})
    source = FolderSource(type="folder", path=str(folder))
    before = shard_digests(source, 4, tmp_path / "records", note=True)
    for number in range(40):
        os.utime(folder / f"{number}.jpg", ns=(5, 5))
    assert shard_digests(source, 4, tmp_path / "records") == before
    noted = [json.loads(path.read_text().split("\n")[0])["stamps"] for path in sorted((tmp_path / "records").iterdir())]
    assert not set(noted) & set(before)  # the new times are known: the next start opens no picture

    (folder / "7.jpg").write_bytes(b"y")  # as large as before
    os.utime(folder / "7.jpg", ns=(5, 6))
    after = shard_digests(source, 4, tmp_path / "records")
    assert [shard for shard in range(4) if after[shard] != before[shard]] == [sources.shard_of("7.jpg", 4)]
    (folder / "7.jpg").write_bytes(bytes([7]))
    assert shard_digests(source, 4, tmp_path / "records") == before


def test_a_subset_is_a_stable_choice_by_name(tmp_path):
    folder = write(tmp_path / "in", {f"{number}.jpg": jpeg(number) for number in range(60)})

    def items(subset):
        return {row["item"] for row in index(FolderSource(type="folder", path=str(folder), subset=subset), tmp_path)[0]}

    whole, half, quarter = items(1.0), items(0.5), items(0.25)
    assert len(whole) == 60 and 20 < len(half) < 40 and quarter < half < whole
