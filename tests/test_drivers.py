"""A driver without a face: its table drives as its video does, and holds no picture."""

from pathlib import Path

import numpy as np
import pytest
from film_files import assert_marked, frames_of
from own_things import write_film

from workflow_scripts.commands import apply, export_driver
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.faces.drawings import find_gaze
from workflow_scripts.faces.drivers import DRIVER, POINTS, draw_eyes, find_pupils
from workflow_scripts.systems.reenact.config import Experiment
from workflow_scripts.systems.reenact.networks import build_network
from workflow_scripts.training.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    """A network that has learnt nothing, whose sidecar says that a driver's proportions are kept."""
    folder = tmp_path_factory.mktemp("checkpoints")
    render = {"halvings": 5, "channels": 4, "max_channels": 8, "perceptual": "none"}
    config = Experiment(system="reenact", drawing={"normalize": "none"}, render=render)
    description = {"system": "reenact", "network": "render", "config": config.model_dump(mode="json"), "bases": {}}
    description |= {"shapes": {"input": [128, 128, 3]}, "crops": {"clip": {"size": 128, "frame": "head"}}}
    save_checkpoint(folder / "render.safetensors", folder / "render.json", build_network("render", config), description)
    return folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory, astronaut) -> Path:
    """A film of a face that moves, and is absent in one frame; its table lies beside it."""
    folder = tmp_path_factory.mktemp("driver")
    portraits = [np.ascontiguousarray(astronaut[shift : 300 + shift, 70:370]) for shift in (0, 2, 4)]
    film = write_film(
        folder / "film.mp4", [*portraits[:2], np.full_like(portraits[0], 90), portraits[2]], [0, 40, 140, 160]
    )
    export_driver.main([str(film), "--output", str(folder / "driver.parquet")])
    return folder


def test_the_table_tells_times_and_landmarks_and_nothing_else(driver):
    table = read_table(driver / "driver.parquet")
    assert list(table.columns) == DRIVER.names
    assert table["time"].tolist() == pytest.approx([0, 0.04, 0.14, 0.16], abs=1e-3)
    assert table[POINTS].notna().all(axis=1).tolist() == [True, True, False, True]
    assert (driver / "driver.parquet").stat().st_size < 60_000


def test_it_drives_as_the_video_does(checkpoints, driver, tmp_path):
    for name in ("film.mp4", "driver.parquet"):
        apply.main([str(checkpoints), str(driver / name), "--output", str(tmp_path / name), "--width", "128"])
    film, table = frames_of(tmp_path / "film.mp4/film.mp4"), frames_of(tmp_path / "driver.parquet/driver.mp4")
    assert [time for time, _ in table] == pytest.approx([time for time, _ in film], abs=1e-3)
    for (_, one), (_, other) in zip(film, table, strict=True):
        drawn = abs(one[:, 128:256].astype(int) - other[:, 128:256]).mean()
        assert drawn < 4 and (other[:, :128] > 40).mean() < 0.05  # of the driver, the eyes alone
    assert table[0][1][:, 128:256].max() > 200
    assert_marked(tmp_path / "driver.parquet/driver.mp4")


def test_pupils_are_found_again_in_drawn_eyes(face):
    image, landmarks = face
    pupils = find_pupils(find_gaze(image, landmarks), landmarks)
    again = find_pupils(find_gaze(draw_eyes(landmarks, pupils, 256), landmarks), landmarks)
    assert np.abs(again - pupils).max() < 2.0  # of 256 pixels
    looking = pupils + np.array([4, 0])
    moved = find_pupils(find_gaze(draw_eyes(landmarks, looking, 256), landmarks), landmarks)
    assert (moved - again)[:, 0].min() > 1.5
    closed = draw_eyes(landmarks, np.full((2, 2), np.nan), 256)
    assert closed.max() == 0 and np.isnan(find_pupils(find_gaze(closed, landmarks), landmarks)).all()


def test_tables_that_cannot_drive_and_videos_without_a_driver_are_refused(checkpoints, driver, tmp_path, capsys):
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    table = read_table(driver / "driver.parquet")
    write_table(tmp_path / "reversed.parquet", table[::-1], DRIVER)
    write_table(tmp_path / "far.parquet", table.assign(x_3=900.0), DRIVER)
    write_table(tmp_path / "empty.parquet", table.assign(**dict.fromkeys(POINTS, np.nan)), DRIVER)
    names = ("junk", "reversed", "far", "empty")
    with pytest.raises(SystemExit, match="4 of 5 inputs were not edited"):
        words = [*(str(tmp_path / f"{name}.parquet") for name in names), str(driver / "driver.parquet")]
        apply.main([str(checkpoints), *words, "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "junk.parquet: cannot drive the face; is no driver's table" in said and "not in the order of time" in said
    assert "far outside the head's square" in said and "shows no face in any frame" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["driver.mp4"]
    film = write_film(tmp_path / "nobody.mp4", [np.full((300, 300, 3), 90, np.uint8)] * 2)
    with pytest.raises(UserError, match="no frame shows a face"):
        export_driver.main([str(film), "--output", str(tmp_path / "nobody.parquet")])
    (tmp_path / "broken.mp4").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"/broken\.mp4: not a video; it is in no known video format; replace it"):
        export_driver.main([str(tmp_path / "broken.mp4"), "--output", str(tmp_path / "nobody.parquet")])
    with pytest.raises(UserError, match="is a Parquet table"):
        export_driver.main([str(film), "--output", str(tmp_path / "nobody.csv")])
