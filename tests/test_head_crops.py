"""Head crops and drawings of videos, from the file to the shard, on small clips made of one real portrait."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from test_video import damaged, write_clip
from weights import landmark_weights

from workflow_scripts.config.sources import Crop, FolderSource, VideoSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces.alignment import crop_picture, fit_similarity, transform_points
from workflow_scripts.faces.head_squares import calm_squares, grown_squares, square_matrix
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.reenactment.draw_landmarks import draw_landmarks
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._reenactment.config import Drawing

SIDE = 224  # pixels of a clip
SIZE = 64  # pixels of a crop
RATE = 25
STAGES = ("index_source", "find_landmarks", "crop_faces", "draw_landmarks")


def shifts(count: int) -> np.ndarray:
    """Where a slowly moving head is, x and y in pixels (count, 2)."""
    turn = 2 * np.pi * np.arange(count) / 60
    return np.stack([24 * np.sin(turn), 10 * np.cos(turn)], axis=1)


@pytest.fixture(scope="module")
def portrait(astronaut) -> np.ndarray:
    """A face, with room around it to move in."""
    return np.ascontiguousarray(cv2.copyMakeBorder(astronaut[:330, 60:390], 40, 0, 0, 0, cv2.BORDER_REPLICATE))


def shot(portrait: np.ndarray, count: int) -> list[np.ndarray]:
    """Frames of a moving head, SIDE x SIDE."""
    frames = []
    for x, y in shifts(count):
        matrix = np.array([[1, 0, x - 50], [0, 1, y - 40]])
        frames.append(cv2.warpAffine(portrait, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE))
    return frames


def milliseconds(count: int) -> list[int]:
    return [1000 * number // RATE for number in range(count)]


def heads(path: Path, **keys) -> VideoSource:
    keys = {"every": 1, "faces": {"detector": "dlib_hog"}, "crop": {"size": SIZE, "frame": "head"}} | keys
    return VideoSource(type="video", path=str(path), **keys)


def run_chain(source, folder: Path) -> dict[str, Path]:
    """Run the stages from the files to the drawings; return the paths of what they made, and of each quarantine."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: folder / name for name in ("index.parquet", "landmarks.parquet", "crops.arrow", "drawings.arrow")}
    lost = {stage: folder / f"{stage}.parquet" for stage in STAGES}
    index, landmarks, crops, drawings = made.values()
    index_source(source, 1, 0, 1, index, lost["index_source"])
    find_landmarks(source, index, landmark_weights(), landmarks, lost["find_landmarks"])
    crop_faces(source, index, landmarks, crops, lost["crop_faces"])
    draw_landmarks(Drawing(), index, crops, None, None, drawings, lost["draw_landmarks"])
    return made | lost


def fates(made: dict[str, Path]) -> tuple[set[str], dict[str, str]]:
    """Return the items that are drawn and item -> reason of those set aside; nothing may be lost or told twice."""
    rows = [row for stage in STAGES for row in read_table(made[stage]).itertuples()]
    reasons = {row.item: row.reason for row in rows}
    assert len(reasons) == len(rows), "set aside twice"
    assert all(";" in row.detail and "\n" not in row.detail for row in rows), "one line with the remedy"
    assert not any("#" in row.item and "remove" in row.detail for row in rows), "a frame cannot be removed"
    indexed, drawn = set(read_table(made["index.parquet"])["item"]), set(Shard(made["drawings.arrow"]).items)
    assert indexed == drawn | (indexed & set(reasons)) and not drawn & set(reasons)
    return drawn, reasons


def centers(made: dict[str, Path]) -> np.ndarray:
    """Return what part of the frame each crop shows: x and y of its centre and its side in pixels, (n, 3)."""
    shard, faces = Shard(made["crops.arrow"]), read_table(made["landmarks.parquet"])
    whole = landmark_points(faces[faces["face"] == 0].set_index("item").loc[shard.items])
    shown = []
    for row, points in enumerate(whole):
        back = fit_similarity(shard.tensor("landmarks", row), points)
        middle = transform_points(back, np.full((1, 2), (SIZE - 1) / 2))[0]
        shown.append([*middle, SIZE * np.hypot(*back[:, 0])])
    return np.array(shown)


def unrest(track: np.ndarray) -> float:
    """Return how far points are, on average, from the middle of their neighbours in time."""
    return float(np.linalg.norm(track[1:-1] - (track[:-2] + track[2:]) / 2, axis=1).mean())


@pytest.fixture(scope="module")
def talk(portrait, tmp_path_factory) -> dict[str, Path]:
    """The results of a clip of two shots, one mirrored, the head elsewhere."""
    folder = tmp_path_factory.mktemp("talk")
    second = [np.ascontiguousarray(np.roll(frame[:, ::-1], 40, axis=1)) for frame in shot(portrait, 40)]
    frames = [*shot(portrait, 40), *second]
    path = write_clip(folder / "talk.mp4", frames, "libx264", milliseconds(80))
    return run_chain(heads(path), folder / "results") | {"clip": path}


def test_a_box_grows_as_in_the_student_report_and_becomes_square():
    boxes = np.array([[100, 100, 200, 200], [0, 0, 10, 40]])
    assert grown_squares(boxes).tolist() == [[150, 145, 200], [5, 18, 52]]


def test_the_square_fills_the_crop(astronaut):
    matrix = square_matrix(np.array([150.0, 145.0, 200.0]), SIZE)
    corners = transform_points(matrix, np.array([[50.0, 45.0], [250.0, 245.0]]))
    assert np.allclose(corners, [[-0.5, -0.5], [SIZE - 0.5, SIZE - 0.5]])
    crop = crop_picture(astronaut, matrix, Crop(size=SIZE, frame="head"))
    expected = cv2.resize(astronaut[45:245, 50:250], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(crop.astype(int) - expected).mean() < 6


def test_squares_neither_tremble_nor_jump_nor_lag():
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.02, 0.06, 100))  # a variable frame rate
    true = np.stack([100 + 30 * times, 80 - 10 * times, np.full(100, 90.0)], axis=1)
    seen = true + rng.normal(0, 3, true.shape)
    seen[50] = [300, 20, 40]  # another face, for one frame
    calm = calm_squares(seen, times)
    assert unrest(calm) < 0.05 * unrest(np.delete(seen, 50, axis=0))
    assert np.abs(calm - true)[10:-10].max() < 3
    assert np.abs((calm - true)[10:-10, :2].mean(axis=0)).max() < 0.5, "0.1 s behind, x would be off by 3"


def test_a_frame_alone_and_frames_far_apart_keep_their_squares():
    squares = np.array([[10.0, 20, 30], [40, 50, 60], [10, 10, 10]])
    assert np.array_equal(calm_squares(squares[:1], np.zeros(1)), squares[:1])
    assert np.allclose(calm_squares(squares, np.array([0.0, 5, 10])), squares)


def test_crops_of_a_clip_move_calmly_and_stay_on_the_head(talk):
    faces = read_table(talk["landmarks.parquet"])
    boxes = grown_squares(faces[["left", "top", "right", "bottom"]].to_numpy())
    shown = centers(talk)
    assert len(shown) == 80
    for part in (np.s_[:40], np.s_[40:]):
        assert unrest(shown[part]) < 0.1 * unrest(boxes[part])
    noses = Shard(talk["crops.arrow"]).tensors("landmarks", range(80))[:, 30]
    assert np.abs(noses - SIZE / 2).max() < 0.15 * SIZE


def test_at_a_cut_the_crop_is_at_once_on_the_new_place(talk):
    index = read_table(talk["index.parquet"])
    assert list(index["shot"]) == [0] * 40 + [1] * 40
    shown = centers(talk)
    noses = Shard(talk["crops.arrow"]).tensors("landmarks", range(80))[:, 30]
    assert np.abs(shown[40] - shown[39])[0] > 20 > 5 * np.abs(shown[40] - shown[41])[0]
    assert np.abs(noses[40] - noses[41]).max() < 2
    follows = Shard(talk["drawings.arrow"]).scalars("follows")
    assert follows == [False] + [True] * 39 + [False] + [True] * 39


def test_the_frame_before_comes_with_each_drawing(talk):
    shard = Shard(talk["drawings.arrow"])
    for row, follows in enumerate(shard.scalars("follows")):
        before = shard.tensor("target", row - 1) if follows else np.zeros((SIZE, SIZE, 3), np.uint8)
        assert np.array_equal(shard.tensor("previous", row), before)
        assert np.array_equal(shard.tensor("target", row), Shard(talk["crops.arrow"]).tensor("image", row))


def test_rerunning_gives_the_same_bytes(talk, tmp_path):
    again = run_chain(heads(talk["clip"]), tmp_path)
    assert all(again[name].read_bytes() == talk[name].read_bytes() for name in again)


def test_drawings_tremble_less_than_the_landmarks_found(talk):
    drawn = Shard(talk["drawings.arrow"]).tensors("landmarks", range(40)).reshape(40, -1)
    found = Shard(talk["crops.arrow"]).tensors("landmarks", range(40)).reshape(40, -1)
    assert unrest(drawn) < 0.85 * unrest(found)
    assert np.abs(drawn - found).max() < 1


def test_pictures_are_cut_too_each_by_its_own_box(astronaut, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"in/{name}.png"), astronaut[:, :, ::-1])
    source = FolderSource(
        type="folder", path=str(tmp_path / "in"), faces={"detector": "dlib_hog"}, crop={"size": SIZE, "frame": "head"}
    )
    index, landmarks, crops = (tmp_path / name for name in ("index", "landmarks", "crops"))
    index_source(source, 1, 0, 1, index, tmp_path / "lost")
    find_landmarks(source, index, landmark_weights(), landmarks, tmp_path / "lost")
    crop_faces(source, index, landmarks, crops, tmp_path / "lost")
    shard, faces = Shard(crops), read_table(landmarks)
    assert shard.items == ["a.png", "b.png"]
    found = centers({"crops.arrow": crops, "landmarks.parquet": landmarks})
    assert np.allclose(found, grown_squares(faces[["left", "top", "right", "bottom"]].to_numpy()), atol=0.6)


def silent_film(path: Path) -> Path:
    """Write a file that holds sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, 1024 * number, Fraction(1, 44100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_bad_frames_and_clips_are_told_and_the_rest_is_drawn(portrait, tmp_path):
    folder = tmp_path / "in"
    frames = shot(portrait, 12)
    empty = np.full((SIDE, SIDE, 3), 120, np.uint8)
    write_clip(folder / "gap.mp4", [*frames[:4], *[empty] * 3, *frames[7:]], "libx264", milliseconds(12))
    write_clip(folder / "nobody.mp4", [empty] * 3, "libx264", milliseconds(3))
    write_clip(folder / "dark.mp4", [0 * empty], "libx264", [0])
    write_clip(folder / "one.mp4", frames[:1], "libx264", [0])
    rng = np.random.default_rng(0)
    noisy = [frame ^ rng.integers(0, 16, frame.shape, np.uint8) for frame in shot(portrait, 24)]
    damaged(write_clip(folder / "cut.avi", noisy), keep=0.5)
    silent_film(folder / "sound.mp4")
    drawn, reasons = fates(run_chain(heads(folder), tmp_path / "results"))
    assert {f"gap.mp4#{number:06d}" for number in (*range(4), *range(7, 12))} | {"one.mp4#000000"} <= drawn
    assert 3 <= sum(item.startswith("cut.avi") for item in drawn) < 20
    lost = {f"gap.mp4#{number:06d}" for number in (4, 5, 6)} | {f"nobody.mp4#{number:06d}" for number in range(3)}
    whole = {"cut.avi": "damaged video", "sound.mp4": "not a video"}
    assert reasons == dict.fromkeys(lost, "no face") | {"dark.mp4#000000": "nearly black"} | whole


def test_a_clip_without_a_usable_frame_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no usable picture in .*: 1 not a video; for example sound\.mp4: it has"):
        run_chain(heads(silent_film(tmp_path / "sound.mp4")), tmp_path)


def test_of_two_faces_the_larger_one_is_followed(portrait, tmp_path):
    small = cv2.resize(portrait, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    frames = []
    for frame in shot(portrait, 6):
        wide = np.full((SIDE, SIDE + small.shape[1], 3), 90, np.uint8)
        wide[:, :SIDE] = frame
        wide[-small.shape[0] :, SIDE:] = small[-SIDE:]
        frames.append(np.ascontiguousarray(wide[:, : wide.shape[1] // 2 * 2]))
    made = run_chain(heads(write_clip(tmp_path / "two.mp4", frames, "libx264", milliseconds(6))), tmp_path / "results")
    assert (read_table(made["landmarks.parquet"])["face"] == 1).any(), "both are found"
    drawn, _ = fates(made)
    assert len(drawn) == 6 and centers(made)[:, 0].max() < SIDE * 0.7


@pytest.mark.parametrize("turn", [90, -90, 180])
def test_a_turned_phone_video_gives_upright_drawings(portrait, tmp_path, turn):
    stored = [np.ascontiguousarray(np.rot90(frame, -turn // 90)) for frame in shot(portrait, 3)]
    path = write_clip(tmp_path / "phone.mp4", stored, "libx264", milliseconds(3), turn=turn)
    upright = run_chain(heads(path), tmp_path / "results")
    assert len(fates(upright)[0]) == 3
    points = Shard(upright["drawings.arrow"]).tensor("landmarks", 0)
    assert points[8, 1] > points[27, 1] + SIZE / 5 and points[45, 0] > points[36, 0] + SIZE / 8


def test_frames_of_a_variable_rate_follow_by_their_time(portrait, tmp_path):
    times = [0, 40, 80, 200, 210, 2000, 2040, 3050]
    path = write_clip(tmp_path / "clip.mp4", shot(portrait, 8), "libx264", times)
    made = run_chain(heads(path), tmp_path / "results")
    assert list(read_table(made["index.parquet"])["time"]) == pytest.approx([time / 1000 for time in times])
    assert Shard(made["drawings.arrow"]).scalars("follows") == [False, True, True, True, True, False, True, False]


def test_a_frame_of_4k_is_cropped_in_its_own_pixels(portrait, tmp_path):
    large = cv2.resize(portrait[:, :330], (2160, 2160), interpolation=cv2.INTER_LINEAR)
    large = cv2.copyMakeBorder(large, 0, 0, 840, 840, cv2.BORDER_REPLICATE)
    path = write_clip(tmp_path / "large.mp4", [large], "mpeg4", itertools.count())
    made = run_chain(heads(path), tmp_path / "results")
    assert list(read_table(made["index.parquet"])[["width", "height"]].iloc[0]) == [3840, 2160]
    assert len(fates(made)[0]) == 1 and centers(made)[0, 2] > 1000


def test_a_head_at_the_border_is_whole_and_its_surroundings_continue(portrait, tmp_path):
    frames = [np.ascontiguousarray(np.roll(frame, -60, axis=1)[:, :160]) for frame in shot(portrait, 4)]
    made = run_chain(heads(write_clip(tmp_path / "edge.mp4", frames, "libx264", milliseconds(4))), tmp_path / "results")
    drawn, _ = fates(made)
    assert len(drawn) == 4
    x, _, side = centers(made)[0]
    assert x < side / 2, "the square leaves the frame"
    image = Shard(made["crops.arrow"]).tensor("image", 0)
    assert image[:, 0].mean() > 20, "and is not filled with black"
