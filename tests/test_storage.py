"""Tables, shards, atomic files, item-keyed randomness and code digests: what every stage stands on."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from projects import ROOT

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import atomic_path, write_json
from workflow_scripts.core.randomness import item_rng, stable_hash
from workflow_scripts.core.shards import BATCH_ROWS, Shard, write_shard
from workflow_scripts.core.tables import INDEX, Quarantine, read_rows, read_table, write_table
from workflow_scripts.provenance import code_digest as digests

COLUMNS = {"item": pa.string(), "variant": pa.int32(), "image": (np.uint8, (4, 6, 3)), "points": (np.float32, (5, 2))}


def shard_row(number: int) -> dict:
    rng = np.random.default_rng(number)
    return {
        "item": f"{number:05d}.jpg",
        "variant": number % 3,
        "image": rng.integers(0, 256, (4, 6, 3), np.uint8),
        "points": rng.random((5, 2), np.float32),
    }


def test_a_shard_returns_what_was_written_across_record_batches(tmp_path):
    count = 2 * BATCH_ROWS + 7
    assert write_shard(tmp_path / "a.arrow", map(shard_row, range(count)), COLUMNS) == count
    shard = Shard(tmp_path / "a.arrow")
    assert len(shard) == count and shard.columns == list(COLUMNS)
    rows = [0, BATCH_ROWS - 1, BATCH_ROWS, count - 1, 3]
    for name in ("image", "points"):
        np.testing.assert_array_equal(shard.tensors(name, rows), np.stack([shard_row(row)[name] for row in rows]))
    assert shard.items[BATCH_ROWS] == shard_row(BATCH_ROWS)["item"]
    assert shard.scalars("variant")[-1] == (count - 1) % 3


def test_a_shard_is_mapped_not_copied(tmp_path):
    write_shard(tmp_path / "a.arrow", map(shard_row, range(3)), COLUMNS)
    view = Shard(tmp_path / "a.arrow").tensor("image", 1)
    assert not view.flags.owndata and not view.flags.writeable


def test_an_empty_shard_is_readable(tmp_path):
    write_shard(tmp_path / "a.arrow", [], COLUMNS)
    assert len(Shard(tmp_path / "a.arrow")) == 0


@pytest.mark.parametrize("seed", range(4))
def test_damaged_results_are_named_in_one_line(tmp_path, seed):
    """Each damaged file is read in a process of its own, so that a crash would be seen too."""
    rng = np.random.default_rng(seed)
    write_shard(tmp_path / "good.arrow", map(shard_row, range(3)), COLUMNS)
    write_table(tmp_path / "good.parquet", [{"item": f"{number}.jpg", "width": number} for number in range(9)], INDEX)
    for file, read in (("good.arrow", read_all), ("good.parquet", read_table), ("good.parquet", read_rows)):
        data = bytearray((tmp_path / file).read_bytes())
        for number in range(25):
            damaged = tmp_path / f"damaged.{number}"
            place = int(rng.integers(len(data)))
            change = [b"", bytes(rng.integers(256, size=8, dtype=np.uint8)), bytes(16)][number % 3]
            damaged.write_bytes(data[:place] + change + data[place + len(change) :] if change else data[:place])
            worker = os.fork()
            if worker == 0:
                try:
                    read(damaged)
                    os._exit(0)  # what was changed is a value
                except UserError as error:
                    os._exit(0 if "delete it and start again" in str(error) and "\n" not in str(error) else 1)
                except BaseException:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0, (file, seed, number)


def read_all(path) -> None:
    shard = Shard(path)
    for row in range(len(shard)):
        shard.tensor("image", row)
        shard.tensor("points", row)


def test_a_tensor_of_another_shape_is_refused_and_leaves_no_file(tmp_path):
    bad = shard_row(0) | {"image": np.zeros((4, 5, 3), np.uint8)}
    with pytest.raises(ValueError, match="image"):
        write_shard(tmp_path / "a.arrow", [bad], COLUMNS)
    assert list(tmp_path.iterdir()) == []


def test_equal_rows_give_equal_bytes(tmp_path):
    rows = [{"item": "a", "width": 3, "points": [1.0] * 10}, {"item": "b", "identity": "x"}]
    for name in ("1", "2"):
        write_table(tmp_path / f"{name}.parquet", rows, INDEX)
        write_shard(tmp_path / f"{name}.arrow", map(shard_row, range(5)), COLUMNS)
    for suffix in ("parquet", "arrow"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_absent_values_come_back_as_none(tmp_path):
    write_table(tmp_path / "t.parquet", [{"item": "a", "identity": "x"}, {"item": "b"}], INDEX)
    table = read_table(tmp_path / "t.parquet")
    assert table["identity"].tolist() == ["x", None] and table["points"].tolist() == [None, None]
    rows = read_rows(tmp_path / "t.parquet", ["identity", "item", "points"])
    assert rows == [("x", "a", None), (None, "b", None)] and rows[0].identity == "x"


def test_tables_are_written_and_read_without_pandas_and_as_its_frames_the_same(tmp_path):
    code = """
import sys
from workflow_scripts.core.tables import INDEX, read_rows, read_table, write_table
from workflow_scripts.stages.faces import crop_faces, find_landmarks
from workflow_scripts.stages.removal import make_pairs
from workflow_scripts.stages.sources import index_source
write_table("rows", [{"item": "a", "width": 3, "points": [1.0] * 10}, {"item": "b", "shot": 2}], INDEX)
write_table("columns", dict(zip(INDEX.names, zip(*read_rows("rows")))), INDEX)
assert "pandas" not in sys.modules
write_table("frame", read_table("rows"), INDEX)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert len({(tmp_path / name).read_bytes() for name in ("rows", "columns", "frame")}) == 1


def test_quarantine_keeps_one_line_and_sorts(tmp_path):
    quarantine = Quarantine("find_landmarks")
    quarantine.add("b", "no face", "two\nlines")
    quarantine.add("a", "no face", "one")
    quarantine.write(tmp_path / "q.parquet")
    assert read_table(tmp_path / "q.parquet").to_dict("records") == [
        {"item": "a", "stage": "find_landmarks", "reason": "no face", "detail": "one"},
        {"item": "b", "stage": "find_landmarks", "reason": "no face", "detail": "two lines"},
    ]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"x": 1})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(target.read_text()) == {"x": 1} and list(tmp_path.iterdir()) == [target]


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"psnr": float("nan")})


def test_randomness_depends_on_item_and_purpose_and_on_no_process():
    draw = item_rng(1, "a.jpg", "occluder 0").integers(1 << 30)
    assert draw != item_rng(1, "a.jpg", "occluder 1").integers(1 << 30)
    assert draw != item_rng(2, "a.jpg", "occluder 0").integers(1 << 30)
    code = (
        "from workflow_scripts.core.randomness import *; "
        "print(stable_hash('a', 1), item_rng(1, 'a.jpg', 'occluder 0').integers(1 << 30))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert printed == [str(stable_hash("a", 1)), str(draw)]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in which `stage` imports `shared.deep` through `shared`, and `other` stands alone."""
    root = tmp_path / "workflow_scripts"
    (root / "shared").mkdir(parents=True)
    (root / "shared/__init__.py").write_text("from workflow_scripts.shared import deep\n")
    (root / "shared/deep.py").write_text('"""Doc."""\n\n\ndef f():\n    return 1\n')
    (root / "stage.py").write_text(
        "from workflow_scripts.shared import deep\nimport os\n\n\ndef g():\n    return deep.f()\n"
    )
    (root / "other.py").write_text("def h():\n    return 2\n")
    monkeypatch.setattr(digests, "PACKAGE", root)

    def digest(module):
        digests.code_digest.cache_clear()
        digests._read.cache_clear()
        return digests.code_digest(module)

    return root, digest


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        (
            "shared/deep.py",
            '"""Other words."""\n\n# a comment\n\n\ndef f():\n    "More words."\n    return (1)\n',
            False,
        ),
        ("shared/deep.py", '"""Doc."""\n\n\ndef f():\n    return 3\n', True),
        ("other.py", "def h():\n    return 5\n", False),
        ("stage.py", "from workflow_scripts.shared import deep\nimport os\n\n\ndef g():\n    return -deep.f()\n", True),
    ],
    ids=["docstring, comment and format", "module imported indirectly", "unrelated module", "the stage itself"],
)
def test_a_code_digest_changes_with_what_the_stage_runs_and_only_then(package, file, text, changes):
    root, digest = package
    before, old = digest("stage"), (root / file).read_text()
    (root / file).write_text(text)
    assert (digest("stage") != before) is changes
    (root / file).write_text(old)
    assert digest("stage") == before
