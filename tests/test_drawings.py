"""Drawings of faces, and landmarks given another person's proportions."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import FACE_SHAPE, INDEX, read_table, write_table
from workflow_scripts.faces.alignment import fit_similarity, tilt_of, transform_points
from workflow_scripts.faces.drawings import DRAWN_EYES, DRAWN_PARTS, check_drawing, draw_face, find_gaze, move_gaze
from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.faces.shape_transfer import MIN_FRAMES, STABLE, neutral_shape, transfer_shape
from workflow_scripts.stages.reenactment import draw_landmarks, measure_face_shape
from workflow_scripts.systems._reenactment.config import Drawing
from workflow_scripts.systems.reenact.config import RenderNetwork
from workflow_scripts.systems.reenact.training import RenderTraining

SIZE = 256
FACE = (CELEBA_LANDMARKS - CELEBA_LANDMARKS.mean(axis=0)) * 1.2 + SIZE / 2
LOWER_LIP, CHIN, LOWER_LIDS = [*range(55, 60), 65, 66, 67], [*range(5, 12)], [40, 41, 46, 47]


def with_lips(face: np.ndarray, opening: float) -> np.ndarray:
    """A face with its mouth opened by so many pixels, or shut where `opening` is 0."""
    opened = face.copy()
    gap = (face[[67, 66, 65], 1] - face[[61, 62, 63], 1]).mean()
    opened[LOWER_LIP, 1] += opening - gap
    opened[CHIN, 1] += opening - gap
    return opened


def lips(faces: np.ndarray) -> np.ndarray:
    """The mean opening of the mouth in pixels."""
    return np.linalg.norm(faces[..., [67, 66, 65], :] - faces[..., [61, 62, 63], :], axis=-1).mean(axis=-1)


def posed(face: np.ndarray, degrees: float, scale: float, move: tuple[float, float]) -> np.ndarray:
    """A face turned, scaled and moved about the middle of the crop."""
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), degrees, scale)
    turn[:, 2] += move
    return transform_points(turn, face)


def clip_of(face: np.ndarray, count: int = 60) -> np.ndarray:
    """Somebody who speaks and moves his head, (count, 68, 2)."""
    frames = []
    for number in range(count):
        turn = 2 * np.pi * number / count
        opened = with_lips(face, max(0.0, 12 * np.sin(4 * turn)))
        frames.append(posed(opened, 8 * np.sin(turn), 1 + 0.05 * np.sin(2 * turn), (9 * np.sin(turn), 0)))
    return np.array(frames)


WIDE = with_lips((FACE - SIZE / 2) * (1.2, 0.95) + SIZE / 2, 0)
NARROW = with_lips((FACE - SIZE / 2) * (0.85, 1.1) + SIZE / 2 + (0, 6), 0)


def shape_distance(one: np.ndarray, other: np.ndarray) -> float:
    """How far the points of two faces are apart, after turning, scaling and moving, over the width of the face."""
    fitted = transform_points(fit_similarity(one, other), one)
    return float(np.linalg.norm(fitted - other, axis=1).mean() / np.ptp(other[:, 0]))


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two drawings are alike but for the rounding of antialiased borders."""
    difference = np.abs(one.astype(int) - other).max(axis=2)
    return difference.mean() < 0.5 and (difference > 60).mean() < 0.001


def test_every_part_has_a_colour_of_its_own_which_tells_left_from_right():
    colors = (
        [part.color for part in DRAWN_PARTS.values()] + [DRAWN_PARTS[name].light for name in DRAWN_EYES] + [(0, 0, 0)]
    )
    distances = [np.abs(np.subtract(one, other)).max() for i, one in enumerate(colors) for other in colors[:i]]
    assert min(distances) >= 48
    for name, part in DRAWN_PARTS.items():
        other = DRAWN_PARTS[name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")]
        assert part.color == tuple(np.array(other.color)[[1, 0, 2]])
        drawn = draw_face(FACE, SIZE)
        middle = FACE[part.points].mean(axis=0).round().astype(int)
        if name not in ("outline", "outer mouth", "inner mouth"):
            assert tuple(drawn[middle[1], middle[0]]) == part.color
    assert tuple(draw_face(with_lips(FACE, 20), SIZE)[int(FACE[66, 1]) + 8, 128]) == DRAWN_PARTS["inner mouth"].color


def test_a_mirrored_drawing_is_the_drawing_of_the_mirrored_face(face):
    image, points = face
    mirrored_points = (np.array([SIZE - 1, 0]) - points * (1, -1))[MIRRORED]
    assert np.abs(mirrored_points[30] - (SIZE - 1 - points[30, 0], points[30, 1])).max() < 1e-3
    mirrored_image = np.ascontiguousarray(image[:, ::-1])
    drawing = draw_face(points, SIZE, find_gaze(image, points))
    expected = draw_face(mirrored_points, SIZE, find_gaze(mirrored_image, mirrored_points))
    training = RenderTraining(RenderNetwork(perceptual="none", adversarial=0), torch.nn.Identity(), None)
    mirrored = training.mirror({"input": torch.from_numpy(drawing).permute(2, 0, 1)[None]})["input"]
    assert close(mirrored[0].permute(1, 2, 0).numpy(), expected)
    assert not close(drawing[:, ::-1], expected), "a flip alone is wrong"


def test_a_fraction_of_a_pixel_changes_the_drawing_by_as_much():
    drawings = [draw_face(np.add(FACE, (shift, 0)), SIZE).astype(int) for shift in (0, 0.25, 1)]
    little, much = (np.abs(drawing - drawings[0]).mean() for drawing in drawings[1:])
    assert 0.1 * much < little < 0.5 * much


def eyes_that_look(direction: int) -> np.ndarray:
    """A grey face whose irises lie on one side of white eyes."""
    image = np.full((SIZE, SIZE, 3), 120, np.uint8)
    for name in DRAWN_EYES:
        eye = FACE[DRAWN_PARTS[name].points]
        cv2.fillPoly(image, [eye.round().astype(np.int32)], (230, 225, 220))
        middle = eye.mean(axis=0) + np.array([direction * np.ptp(eye[:, 0]) / 4, 0])
        cv2.circle(image, tuple(middle.round().astype(int).tolist()), 3, (30, 20, 20), -1)
    return image


@pytest.mark.parametrize("direction", [-1, 1])
@pytest.mark.parametrize("light", [1.0, 0.35])
def test_the_gaze_cue_is_the_white_of_the_eye_in_any_light(direction, light):
    image = (eyes_that_look(direction) * light).astype(np.uint8)
    gaze = find_gaze(image, FACE)
    drawing = draw_face(FACE, SIZE, gaze)
    columns = np.arange(SIZE)
    for name in DRAWN_EYES:
        eye = FACE[DRAWN_PARTS[name].points]
        assert gaze[name].min() == 0 and gaze[name].max() == 1
        bright = (drawing == DRAWN_PARTS[name].light).all(axis=2)
        assert bright.any()
        offset = (bright.sum(axis=0) @ columns) / bright.sum() - eye[:, 0].mean()
        assert np.sign(offset) == -direction and abs(offset) > 1


def test_a_closed_or_flat_eye_has_no_cue_but_is_drawn():
    closed = FACE.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        closed[[upper, lower], 1] = closed[[upper, lower], 1].mean()
    assert not any(cue.any() for cue in find_gaze(np.full((SIZE, SIZE, 3), 99, np.uint8), FACE).values())
    drawing = draw_face(closed, SIZE, find_gaze(eyes_that_look(0), closed))
    for name in DRAWN_EYES:
        assert (drawing == DRAWN_PARTS[name].color).all(axis=2).sum() >= np.ptp(
            FACE[DRAWN_PARTS[name].points][:, 0]
        ) / 2


def test_the_gaze_cue_moves_with_its_eye():
    gaze = find_gaze(eyes_that_look(1), FACE)
    moved_face = posed(FACE, 20, 1.1, (12, -7))
    moved = move_gaze(gaze, FACE, moved_face)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for name in DRAWN_EYES:
        before, after = (
            np.array([(cue * columns).sum(), (cue * rows).sum()]) / cue.sum() for cue in (gaze[name], moved[name])
        )
        expected = transform_points(fit_similarity(FACE, moved_face), before[None])[0]
        assert np.abs(after - expected).max() < 0.5
        assert moved[name].sum() == pytest.approx(1.1**2 * gaze[name].sum(), rel=0.1)


@pytest.mark.parametrize(
    ("landmarks", "reason"),
    [
        (np.add(FACE, (150, 0)), "incomplete drawing"),
        (FACE - (0, 110), "incomplete drawing"),
        (FACE * 0.05, "degenerate landmarks"),
        (FACE * (0.01, 1), "degenerate landmarks"),
        (FACE * np.nan, "degenerate landmarks"),
    ],
)
def test_an_incomplete_drawing_is_refused(landmarks, reason):
    check_drawing("clip.mp4#000001", FACE, SIZE)
    with pytest.raises(cli.BadItem) as caught:
        check_drawing("clip.mp4#000001", landmarks, SIZE)
    assert caught.value.reason == reason
    assert "clip.mp4#000001" in caught.value.detail and ";" in caught.value.detail


def test_the_neutral_shape_is_upright_calm_and_where_the_head_usually_is():
    shape = neutral_shape(clip_of(WIDE))
    assert shape_distance(shape, WIDE) < 0.005
    assert abs(tilt_of(shape)) < 1e-6 and lips(shape) < 0.6
    assert np.abs(shape[STABLE] - WIDE[STABLE]).max() < 3


def test_the_mouth_of_the_neutral_shape_is_closed_even_if_it_never_is():
    frames = np.array([with_lips(WIDE, opening) for opening in 6 + 5 * np.sin(np.arange(80))])
    assert lips(frames).min() >= 1
    shape = neutral_shape(frames)
    assert lips(shape) < lips(WIDE) + 0.3 and np.abs(shape[CHIN] - WIDE[CHIN]).max() < 0.5


def test_the_eyes_of_who_squints_in_most_frames_are_open_in_the_neutral_shape():
    frames = clip_of(WIDE, 100)
    squints = np.arange(100) % 5 > 0
    frames[np.ix_(squints, LOWER_LIDS, [1])] -= 8
    shape = neutral_shape(frames)
    assert np.abs(shape[36:48] - neutral_shape(clip_of(WIDE, 100))[36:48]).max() < 1


def test_one_frame_gives_a_neutral_shape_too():
    assert shape_distance(neutral_shape(posed(WIDE, 10, 1, (0, 0))[None]), WIDE) < 1e-6


def test_who_drives_himself_gets_his_own_landmarks_back():
    frames = clip_of(WIDE)
    shape = neutral_shape(frames)
    for how in ("similarity", "shape"):
        difference = np.abs(transfer_shape(frames, shape, shape, how) - frames).max(axis=(1, 2))
        assert difference.max() < 0.1 and (difference < 1e-6).sum() > 20, "but for shut lips that crossed a little"
    measured_on_a_part = neutral_shape(frames[::2])
    difference = np.linalg.norm(transfer_shape(frames, shape, measured_on_a_part, "shape") - frames, axis=-1)
    assert difference.mean() < 0.01 * np.ptp(WIDE[:, 0])


def test_a_driver_at_rest_gives_the_proportions_of_the_target():
    driver, target = neutral_shape(clip_of(WIDE)), neutral_shape(clip_of(NARROW))
    at_rest = transfer_shape(clip_of(WIDE)[:1], driver, target, "shape")[0]
    assert shape_distance(at_rest, NARROW) < 0.01 < 0.05 < shape_distance(WIDE, NARROW)
    only_moved = transfer_shape(clip_of(WIDE)[:1], driver, target, "similarity")[0]
    assert shape_distance(only_moved, WIDE) < 1e-6
    assert np.abs(only_moved[STABLE].mean(axis=0) - target[STABLE].mean(axis=0)).max() < 3


def test_roll_size_and_movement_are_kept():
    driver, target = neutral_shape(clip_of(WIDE)), neutral_shape(clip_of(NARROW))
    poses = [(0, 1, (0, 0)), (15, 1, (0, 0)), (-20, 1.1, (0, 0)), (0, 1, (18, -9))]
    frames = np.array([posed(WIDE, *pose) for pose in poses])
    still, rolled, grown, moved = transfer_shape(frames, driver, target, "shape")
    assert tilt_of(rolled) - tilt_of(still) == pytest.approx(-15, abs=0.5)
    spread = [np.sqrt(face[STABLE].var(axis=0).sum()) for face in (still, grown, target, driver)]
    assert spread[1] / spread[0] == pytest.approx(1.1, rel=0.01)
    movement = moved[STABLE].mean(axis=0) - still[STABLE].mean(axis=0)
    assert movement == pytest.approx(np.array([18, -9]) * spread[2] / spread[3], abs=0.2)


def test_a_mouth_opens_as_far_as_the_targets_face_is_long_and_shuts_wholly():
    driver, target = neutral_shape(clip_of(WIDE)), neutral_shape(clip_of(NARROW))
    frames = np.array([with_lips(WIDE, opening) for opening in (0, 6, 12)])
    shut, half, wide = lips(transfer_shape(frames, driver, target, "shape"))
    length = [np.linalg.norm(face[33] - face[8]) for face in (target, driver)]
    assert shut < 0.7
    assert wide - half == pytest.approx(half - shut, abs=0.5)
    assert wide == pytest.approx(12 * length[0] / length[1], abs=1)


def test_eyes_that_close_close_in_the_targets_face():
    driver, target = neutral_shape(clip_of(WIDE)), neutral_shape(clip_of(NARROW))
    blink = WIDE.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        blink[upper, 1] = blink[lower, 1]
    opened, closed = transfer_shape(np.array([WIDE, blink]), driver, target, "shape")
    heights = [np.linalg.norm(face[[41, 40]] - face[[37, 38]], axis=1).mean() for face in (opened, closed, NARROW)]
    assert heights[0] == pytest.approx(heights[2], rel=0.05) and heights[1] < 0.1 * heights[2]


def write_clip_of(folder: Path, frames: np.ndarray, step: float = 0.04, shots=None) -> tuple[Path, Path]:
    """Write the index and the crops of one clip with these landmarks."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    rows, crops = [], []
    for number, points in enumerate(frames):
        item = f"clip.mp4#{number:06d}"
        rows.append({"item": item, "file": "clip.mp4", "frame": number, "time": step * number})
        rows[-1]["shot"] = shots[number] if shots else 0
        image = rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)
        crops.append({"item": item, "image": image, "landmarks": points.astype(np.float32)})
    write_table(folder / "index.parquet", rows, INDEX)
    columns = {"item": pa.string(), "image": (np.uint8, (SIZE, SIZE, 3)), "landmarks": (np.float32, (68, 2))}
    write_shard(folder / "clip/crops/00000.arrow", crops, columns)
    return folder / "index.parquet", folder / "clip/crops/00000.arrow"


def draw(folder: Path, paths: tuple[Path, Path], *further: object, config: str = "{}") -> tuple[Shard, list]:
    """Run the stage by its command; return the drawings and the rows set aside."""
    output, lost = folder / "drawings.arrow", folder / "lost.parquet"
    arguments = ["--drawing", config, "--index", paths[0], "--crops", paths[1], *further]
    draw_landmarks.main([*map(str, arguments), "--output", str(output), "--quarantine", str(lost)])
    return Shard(output), list(read_table(lost).itertuples())


def test_the_stages_give_a_driver_the_targets_proportions(tmp_path):
    target = write_clip_of(tmp_path / "target", clip_of(NARROW))
    items = Shard(target[1]).items
    splits = ["train"] * 50 + ["test"] * 10
    rows = [{"source": "clip", "item": item, "split": split} for item, split in zip(items, splits, strict=True)]
    write_table(tmp_path / "training.parquet", [row for row in rows if row["split"] == "train"])
    arguments = ["--training", tmp_path / "training.parquet", "--crops", target[1], "--output", tmp_path / "shape"]
    measure_face_shape.main(list(map(str, arguments)))
    shape = read_table(tmp_path / "shape")
    assert list(shape["point"]) == list(range(68))
    assert shape_distance(shape[["x", "y"]].to_numpy(), neutral_shape(clip_of(NARROW)[:50])) < 0.002

    driver = write_clip_of(tmp_path / "driver", clip_of(WIDE))
    drawn, _ = draw(tmp_path / "driver", driver, "--shape", tmp_path / "shape")
    points = drawn.tensors("landmarks", range(60))
    assert shape_distance(points[0], NARROW) < 0.015
    assert lips(points).max() > 8 and drawn.tensor("target", 5).shape == (SIZE, SIZE, 3)
    own, _ = draw(tmp_path / "target", target)
    assert np.abs(own.tensors("landmarks", range(60)) - clip_of(NARROW)).max() < 1.5
    again, _ = draw(tmp_path / "again", driver, "--shape", tmp_path / "shape")
    assert again.path.read_bytes() == drawn.path.read_bytes()


def test_of_a_clip_too_short_for_a_neutral_face_the_expression_is_kept(tmp_path):
    write_table(tmp_path / "shape", [{"point": i, "x": x, "y": y} for i, (x, y) in enumerate(NARROW)], FACE_SHAPE)
    frames = np.repeat(with_lips(WIDE, 12)[None], MIN_FRAMES - 1, axis=0)
    drawn, _ = draw(tmp_path, write_clip_of(tmp_path, frames), "--shape", tmp_path / "shape")
    assert shape_distance(drawn.tensor("landmarks", 0), frames[0]) < 1e-5


def test_an_incomplete_drawing_goes_to_quarantine_and_spoils_no_neighbour(tmp_path):
    frames = np.repeat(FACE[None], 6, axis=0)
    frames[2] += (200, 0)
    frames[4] *= 0.01
    drawn, lost = draw(tmp_path, write_clip_of(tmp_path, frames))
    assert [(row.item[-1], row.reason) for row in lost] == [("2", "incomplete drawing"), ("4", "degenerate landmarks")]
    assert [item[-1] for item in drawn.items] == ["0", "1", "3", "5"]
    assert np.abs(drawn.tensors("landmarks", range(4)) - FACE).max() < 1e-3
    assert drawn.scalars("follows") == [False, True, True, True], "the frame before is the last one that is drawn"


def test_a_frame_follows_none_of_another_shot_nor_one_long_ago(tmp_path):
    frames = np.repeat(FACE[None], 4, axis=0)
    drawn, _ = draw(tmp_path / "shots", write_clip_of(tmp_path / "shots", frames, shots=[0, 0, 1, 1]))
    assert drawn.scalars("follows") == [False, True, False, True]
    drawn, _ = draw(tmp_path / "pauses", write_clip_of(tmp_path / "pauses", frames, step=1.5))
    assert drawn.scalars("follows") == [False] * 4 and not drawn.tensors("previous", range(4)).any()


def test_landmarks_are_averaged_lightly_and_never_over_a_cut(tmp_path):
    frames = np.repeat(FACE[None], 40, axis=0) + np.random.default_rng(0).normal(0, 1, (40, 68, 2))
    frames[20:] += (30, 0)
    paths = write_clip_of(tmp_path, frames, shots=[0] * 20 + [1] * 20)
    points = draw(tmp_path, paths)[0].tensors("landmarks", range(40))
    assert np.std(points[:20] - FACE) < 0.85 * np.std(frames[:20] - FACE)
    assert np.abs(points[20, :, 0] - points[19, :, 0]).mean() == pytest.approx(30, abs=1)
    slow = draw(tmp_path, write_clip_of(tmp_path / "slow", frames, step=0.2))[0]
    assert np.abs(slow.tensors("landmarks", range(40)) - frames).max() < 1e-3


def test_without_gaze_no_light_shade_is_drawn(tmp_path):
    paths = write_clip_of(tmp_path, FACE[None])
    with_cue, without = (
        draw(tmp_path / name, paths, config=Drawing(gaze=gaze).canonical())[0].tensor("input", 0)
        for name, gaze in (("with", True), ("without", False))
    )
    assert not np.array_equal(with_cue, without) and np.array_equal(without, draw_face(FACE.astype(np.float32), SIZE))


def test_a_shard_without_crops_gives_empty_files(tmp_path):
    drawn, lost = draw(tmp_path, write_clip_of(tmp_path, np.empty((0, 68, 2))))
    assert len(drawn) == 0 and lost == []
