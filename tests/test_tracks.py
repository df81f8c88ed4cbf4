"""Videos of two people: one of them is followed within a shot, whatever the shards; any can be asked for."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from projects import Project
from test_video import write_clip
from weights import landmark_weights

from workflow_scripts.config.sources import FaceSearch, FolderSource, VideoSource
from workflow_scripts.core.tables import INDEX, read_table, write_table
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.sources.index_source import index_source

HOG = {"detector": "dlib_hog"}
SIDE = 240  # pixels of each person's half of a frame
SMALL, LARGE = 0.8, 1.1  # sizes of the left face, in which it is found narrower and wider than the right one of 0.9


@pytest.fixture(scope="module")
def person(astronaut) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:330, 60:390])


def half(person: np.ndarray, size: float, hidden: bool = False) -> np.ndarray:
    """One person's half of a frame, the face in its middle; a hidden one is blurred, as a cut would begin a shot."""
    matrix = np.array([[size, 0, SIDE / 2 - 165 * size], [0, size, SIDE / 2 - 130 * size]])
    picture = cv2.warpAffine(person, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(picture, (0, 0), 15) if hidden else picture


def two_people(person: np.ndarray, left_sizes, hidden=()) -> list[np.ndarray]:
    """Frames with two faces, the left one of varying size; in `hidden` ones it cannot be seen."""
    frames = []
    for number, size in enumerate(left_sizes):
        frames.append(np.hstack([half(person, size, number in hidden), half(person, 0.9)]))
    return frames


def landmarks_of(path: Path, work: Path, **faces) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the landmark table of a clip's every frame, and the quarantine."""
    work.mkdir(exist_ok=True)
    source = VideoSource(type="video", path=str(path), every=1, faces=HOG | faces)
    index_source(source, 1, 0, 1, work / "index", work / "unread")
    find_landmarks(source, work / "index", landmark_weights(), work / "landmarks", work / "lost")
    return read_table(work / "landmarks"), read_table(work / "lost")


def sides(table: pd.DataFrame) -> list[str]:
    """Return on which side the chosen face of each frame is."""
    chosen = table[table["face"] == 0]
    return ["left" if left < SIDE else "right" for left in chosen["left"]]


def test_the_face_chosen_at_the_start_is_followed_though_another_one_grows_larger(person, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", two_people(person, [SMALL, LARGE] * 2))
    for track, side in ((0, "right"), (1, "left")):
        table, lost = landmarks_of(clip, tmp_path / "work", track=track)
        assert sides(table) == [side] * 4 and len(lost) == 0
        assert (table["track"] == track).sum() == 4 and set(table[table["face"] == 0]["track"]) == {track}


def test_another_face_does_not_take_the_place_of_one_that_is_away(person, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", two_people(person, [LARGE] * 6, hidden={2, 3}))
    table, lost = landmarks_of(clip, tmp_path / "work")
    assert sides(table) == ["left"] * 4
    assert lost["item"].tolist() == ["a.mp4#000002", "a.mp4#000003"]
    assert set(lost["reason"]) == {"followed face not found"} and all("faces.track" in row for row in lost["detail"])
    assert (table["track"] == 1).sum() == 6, "the other face keeps its rows"


def test_a_face_that_the_first_step_misses_is_searched_for_where_it_was(person, tmp_path):
    """A face below 80 pixels is found only in the enlarged copy, which is not made where a larger face is found."""
    clip = write_clip(tmp_path / "a.mp4", two_people(person, [LARGE, SMALL, 0.6, 0.5, SMALL]))
    table, lost = landmarks_of(clip, tmp_path / "work")
    assert sides(table) == ["left"] * 5 and len(lost) == 0


def test_a_track_that_a_shot_does_not_have_is_told(person, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", two_people(person, [LARGE] * 3))
    table, lost = landmarks_of(clip, tmp_path / "work", track=2)
    assert not (table["face"] == 0).any() and len(lost) == 3
    assert set(lost["reason"]) == {"no such track"} and "faces.track: 1" in lost["detail"][0]


def test_a_track_of_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"faces\.track is of videos"):
        FolderSource(type="folder", path=str(tmp_path), faces={"track": 1})


def test_tracks_do_not_depend_on_the_size_of_shards_and_begin_anew_with_a_shot(astronaut, person, tmp_path):
    project = Project.create(tmp_path, astronaut)
    bare = [np.full((SIDE, 2 * SIDE, 3), 250, np.uint8)]
    for number, sizes in enumerate([(SMALL, LARGE), (LARGE, SMALL)]):
        write_clip(tmp_path / f"clips/{number}.mp4", two_people(person, sizes) + bare + two_people(person, sizes[::-1]))
    source = {"type": "video", "path": "clips", "every": 1, "faces": HOG}
    tables = []
    for shard_size, shards in ((1, 2), (1000, 1)):
        project.configure({"sources": {"clips": source}, "experiments": {}, "shard_size": shard_size})
        project.said("results/clips/quarantine.parquet")
        paths = [tmp_path / f"results/clips/landmarks/{number:05d}.parquet" for number in range(shards)]
        tables.append(pd.concat(map(read_table, paths)).sort_values(["item", "face"]).reset_index(drop=True))
        lost = read_table(tmp_path / "results/clips/quarantine.parquet")
        assert lost["item"].tolist() == ["0.mp4#000002", "1.mp4#000002"] and set(lost["reason"]) == {"no face"}
    pd.testing.assert_frame_equal(*tables)
    assert sides(tables[0]) == ["right", "right", "left", "left", "left", "left", "right", "right"]


def test_given_faces_of_frames_are_taken_as_they_are(person, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", two_people(person, [LARGE] * 2))
    source = VideoSource(type="video", path=str(clip), every=1, faces={"prior": "boxes"})
    index_source(source.model_copy(update={"faces": FaceSearch()}), 1, 0, 1, tmp_path / "index", tmp_path / "unread")
    rows = read_table(tmp_path / "index")
    rows["box"] = [[300.0, 65.0, 95.0, 95.0], [10.0, 10.0, 60.0, 60.0]]  # the smaller face, and none
    write_table(tmp_path / "index", rows, INDEX)
    find_landmarks(source, tmp_path / "index", landmark_weights(), tmp_path / "landmarks", tmp_path / "lost")
    table, lost = read_table(tmp_path / "landmarks"), read_table(tmp_path / "lost")
    assert sides(table) == ["right"] and table["track"].isna().all()
    assert lost["reason"].tolist() == ["landmarks do not settle"]


def test_frames_without_a_shot_are_pictures_and_none_is_lost(person, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", two_people(person, [SMALL, LARGE]))
    source = VideoSource(type="video", path=str(clip), every=1, faces=HOG)
    index_source(source, 1, 0, 1, tmp_path / "index", tmp_path / "unread")
    write_table(tmp_path / "index", read_table(tmp_path / "index").assign(shot=None), INDEX)
    find_landmarks(source, tmp_path / "index", landmark_weights(), tmp_path / "landmarks", tmp_path / "lost")
    table = read_table(tmp_path / "landmarks")
    assert sides(table) == ["right", "left"] and table["track"].isna().all()
