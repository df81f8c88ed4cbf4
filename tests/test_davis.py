"""Folders in the layout of DAVIS: its scores by hand, its sequences as a source."""

import numpy as np
import pytest
from motion_scenes import write_davis
from source_files import index, jpeg, write

from workflow_scripts.config.sources import DavisSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.metrics.davis import contour, contour_f, statistics
from workflow_scripts.sources import shard_listings
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.motion.export_motion import davis_palette


def square(top: int, left: int, side: int = 40, size: int = 100) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_contour_is_where_a_pixel_differs_from_those_right_and_below():
    assert {*zip(*np.nonzero(contour(square(2, 2, 1, 5))), strict=True)} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert np.count_nonzero(contour(square(30, 30))) == 4 * 40
    assert not contour(np.ones((5, 5), bool)).any()


def test_f_of_squares_by_hand():
    truth = square(30, 30)
    assert contour_f(truth, truth) == 1
    assert contour_f(square(30, 32), truth) == 1  # two pixels are 0.8 % of the diagonal, rounded up
    # Three pixels apart, 40 of 41 pixels of both horizontal sides match, and 4 of a vertical one, near its ends.
    assert contour_f(square(30, 33), truth) == pytest.approx(84 / 160)
    assert contour_f(square(0, 0, 20), square(70, 70, 20)) == 0
    nothing = np.zeros((100, 100), bool)
    assert contour_f(nothing, nothing) == 1 and contour_f(nothing, truth) == contour_f(truth, nothing) == 0


def test_precision_and_recall_of_contours_are_weighed():
    truth = square(10, 10, 20) | square(60, 60, 20)
    assert contour_f(square(10, 10, 20), truth) == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_mean_recall_and_decay_by_hand():
    found = statistics([1, 1, 0.8, 0.6, 0.4, 0.2, 0, 0])
    assert found.mean == pytest.approx(0.5) and found.recall == 0.5
    assert found.decay == pytest.approx(2.8 / 3 - 0.2 / 3)
    assert statistics([0.5]) == (0.5, 0, 0)


def test_the_palette_begins_as_that_of_davis():
    palette = np.frombuffer(davis_palette(), np.uint8).reshape(256, 3).tolist()
    assert palette[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]] and palette[255] == [224, 224, 192]
    assert palette[8] == [64, 0, 0]


def davis(folder, **keys) -> DavisSource:
    return DavisSource(type="davis", path=str(folder), **keys)


@pytest.fixture
def folder(tmp_path):
    frames = np.zeros((3, 40, 50, 3), np.uint8)
    frames[:, 5:20] = np.arange(3)[:, None, None, None] * 50
    truths = np.zeros((3, 40, 50), bool)
    return write_davis(tmp_path / "davis", {name: (frames, truths) for name in ("bear", "camel", "goat")})


def test_frames_are_items_and_a_sequence_is_a_group(folder, tmp_path):
    rows, lost = index(davis(folder), tmp_path)
    assert [row["item"] for row in rows][:4] == [
        "bear/00000.jpg",
        "bear/00001.jpg",
        "bear/00002.jpg",
        "camel/00000.jpg",
    ]
    assert {(row["item"].split("/")[0], row["group"], row["shot"]) for row in rows} == {
        (name, name, 0) for name in ("bear", "camel", "goat")
    }
    assert not lost and len({(row["group"], row["split"]) for row in rows}) == 3
    with PictureReader(davis(folder)) as reader:
        assert reader.read("goat/00002.jpg").shape == (40, 50, 3)


def test_a_sequence_lies_in_one_shard(folder):
    shards = [{file.key for file in part.files} for part in shard_listings(davis(folder), 4)]
    assert sum(map(len, shards)) == 3 and set().union(*shards) == {"bear", "camel", "goat"}


@pytest.mark.parametrize(
    "lines",
    [
        "bear\ngoat\n",
        "\ufeffbear\r\ngoat\r\n",
        "/JPEGImages/480p/bear/00000.jpg /A\n/JPEGImages/480p/goat/00000.jpg /A",
    ],
)
def test_a_list_chooses_sequences_by_their_names_or_by_their_frames(folder, tmp_path, lines):
    write(folder, {"ImageSets/2016/test.txt": lines})
    rows, _ = index(davis(folder, set="2016/test"), tmp_path)
    assert {row["group"] for row in rows} == {"bear", "goat"}


def test_a_list_that_is_missing_or_names_what_is_not_there_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r"set: there is no file .*val2\.txt; write the list"):
        index(davis(folder, set="480p/val2"), tmp_path)
    write(folder, {"ImageSets/2016/test.txt": "bear\nwhale\n"})
    with pytest.raises(UserError, match="names 1 sequences that are not in JPEGImages/480p, as 'whale'"):
        index(davis(folder, set="2016/test"), tmp_path)
    with pytest.raises(UserError, match=r"resolution: .*1080p does not exist"):
        index(davis(folder, resolution="1080p"), tmp_path)


def test_a_picture_in_no_sequence_is_quarantined(folder, tmp_path):
    write(folder, {"JPEGImages/480p/alone.jpg": jpeg(30)})
    rows, lost = index(davis(folder), tmp_path)
    assert len(rows) == 9 and [(row["item"], row["reason"]) for row in lost] == [("alone.jpg", "in no sequence")]
