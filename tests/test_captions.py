"""Captions of the pictures in a folder: tables and text files, what cannot be used, and that nothing is lost."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import FolderSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import INDEX, QUARANTINE, read_table, write_table
from workflow_scripts.sources import _captions, list_files, shard_of
from workflow_scripts.stages.sources.read_captions import read_captions

PICTURES = ("a.png", "b.png", "c.png", "sub/d.png", "sub/e.png")


@pytest.fixture
def folder(tmp_path):
    """A folder of five pictures, without a caption."""
    root = tmp_path / "pictures"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(PICTURES):
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(root / name)
    return root


def read(folder, tmp_path, shards: int = 1, unusable=()) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the captions of each item, and the reasons of what is in quarantine, of all shards together."""
    _captions.caption_files.cache_clear()
    captions: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for shard in range(shards):
        used = [name for name in PICTURES if name not in unusable and shard_of(name, shards) == shard]
        files = [tmp_path / f"{kind}_{shard}.parquet" for kind in ("index", "lost", "captions", "quarantine")]
        write_table(files[0], [{"item": name, "file": name} for name in used], INDEX)
        lost = [{"item": name, "stage": "index_source", "reason": "broken", "detail": ""} for name in unusable]
        write_table(files[1], lost, QUARANTINE)
        source = FolderSource(type="folder", path=str(folder))
        read_captions(source, f"{shard:05d}", shards, "", *files)
        for row in read_table(files[2]).itertuples():
            assert row.annotation == len(captions.setdefault(row.item, []))
            captions[row.item].append(row.caption)
        found = read_table(files[3])
        assert not set(reasons) & set(found["item"])
        reasons |= found.set_index("item")["reason"].to_dict()
    return captions, reasons


def test_tables_of_each_kind_and_texts_give_captions(folder, tmp_path):
    (folder / "metadata.csv").write_text('file_name,text\na.png,"a red, old house"\nsub/e.png,a tree\n')
    boat = {"file_name": "d.png", "caption": ["a boat", "a boat at sea"]}
    rows = [boat, {"file_name": "../b.png", "text": " a  cat "}]
    (folder / "sub/metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pd.DataFrame({"file_name": ["d.png"], "text": ["a third"]}).to_parquet(folder / "sub/metadata.parquet")
    (folder / "c.txt").write_text("first\n\nsecond\nfirst\n")
    captions, reasons = read(folder, tmp_path)
    assert captions == {
        "a.png": ["a red, old house"],
        "b.png": ["a cat"],
        "c.png": ["first", "second"],
        "sub/d.png": ["a boat", "a boat at sea", "a third"],
        "sub/e.png": ["a tree"],
    }
    assert reasons == {}


def test_what_has_no_caption_or_no_picture_is_told_once_whatever_the_shards_are(folder, tmp_path):
    (folder / "metadata.csv").write_text("file_name,text\na.png,words\nb.png,\ngone.png,words\n,words\nc.png,words\n")
    (folder / "sub/d.txt").write_bytes(b"\xff\xfe\x00")
    for shards in (1, 4):
        captions, reasons = read(folder, tmp_path, shards, unusable=("c.png",))
        assert captions == {"a.png": ["words"]}
        assert reasons == {
            "b.png": "no words",
            "sub/d.png": "caption unreadable",
            "sub/e.png": "no caption",
            "metadata.csv#/2": "picture missing",
            "metadata.csv#/3": "no file_name",
        }


def test_rare_ends_of_lines_within_a_caption_and_half_letters_cost_no_other_row(folder, tmp_path):
    (folder / "metadata.csv").write_bytes("file_name,text\r\na.png,one\u2028line\x85still\r\nb.png,words\n".encode())
    rows = [{"file_name": "d.png", "text": "two\u2028 lines"}, {"file_name": "e.png", "text": "half \ud83d"}]
    lines = [json.dumps(rows[0], ensure_ascii=False), json.dumps(rows[1]), json.dumps({"file_name": "\ud83d.png"})]
    (folder / "sub/metadata.jsonl").write_bytes("\r\n".join(lines).encode())
    captions, reasons = read(folder, tmp_path)
    assert captions == {"a.png": ["one line still"], "b.png": ["words"], "sub/d.png": ["two lines"]}
    assert reasons == {
        "c.png": "no caption",
        "sub/e.png": "not a Unicode text",
        "sub/metadata.jsonl#/2": "no file_name",
    }


def test_a_damaged_table_ends_in_one_line(folder, tmp_path):
    damaged = {"metadata.jsonl": b'{"file_name": \n', "metadata.parquet": b"PAR1 no", "metadata.csv": b"\xff"}
    for name, data in damaged.items():
        (folder / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"{name} is no table of captions"):
            read(folder, tmp_path)
        (folder / name).unlink()


def test_files_of_captions_are_no_damaged_pictures_but_other_texts_are(folder):
    for name in ("metadata.csv", "a.txt", "sub/d.txt", "notes.txt"):
        (folder / name).write_text("text")
    problems = [problem.path for problem in list_files(FolderSource(type="folder", path=str(folder))).problems]
    assert problems == ["notes.txt"]


def test_an_archive_and_a_source_without_captions_are_refused(tmp_path):
    from workflow_scripts.sources.folder import captions_folder

    archive = tmp_path / "pictures.zip"
    archive.write_bytes(b"")
    with pytest.raises(UserError, match="unpack it"):
        captions_folder(FolderSource(type="folder", path=str(archive)))
    with pytest.raises(UserError, match="only a source of types coco and folder has captions"):
        load_config({"sources": {"faces": {"type": "sample", "needs": ["captions"]}}})


def test_another_caption_makes_another_digest(folder):
    _captions.caption_files.cache_clear()
    before = _captions.captions_digest(folder)
    (folder / "a.txt").write_text("words")
    _captions.caption_files.cache_clear()
    assert _captions.captions_digest(folder) != before
