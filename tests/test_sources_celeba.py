"""Source `celeba`: its layouts, and its text files whole, absent, faulty or malformed."""

import pytest
from source_files import (
    COUNT,
    IMAGES,
    KAGGLE,
    NAMES,
    OFFICIAL,
    PICTURES,
    below,
    celeba,
    index,
    official_texts,
    shard_digests,
    write,
    zipped,
)

from workflow_scripts import sources
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._reader import PictureReader

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


def test_a_changed_celeba_text_shows_in_every_digest(tmp_path):
    folder = write(tmp_path, below(IMAGES, PICTURES) | OFFICIAL)
    before = shard_digests(celeba(folder), 2, tmp_path / "records")
    write(folder, {"identity_CelebA.txt": "000001.jpg 1\n"})
    after = shard_digests(celeba(folder), 2, tmp_path / "records")
    assert before[0] != after[0]
    assert before[1] != after[1]
