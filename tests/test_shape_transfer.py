"""A driver's landmarks for the target's face: neutral faces, expressions that make a face, turns that were learned."""

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_faces import (
    CHIN,
    FACE,
    LOWER_LIDS,
    LOWER_LIP,
    NARROW,
    SIZE,
    WIDE,
    clip_of,
    draw,
    lips,
    posed,
    shape_distance,
    with_lips,
    write_clip_of,
)

from workflow_scripts.commands.learn_heads import Photographs, learn_heads
from workflow_scripts.commands.learn_heads import main as learn
from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.faces.alignment import tilt_of
from workflow_scripts.faces.heads import (
    LIMITS,
    MODEL,
    STABLE,
    Heads,
    fit_heads,
    oddity,
    rotations,
    seen,
    shapes_of,
    slip_of,
    turns_of,
)
from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.faces.plausibility import parts_cross
from workflow_scripts.faces.shape_transfer import ODDEST, Transfer, measure_target, move_as_a_whole, neutral_face
from workflow_scripts.stages.reenactment import measure_face_shape

TARGET = measure_target(clip_of(NARROW))
MIDDLE = TARGET.turns.mean(axis=1)  # where NARROW looks


def driven(frames: np.ndarray, beyond: float | None = None) -> np.ndarray:
    """The landmarks of WIDE's frames for NARROW's face."""
    transfer = Transfer(frames, neutral_face(clip_of(WIDE)), TARGET, beyond)
    return transfer.draw(transfer.amounts())


def is_a_face(points: np.ndarray) -> np.ndarray:
    """Whether no part of (n, 68, 2) crosses another, and shapes are those that people have."""
    return (oddity(points, fit_heads(points)) < ODDEST + 1e-3) & ~parts_cross(points)


def turned(shapes: np.ndarray, *turns: tuple[float, float, float], size: float = 90) -> np.ndarray:
    """Views of heads in their own axes, turned by yaw, pitch and roll, in the middle of the crop, landmarks slipped."""
    count = len(turns)
    pose = Heads(np.full(count, size), rotations(np.array(turns)), np.full((count, 2), SIZE / 2), np.zeros((count, 0)))
    return seen(shapes + shapes_of(slip_of(np.array(turns))) - MODEL.neutral, pose)


def smiling_aside(face: np.ndarray, count: int = 30) -> np.ndarray:
    """A real face that smiles, turned aside, the mouth open in every frame, more and less."""
    heads = fit_heads(face[None])
    shape = shapes_of(heads.modes - slip_of(turns_of(heads.turn)))[0]
    frames = []
    for number in range(count):
        opened = with_lips(shape[:, :2] * 90, 90 * (0.31 + 0.27 * number / count)) / 90
        frames.append(turned(np.column_stack([opened, shape[:, 2]]), (25 + number % 7, -6, 4))[0])
    return np.array(frames)


def test_the_neutral_face_is_upright_calm_and_where_the_head_usually_is():
    for face, other in ((WIDE, NARROW), (NARROW, WIDE)):
        shape = neutral_face(clip_of(face))
        assert shape_distance(shape[:, :2], face) < 0.5 * shape_distance(shape[:, :2], other)
        assert abs(tilt_of(shape[:, :2])) < 0.5 and lips(shape[:, :2]) < 1.5
        assert np.abs(shape[STABLE, :2].mean(axis=0) - face[STABLE].mean(axis=0)).max() < 3


def test_the_mouth_of_the_neutral_face_is_nearly_closed_even_if_it_never_is():
    frames = np.array([with_lips(WIDE, opening) for opening in 12 + 5 * np.sin(np.arange(80))])
    shape = neutral_face(frames)[:, :2]
    assert lips(frames).min() > 6 and lips(shape) < 4


def test_who_smiles_aside_with_an_open_mouth_in_all_frames_has_a_neutral_face_that_looks_ahead(face):
    frames = smiling_aside(face[1])
    assert turns_of(fit_heads(frames).turn)[:, 0].min() > 15 and lips(frames).min() > 20
    shape = neutral_face(frames)[:, :2]
    fitted = fit_heads(shape[None])
    assert is_a_face(shape[None]) and np.abs(turns_of(fitted.turn)).max() < 3
    apart = np.linalg.norm(shape[54] - shape[48]) / np.linalg.norm(shape[45] - shape[36])
    assert lips(shape) / np.ptp(shape[:, 0]) < 0.06 and apart < 0.65
    assert (fitted.modes**2 / (MODEL.identity + 0.1)).sum() < 2 * len(MODEL.identity), "as people differ at rest"


@pytest.mark.parametrize("yaw", [-25, 25])
def test_a_turn_in_all_frames_does_not_stay_in_the_neutral_face(yaw):
    ahead = turned(MODEL.neutral, (0, 0, 0))[0]
    aside = turned(MODEL.neutral, *[(yaw + number % 5, 8, 20) for number in range(20)])
    assert shape_distance(aside[0], ahead) > 0.04 and shape_distance(neutral_face(aside)[:, :2], ahead) < 0.005


def test_the_eyes_of_who_squints_in_most_frames_are_open_in_the_neutral_face():
    frames = clip_of(WIDE, 100)
    squints = np.arange(100) % 3 > 0
    frames[np.ix_(squints, LOWER_LIDS, [1])] -= 8
    shape = neutral_face(frames)
    assert np.abs(shape[36:48] - neutral_face(clip_of(WIDE, 100))[36:48]).max() < 2


def test_one_frame_gives_a_neutral_face_too(face):
    for points in (posed(WIDE, 10, 1, (0, 0)), face[1]):
        shape = neutral_face(points[None])[:, :2]
        assert is_a_face(shape[None]) and abs(tilt_of(shape)) < 1 and lips(shape) < 4


def test_a_mirrored_driver_has_the_mirrored_neutral_face(face):
    frames = smiling_aside(face[1], 12)
    shape, mirrored = neutral_face(frames), neutral_face((frames * (-1, 1))[:, MIRRORED])
    assert np.abs((mirrored * (-1, 1, 1))[MIRRORED] - shape)[:, :2].max() < 2


def test_who_drives_himself_gets_his_own_landmarks_back(face):
    for frames in (clip_of(WIDE), smiling_aside(face[1])):
        target, shape = measure_target(frames), neutral_face(frames)
        transfer = Transfer(frames, shape, target, 5.0)
        difference = np.abs(transfer.draw(np.ones(len(frames))) - frames).max(axis=(1, 2))
        assert difference.max() < 0.3 and (difference < 1e-6).sum() >= 20, "but for shut lips that crossed a little"
        assert not transfer.clamped.any()
        assert np.abs(move_as_a_whole(frames, shape, shape) - frames).max() < 1e-6
    frames = clip_of(WIDE)
    other = measure_target(frames[::2])
    difference = Transfer(frames, neutral_face(frames), other, 5.0).draw(np.ones(len(frames))) - frames
    assert np.linalg.norm(difference, axis=-1).mean() < 0.01 * np.ptp(WIDE[:, 0])


def test_a_driver_at_rest_gives_the_proportions_of_the_target():
    at_rest = driven(clip_of(WIDE)[:1])[0]
    assert shape_distance(at_rest, NARROW) < 0.5 * shape_distance(at_rest, WIDE)
    only_moved = move_as_a_whole(clip_of(WIDE)[:1], neutral_face(clip_of(WIDE)), TARGET.shape)[0]
    assert shape_distance(only_moved, WIDE) < 1e-6
    assert np.abs(only_moved[STABLE].mean(axis=0) - TARGET.shape[STABLE, :2].mean(axis=0)).max() < 3


def test_roll_size_and_movement_are_kept():
    poses = [(0, 1, (0, 0)), (15, 1, (0, 0)), (-20, 1.1, (0, 0)), (0, 1, (18, -9))]
    still, rolled, grown, moved = driven(np.array([posed(WIDE, *pose) for pose in poses]))
    assert tilt_of(rolled) - tilt_of(still) == pytest.approx(-15, abs=0.5)
    spread = [np.sqrt(points[STABLE].var(axis=0).sum()) for points in (still, grown, NARROW, WIDE)]
    assert spread[1] / spread[0] == pytest.approx(1.1, rel=0.01)
    movement = moved[STABLE].mean(axis=0) - still[STABLE].mean(axis=0)
    assert movement == pytest.approx(np.array([18, -9]) * spread[2] / spread[3], abs=0.4)


def test_a_mouth_opens_in_proportion_and_shuts_wholly():
    shut, half, wide = lips(driven(np.array([with_lips(WIDE, opening) for opening in (0, 6, 12)])))
    assert shut < 1.5 and 5 < half < 9 and 11 < wide < 15


def test_eyes_that_close_close_in_the_targets_face():
    blink = WIDE.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        blink[upper, 1] = blink[lower, 1]
    opened, closed = driven(np.array([WIDE, blink]))
    heights = [np.linalg.norm(face[[41, 40]] - face[[37, 38]], axis=1).mean() for face in (opened, closed, NARROW)]
    assert heights[0] == pytest.approx(heights[2], rel=0.2) and heights[1] < 0.2 * heights[2]


def test_a_head_is_turned_no_farther_than_in_the_training_frames():
    looks = turned(MODEL.neutral, *np.add([(0, 0, 0), (20, 0, 0), (40, 0, 0), (0, 35, 0), (0, 0, -30)], MIDDLE))
    for beyond in (0.0, 5.0):
        transfer = Transfer(looks, neutral_face(looks[:1]), TARGET, beyond)
        drawn = turns_of(fit_heads(transfer.draw(np.ones(5))).turn)
        assert (drawn <= TARGET.turns[:, 1] + beyond + 1).all() and (drawn >= TARGET.turns[:, 0] - beyond - 1).all()
        assert transfer.clamped[0] == 0 and (transfer.clamped[1:] > 10).all()
    free = Transfer(looks, neutral_face(looks[:1]), TARGET, None)
    drawn = turns_of(fit_heads(free.draw(np.ones(5))).turn)
    assert (
        not free.clamped.any() and drawn[2, 0] == pytest.approx(40, abs=4) and drawn[4, 2] == pytest.approx(-30, abs=2)
    )


def folded(face: np.ndarray) -> np.ndarray:
    """A face whose jaw is folded into the nose."""
    points = face.copy()
    points[CHIN, 1] -= 70
    return points


def test_crossed_and_impossible_faces_are_told_from_real_ones(face):
    real = np.stack([FACE, WIDE, NARROW, face[1], with_lips(FACE, 8)])
    assert is_a_face(real).all()
    monsters = np.stack([folded(FACE), with_lips(FACE, 90), FACE[::-1]])
    assert not is_a_face(monsters).any() and parts_cross(monsters[:1])


def test_whatever_is_taken_for_a_driver_gives_a_face(face):
    rng = np.random.default_rng(2)
    size = np.ptp(face[1])
    spoilt = face[1] + rng.normal(size=(20, 68, 2)) * size * np.linspace(0.01, 0.2, 20)[:, None, None]
    upside_down = face[1][None] * (-1, -1) + SIZE
    for frames in (spoilt, upside_down, folded(face[1])[None], np.stack([WIDE, NARROW, face[1]])):
        transfer = Transfer(frames, neutral_face(frames), TARGET, 5.0)
        assert is_a_face(transfer.draw(transfer.amounts())).all()


def test_an_expression_that_makes_no_face_is_made_smaller_smoothly_and_told(tmp_path, capsys):
    target = write_target(tmp_path)
    frames = np.repeat(with_lips(WIDE, 4)[None], 60, axis=0)
    frames[30, CHIN + LOWER_LIP, 1] += 80
    drawn, _ = draw(tmp_path, write_clip_of(tmp_path / "driver", frames), *target)
    points, eased = drawn.tensors("landmarks", range(60)), np.array(drawn.scalars("eased"))
    assert is_a_face(points).all() and eased[30] > 0.2 and not eased[:12].any() and not eased[49:].any()
    assert np.abs(np.diff(eased)).max() < 0.5 * eased.max(), "smoothly"
    told = [line for line in capsys.readouterr().err.splitlines() if "the expression is made smaller" in line]
    assert len(told) == 1 and told[0].startswith("clip.mp4: of 60 frames, in ")


def write_target(folder: Path) -> list:
    """Measure NARROW's face by the stage, on the first 50 frames; return the options that name it."""
    _, crops = write_clip_of(folder / "target", clip_of(NARROW))
    rows = [{"source": "clip", "item": item, "split": "train"} for item in Shard(crops).items[:50]]
    write_table(folder / "training.parquet", rows)
    target = ["--shape", folder / "shape", "--limits", folder / "limits"]
    measure_face_shape.main(list(map(str, ["--training", folder / "training.parquet", "--crops", crops, *target])))
    return target


def test_the_stages_give_a_driver_the_targets_proportions(tmp_path):
    target = write_target(tmp_path)
    shape, limits = read_table(tmp_path / "shape"), read_table(tmp_path / "limits").set_index("measure")
    assert list(shape["point"]) == list(range(68))
    measured = measure_target(clip_of(NARROW)[:50])
    assert np.allclose(shape[["x", "y", "z"]], measured.shape, atol=0.05)
    assert np.allclose(limits.loc[["yaw", "pitch", "roll"], ["least", "most"]], measured.turns, atol=0.05)

    driver = write_clip_of(tmp_path / "driver", clip_of(WIDE))
    drawn, _ = draw(tmp_path / "driver", driver, *target)
    points = drawn.tensors("landmarks", range(60))
    assert shape_distance(points[0], NARROW) < 0.6 * shape_distance(points[0], WIDE)
    assert lips(points).max() > 8 and drawn.tensor("target", 5).shape == (SIZE, SIZE, 3)
    own, _ = draw(tmp_path / "own", (tmp_path / "target/index.parquet", tmp_path / "target/clip/crops/00000.arrow"))
    assert np.abs(own.tensors("landmarks", range(60)) - clip_of(NARROW)).max() < 1.5
    again, _ = draw(tmp_path / "again", driver, *target)
    assert again.path.read_bytes() == drawn.path.read_bytes()


def test_turns_are_told_and_drawn_as_they_are_where_all_are_wanted(tmp_path, capsys):
    target = write_target(tmp_path)
    driver = write_clip_of(tmp_path / "driver", turned(MODEL.neutral, *[(3 * number, 0, 0) for number in range(12)]))
    held, _ = draw(tmp_path / "held", driver, *target)
    assert "the head is turned less" in capsys.readouterr().err
    assert held.scalars("clamped")[0] == 0 and held.scalars("clamped")[-1] > 20
    free, _ = draw(tmp_path / "free", driver, *target, config=json.dumps({"turn_beyond": None}))
    assert "turned less" not in capsys.readouterr().err and not any(free.scalars("clamped"))
    yaws = [turns_of(fit_heads(one.tensors("landmarks", range(12))).turn)[-1, 0] for one in (held, free)]
    assert yaws[0] < 12 and yaws[1] > 28


def photographs(people: int, each: int) -> Photographs:
    """Views of heads of the model, with identities, expressions and poses drawn at random."""
    rng = np.random.default_rng(5)
    count, modes = people * each, len(MODEL.identity)
    identities = np.repeat(rng.normal(size=(people, modes)) * np.sqrt(MODEL.identity), each, axis=0)
    shapes = shapes_of(identities + rng.normal(size=(count, modes)) * (np.arange(count) % each > 0)[:, None])
    points = turned(shapes, *(rng.normal(size=(count, 3)) * (18, 8, 6)))
    return Photographs(points + rng.normal(size=points.shape) * 0.5, [f"p{number // each}" for number in range(count)])


def test_the_head_is_learned_from_landmarks_of_photographs():
    model, limits = learn_heads(photographs(80, 4))
    assert shape_distance(model.neutral[:, :2], MODEL.neutral[:, :2]) < 0.02
    assert np.abs(model.neutral[:, 2] - MODEL.neutral[:, 2]).max() < 0.1, "depth, from views alone"
    assert (np.diff(model.identity) <= 0).all() and 0.004 < model.noise < 0.008
    assert np.allclose(limits, LIMITS, rtol=0.6)
    with pytest.raises(cli.UserError, match="several photographs of one person are there of 5 people"):
        learn_heads(photographs(5, 20))


def test_tables_that_do_not_go_together_teach_no_head(tmp_path, capsys):
    tables = [tmp_path / name for name in ("index.parquet", "landmarks.parquet")]
    write_table(tables[0], [{"item": "a", "identity": None}])
    write_table(tables[1], [{"item": "b", "face": 0}])
    given = [str(path) for path in (*tables, tmp_path / "absent.parquet")]
    with pytest.raises(cli.UserError, match=r"landmarks\.parquet: b is not in .*index\.parquet"):
        learn(["--source", *given[:2], "--output", "head.py"])
    with pytest.raises(cli.UserError, match=r"landmarks\.parquet is damaged or of another kind"):
        learn(["--source", given[1], given[0], "--output", "head.py"])
    with pytest.raises(SystemExit, match=f"^error: no such file or folder: {given[2]}$"), cli.one_line():
        learn(["--source", *given[:1], given[2], "--output", "head.py"])
    with pytest.raises(SystemExit):
        learn(["--source", given[0], "--output", "head.py"])
    assert "name an index and, behind it, the landmark tables" in capsys.readouterr().err
