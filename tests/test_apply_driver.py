"""A learned face is driven by any video: good clips, turned, cut, large and bad ones."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from film_files import assert_marked, frames_of

from workflow_scripts.commands import apply
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import FACE_LIMITS, FACE_SHAPE, write_table
from workflow_scripts.faces.shape_transfer import measure_target
from workflow_scripts.sources._decoding import VideoReader
from workflow_scripts.systems.reenact.config import Experiment
from workflow_scripts.systems.reenact.networks import build_network
from workflow_scripts.training.checkpoint import save_checkpoint

SIDE = 128


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, face) -> Path:
    """A network that has learnt nothing, with the shape of the fixture's face."""
    folder = tmp_path_factory.mktemp("checkpoint")
    render = {"halvings": 5, "channels": 4, "max_channels": 8, "perceptual": "none"}
    config = Experiment(system="reenact", render=render)
    description = {"system": "reenact", "network": "render", "config": config.model_dump(mode="json")}
    description |= {"shapes": {"input": [64, 64, 3]}, "bases": {}}
    save_checkpoint(folder / "render.safetensors", folder / "render.json", build_network("render", config), description)
    target = measure_target(face[1][None] / 4)
    points = pd.DataFrame(target.shape, columns=list("xyz")).rename_axis("point").reset_index()
    write_table(folder / "face_shape.parquet", points, FACE_SHAPE)
    limits = pd.DataFrame(target.turns, columns=["least", "most"])
    write_table(folder / "face_limits.parquet", limits.assign(measure=["yaw", "pitch", "roll"]), FACE_LIMITS)
    return folder / "render.safetensors"


def write_clip(path: Path, pictures, times=None, turn: int = 0, sound: bool = False) -> Path:
    """Write a video, or its sound alone."""
    with av.open(str(path), "w") as container:
        if sound:
            stream = container.add_stream("aac", rate=16000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            frame.rate = 16000
            container.mux([*stream.encode(frame), *stream.encode()])
            return path
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        for picture, time in zip(pictures, times or range(0, 40 * len(pictures), 40), strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def portrait(astronaut) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:300, 70:370])


def drive(checkpoint: Path, driver: Path, *options: str) -> SimpleNamespace:
    output = driver.parent / "out" / f"{driver.stem}.mp4"
    apply.main([str(checkpoint), str(driver), "--output", str(output.parent), *options])
    return SimpleNamespace(path=output, frames=frames_of(output))


def test_one_command_drives_the_face_in_time_and_marked(checkpoint, portrait, tmp_path, capsys):
    nobody = np.full_like(portrait, 90)
    times = [0, 40, 140, 160, 400]
    driver = write_clip(tmp_path / "webcam.mp4", [portrait, portrait, nobody, portrait, portrait], times)
    made = drive(checkpoint, driver, "--lost-frames=blank", "--width=64")
    assert [time for time, _ in made.frames] == pytest.approx([time / 1000 for time in times], abs=1e-3)
    assert made.frames[0][1].shape == (64, 192, 3)
    assert made.frames[2][1][:, 130:].max() < 12 and made.frames[1][1][:, 130:].max() > 12
    assert "1 frames without an output: no face" in capsys.readouterr().err
    assert_marked(made.path)


def test_a_single_frame_is_driven(checkpoint, portrait, tmp_path):
    assert len(drive(checkpoint, write_clip(tmp_path / "one.mp4", [portrait])).frames) == 1


def test_a_turned_phone_video_is_upright(checkpoint, portrait, tmp_path):
    driver = write_clip(tmp_path / "phone.mp4", [np.rot90(portrait, -1)] * 2, turn=90)
    assert VideoReader(driver).read(0)[:40].mean() == pytest.approx(portrait[:40].mean(), abs=8)
    assert len(drive(checkpoint, driver).frames) == 2


def test_of_two_faces_the_larger_drives_and_a_cut_is_passed(checkpoint, portrait, tmp_path):
    small = cv2.resize(portrait, (200, 200))
    both = np.full((300, 560, 3), 120, np.uint8)
    both[:, :300], both[50:250, 330:530] = portrait, small
    turned = both[:, ::-1]
    made = drive(checkpoint, write_clip(tmp_path / "two.mp4", [both, both, turned, turned]))
    assert len(made.frames) == 4
    crops = [strip[:, :256].astype(int) for _, strip in made.frames]
    assert abs(crops[0] - crops[1]).mean() < 3 and abs(crops[0][:, ::-1] - crops[2]).mean() < 12


def test_a_4k_video_is_driven(checkpoint, portrait, tmp_path):
    large = cv2.resize(portrait, (2160, 2160))
    wide = np.full((2160, 3840, 3), 120, np.uint8)
    wide[:, 800:2960] = large
    assert len(drive(checkpoint, write_clip(tmp_path / "4k.mp4", [wide])).frames) == 1


def test_of_a_truncated_video_the_whole_frames_are_driven(checkpoint, portrait, tmp_path, capsys):
    rng = np.random.default_rng(0)
    grainy = [np.clip(portrait + rng.normal(0, 12, portrait.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    whole, driver = write_clip(tmp_path / "whole.mkv", grainy), tmp_path / "cut.mkv"
    driver.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.4)])
    assert 3 < len(drive(checkpoint, driver).frames) < 20
    said = capsys.readouterr().err
    assert f"{driver}: it ends at" in said and "the frames before are used" in said and "without an output" not in said


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no face", "cannot drive the face; no frame can drive a face: 2 no face; give one that shows a face clearly"),
        ("sound alone", "not a video; it has no pictures, only sound; remove it"),
        ("no video", "not a video; it is in no known video format; replace it or remove it"),
        ("no bytes", "empty file; it has 0 bytes; copy or download it again"),
        ("a picture", "not a video by its name; name a video, or rename it if it is one"),
    ],
)
def test_a_driver_that_cannot_drive_is_refused_with_one_line(checkpoint, portrait, tmp_path, capsys, case, said):
    driver = tmp_path / ("driver.png" if case == "a picture" else "driver.mp4")
    if case == "no face":
        write_clip(driver, [np.full_like(portrait, 90)] * 2)
    elif case == "sound alone":
        write_clip(driver, [], sound=True)
    else:
        driver.write_bytes(b"" if case == "no bytes" else b"nothing of the kind")
    with pytest.raises(SystemExit, match="1 of 1 inputs were not edited"):
        drive(checkpoint, driver)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if str(driver) in line]
    assert line == f"{driver}: {said}"
    assert not list(tmp_path.glob("out/*.mp4"))


def test_wrong_options_and_checkpoints_are_refused_with_the_remedy(checkpoint, portrait, tmp_path, capsys):
    driver = write_clip(tmp_path / "driver.mp4", [portrait])

    def refusal(*options: str, output: str = "out", network: Path = checkpoint) -> str:
        with pytest.raises(UserError) as refused:
            apply.main([str(network), str(driver), f"--output={tmp_path / output}", *options])
        return str(refused.value)

    assert "is an input" in refusal(output=".")
    assert "--turn-beyond far" in refusal("--turn-beyond=far") and "--width 63" in refusal("--width=63")
    assert "no checkpoint is there" in refusal(network=tmp_path / "render.safetensors")
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("render.safetensors", "render.json"):
        (alone / name).write_bytes((checkpoint.parent / name).read_bytes())
    with pytest.raises(SystemExit):
        apply.main([str(alone), str(driver), f"--output={tmp_path / 'out'}"])
    assert "no " + str(alone / "face_shape.parquet") in capsys.readouterr().err
    apply.main([str(alone), str(driver), f"--output={tmp_path / 'out'}", "--normalize=none", "--turn-beyond=null"])
    assert (tmp_path / "out/driver.mp4").exists()
