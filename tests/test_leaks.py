"""No leak between splits, whatever the kind of source: no item, person, block of time or copy of a picture."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_video import write_clip

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.sources import (
    BaseSource,
    CelebaSource,
    CocoSource,
    DavisSource,
    FolderSource,
    PairsSource,
    SampleSource,
    Split,
    VideoSource,
)
from workflow_scripts.core.fingerprints import MAX_BITS_APART, MIRRORED_BITS, find_near, fingerprint
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import LANDMARKS, merge_tables, read_table, write_table
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.experiments.assign_splits import assign_splits
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.sources.fetch_sample import fetch_sample
from workflow_scripts.stages.sources.index_source import index_source

COUNT = 60
PER_PERSON = 3
SPLIT = Split(train=0.5, val=0.2, test=0.3)
SEEN_AS = {"crop": {"size": 32, "frame": "whole"}, "split": SPLIT}


def scene(number: int, width: int = 96, height: int = 96) -> np.ndarray:
    """Return a picture that is like no other number's: RGB uint8 (height, width, 3)."""
    noise = np.random.default_rng(number).uniform(0, 255, (12, 12, 3)).astype(np.float32)
    return np.clip(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def save(path: Path, picture: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)


def make_folder(root: Path) -> BaseSource:
    for number in range(COUNT):
        save(root / f"{number:03d}.png", scene(number))
    for number, change in zip(range(0, COUNT, 4), list(COPIES.values()) * 4, strict=False):
        (root / f"copy_of_{number:03d}.jpg").write_bytes(change(scene(number)))
    return FolderSource(type="folder", path=str(root), **SEEN_AS)


def make_folder_of_persons(root: Path) -> BaseSource:
    for number in range(COUNT):
        save(root / f"person{number // PER_PERSON}_{number:03d}.png", scene(number))
    return FolderSource(type="folder", path=str(root), identity=r"^([a-z]+\d+)_", **SEEN_AS)


def make_celeba(root: Path) -> BaseSource:
    for number in range(COUNT):
        save(root / f"img_align_celeba/{number + 1:06d}.jpg", scene(number))
    persons = (f"{number + 1:06d}.jpg {number // PER_PERSON + 1}\n" for number in range(COUNT))
    (root / "identity_CelebA.txt").write_text("".join(persons))
    return CelebaSource(type="celeba", path=str(root), **SEEN_AS)


def make_pairs(root: Path) -> BaseSource:
    for number in range(COUNT):
        bare = scene(number)
        save(root / f"bare/{number:06d}.png", bare)
        save(root / f"worn/{number:06d}_surgical.png", np.where(np.arange(96)[:, None, None] > 48, 90, bare))
    keys = {"clean": str(root / "bare"), "occluded": str(root / "worn")}
    return PairsSource(type="pairs", **keys, **SEEN_AS | {"split": Split(train=0, val=0, test=1)})


def make_video(root: Path) -> BaseSource:
    for clip in range(3):
        frames = (scene(100 * clip + number // 10, 64, 48) for number in range(200))  # a new scene each second
        write_clip(root / f"clip{clip}.mp4", frames)
    return VideoSource(type="video", path=str(root), block=2, **SEEN_AS)


def make_coco(root: Path) -> BaseSource:
    images = []
    for number in range(COUNT):
        save(root / f"val2017/{number:012d}.jpg", scene(number))
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": 96, "height": 96})
    (root / "annotations").mkdir()
    content = {"images": images, "annotations": [], "categories": []}
    (root / "annotations/instances_val2017.json").write_text(json.dumps(content))
    return CocoSource(type="coco", path=str(root), set="val2017", **SEEN_AS)


def make_davis(root: Path) -> BaseSource:
    for number in range(COUNT):
        save(root / f"JPEGImages/480p/sequence{number // PER_PERSON}/{number:05d}.jpg", scene(number))
    return DavisSource(type="davis", path=str(root), **SEEN_AS)


def make_sample(root: Path) -> BaseSource:
    fetch_sample(Path("results/sample/raw"), Path("results/sample/raw/manifest.json"))
    return SampleSource(type="sample", crop={"size": 32, "frame": "whole"})


class Kind(NamedTuple):
    """How a source is made, and whether it is trained on, with copies of its pictures tested on, or the reverse."""

    make: Callable[[Path], BaseSource]
    trained: bool = True


KINDS = {
    "folder": Kind(make_folder),
    "folder of persons": Kind(make_folder_of_persons),
    "celeba": Kind(make_celeba),
    "pairs": Kind(make_pairs, trained=False),
    "video": Kind(make_video),
    "coco": Kind(make_coco),
    "davis": Kind(make_davis),
    "sample": Kind(make_sample),
}


def encode(picture: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


COPIES = {
    "re-encoded": lambda picture: encode(picture, 50),
    "resized": lambda picture: encode(np.array(Image.fromarray(picture).resize((150, 140))), 90),
    "trimmed": lambda picture: encode(np.ascontiguousarray(picture[1:-1, 1:-1]), 90),
    "mirrored": lambda picture: encode(np.ascontiguousarray(picture[:, ::-1]), 90),
}


def index_and_crop(source: BaseSource, home: Path) -> pd.DataFrame:
    """Run the stages of a source, but take the whole picture for the face; return its index."""
    index, lost = home / "index/00000.parquet", home / "lost/index.parquet"
    index_source(source, 1, 0, 1, index, lost)
    merge_tables([index], home / "index.parquet")
    rows = read_table(index)
    face = {name: 0.0 for name in LANDMARKS.names if name[:2] in ("x_", "y_")}
    write_table(home / "landmarks.parquet", [{"item": item, "face": 0, **face} for item in rows["item"]], LANDMARKS)
    crop_faces(source, index, home / "landmarks.parquet", home / "crops/00000.arrow", home / "lost/crops.parquet")
    merge_tables([lost, home / "lost/crops.parquet"], home / "quarantine.parquet")
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_in_two_splits(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    source = KINDS[kind].make(tmp_path / "data")
    rows = index_and_crop(source, tmp_path / "results/main")
    copied = rows[rows["split"].isin(["train", "val"] if KINDS[kind].trained else ["test"])].iloc[::5]
    with PictureReader(source) as reader:
        for number, row in enumerate(copied.itertuples()):
            (tmp_path / "copies").mkdir(exist_ok=True)
            change = list(COPIES.values())[number % len(COPIES)]
            (tmp_path / f"copies/{number}.jpg").write_bytes(change(reader.read(row.file, row.frame)))
    for number in range(1000, 1030):  # so that no split is empty
        save(tmp_path / f"copies/other_{number}.png", scene(number))
    trained = KINDS[kind].trained
    part = Split(train=0, val=0, test=1) if trained else Split(train=0.5, val=0.5, test=0)
    copies = FolderSource(type="folder", path="copies", **SEEN_AS | {"split": part})
    index_and_crop(copies, tmp_path / "results/copies")

    used = {"train": ["main"], "test": ["main", "copies"]} if trained else {"train": ["copies"], "test": ["main"]}
    outputs = [tmp_path / name for name in ("splits.parquet", "training.parquet", "lost.parquet")]
    crops = [tmp_path / f"results/{name}/crops/00000.arrow" for name in ("main", "copies")]
    sources = {"main": source, "copies": copies}
    index, lost = ([tmp_path / f"results/{n}/{file}.parquet" for n in sources] for file in ("index", "quarantine"))
    assign_splits(BaseExperiment(system="unmask", **used), sources, 1, index, lost, crops, *outputs)

    splits, lost = read_table(outputs[0]), read_table(outputs[2]).set_index("item")["reason"]
    everything = {(path.parent.parent.name, item) for path in crops for item in Shard(path).items}
    assert {*zip(splits["source"], splits["item"], strict=True)} | {*zip_lost(lost, everything)} == everything
    assert not splits.duplicated(["source", "item"]).any()
    indexes = [read_table(tmp_path / f"results/{name}/index.parquet").assign(source=name) for name in sources]
    placed = splits.merge(pd.concat(indexes), on=["source", "item"], suffixes=("", "_drawn"))
    placed = placed[placed["split"].isin(["train", "val", "test"])]
    for column in ("group", "identity", "sha256"):
        known = placed.dropna(subset=[column])[["source", column, "split"]].drop_duplicates()
        assert not known.duplicated(["source", column]).any(), column
    # Copies that the test made itself, and whatever else looks alike.
    names = copied["item"] if trained else [f"{number}.jpg" for number in range(len(copied))]
    assert set(lost[lost.index.isin(names)]) <= {"nearly the same as a test item", "also in the test set"}
    assert len(copied) >= 4 and set(names) <= set(lost.index)
    assert_no_near_pictures(placed, crops)


def zip_lost(lost: pd.Series, everything: set[tuple[str, str]]) -> list[tuple[str, str]]:
    return [key for key in everything if key[1] in lost.index]


def assert_no_near_pictures(placed: pd.DataFrame, crops: list[Path]) -> None:
    """Compare each picture with each of another split, but for frames of one video."""
    prints = {}
    for path in crops:
        shard = Shard(path)
        for row, item in enumerate(shard.items):
            prints[path.parent.parent.name, item] = shard.tensor("fingerprint", row)
    rows = list(placed.itertuples())
    stacked = np.stack([prints[row.source, row.item] for row in rows])
    for position, row in enumerate(rows):
        for turned in (stacked[position], stacked[position] ^ MIRRORED_BITS):
            for near in np.flatnonzero(np.bitwise_count(stacked ^ turned).sum(axis=1) <= MAX_BITS_APART):
                other = rows[near]
                one_clip = (row.source, row.file) == (other.source, other.file) and not np.isnan(row.frame)
                assert row.split == other.split or one_clip, f"{row.item} ({row.split}), {other.item} ({other.split})"


def test_a_fingerprint_holds_for_copies_and_not_for_other_pictures(astronaut):
    prints = np.stack([fingerprint(scene(number)) for number in range(200)] + [fingerprint(astronaut)])
    apart = np.full(len(prints), -1)
    found = find_near(prints, prints[::-1].copy(), apart, apart)
    np.testing.assert_array_equal(found, np.arange(len(prints))[::-1])
    for name, change in COPIES.items():
        copy = fingerprint(np.array(Image.open(io.BytesIO(change(astronaut)))))
        assert find_near(copy[None], prints, apart[:1], apart)[0] == 200, name
    # Frames of one video are left to its time blocks.
    assert find_near(prints[:1], prints[:1], np.array([3]), np.array([3]))[0] == -1
    assert find_near(prints[:1], prints[:1], np.array([3]), np.array([4]))[0] == 0


def test_many_pictures_are_searched_fast():
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 2**64, (200_000, 4), dtype=np.uint64)
    others = prints[:200] ^ np.uint64(1 << 40)
    start = time.process_time()
    found = find_near(prints, others, np.full(len(prints), -1), np.full(len(others), -1))
    assert time.process_time() - start < 2  # a hundredth of 200,000 x 20,000
    np.testing.assert_array_equal(found[:200], np.arange(200))
    assert (found[200:] == -1).all()
