"""Drawings of faces, and landmarks given another person's proportions."""

import cv2
import numpy as np
import pytest
import torch
from drawn_faces import FACE, SIZE, draw, posed, with_lips, write_clip_of

from workflow_scripts.core import cli
from workflow_scripts.faces.alignment import fit_similarity, transform_points
from workflow_scripts.faces.drawings import DRAWN_EYES, DRAWN_PARTS, check_drawing, draw_face, find_gaze, move_gaze
from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.systems._reenactment.config import Drawing
from workflow_scripts.systems.reenact.config import RenderNetwork
from workflow_scripts.systems.reenact.training import RenderTraining


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
