"""Holes in faces of one's own pictures are completed: by parts or by a picture of the hole; good input and bad."""

from pathlib import Path

import numpy as np
import pytest
import torch
from film_files import assert_marked
from PIL import Image

from workflow_scripts.commands import apply
from workflow_scripts.commands.families import completion
from workflow_scripts.core.cli import UserError
from workflow_scripts.faces.mean_face import CELEBA_FRAME, CELEBA_LANDMARKS
from workflow_scripts.systems.diverse.config import Experiment
from workflow_scripts.systems.diverse.networks import build_network
from workflow_scripts.training.checkpoint import save_checkpoint

SIZE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A flow and a keypoint network that have learnt nothing; the flow's output is not 0, as it would be at first."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    config = Experiment(
        system="diverse",
        flow={"unet": {"channels": [8, 8, 16]}, "steps": 2},
        keypoints={"unet": {"blocks": 3, "channels": 4, "max_channels": 8}},
    )
    for name in ("flow", "keypoints"):
        network = build_network(name, config)
        if name == "flow":
            torch.nn.init.normal_(network.unet.head.weight, std=0.5)
        description = {"system": "diverse", "network": name, "config": config.model_dump(mode="json"), "bases": {}}
        description |= {"shapes": {"target": [SIZE, SIZE, 3]}, "crops": {"photos": {"size": SIZE}}}
        save_checkpoint(folder / f"{name}.safetensors", folder / f"{name}.json", network, description)
    return folder / "flow.safetensors"


@pytest.fixture(scope="module")
def photo(tmp_path_factory, astronaut) -> Path:
    path = tmp_path_factory.mktemp("photo") / "a photo.png"
    Image.fromarray(astronaut[:300, 70:370]).save(path)
    return path


def run(checkpoint: Path, photo: Path, output: Path, *more: str) -> list[np.ndarray]:
    """Run the command and return what it wrote, the sheet apart."""
    apply.main([str(checkpoint), str(photo), "--output", str(output), "--count", "2", "--search-side", "640", *more])
    return [np.asarray(Image.open(path)) for path in sorted(output.glob("*_0*.png"))]


def test_parts_are_completed_and_all_else_stays(checkpoint, photo, tmp_path):
    given = np.asarray(Image.open(photo))
    first, second = run(checkpoint, photo, tmp_path / "one", "--parts", "mouth")
    changed = (first != given).any(axis=2)
    rows, columns = np.nonzero(changed)
    # The mouth of the picture lies at about (157, 145) as x and y, and is some 60 pixels wide.
    assert columns.min() > 100 and columns.max() < 210 and rows.min() > 115 and rows.max() < 185
    assert 0.003 < changed.mean() < 0.05 and (first != second).any()
    assert (tmp_path / "one" / "a photo_sheet.png").exists()
    assert_marked(tmp_path / "one" / "a photo_01.png")
    again, _ = run(checkpoint, photo, tmp_path / "two", "--parts", "mouth")
    assert np.array_equal(first, again)
    other, _ = run(checkpoint, photo, tmp_path / "three", "--parts", "mouth", "--seed", "2")
    assert (first != other).any()


def test_without_diversity_there_is_one_completion_and_moves_change_it(checkpoint, photo, tmp_path, monkeypatch):
    # What a trained network would find: the untrained one puts all points into the middle.
    found = CELEBA_LANDMARKS * SIZE / CELEBA_FRAME, np.ones(68, np.float32)
    monkeypatch.setattr(completion, "find_keypoints", lambda *_: found)
    calm = ["--parts", "lower_half", "--diversity", "0"]
    first, second = run(checkpoint, photo, tmp_path / "calm", *calm)
    assert np.array_equal(first, second)
    moved, _ = run(checkpoint, photo, tmp_path / "moved", *calm, "--move", "open_mouth=0.8", "smile")
    assert (first != moved).any()


def test_a_given_hole_is_kept_to_the_pixel(checkpoint, photo, tmp_path, capsys):
    given = np.asarray(Image.open(photo))
    hole = np.zeros(given.shape[:2], np.uint8)
    hole[120:170, 130:200] = 255
    hole[:5, :5] = 255  # beyond the face's square
    Image.fromarray(hole).save(tmp_path / "hole.png")
    completed, _ = run(checkpoint, photo, tmp_path / "out", "--hole", str(tmp_path / "hole.png"))
    assert np.array_equal(completed[hole == 0], given[hole == 0])
    inside = (completed != given).any(axis=2)[120:170, 130:200]
    assert inside.mean() > 0.8


def refused(checkpoint: Path, photo: Path, folder: Path, *more: str) -> str:
    with pytest.raises(UserError) as error:
        run(checkpoint, photo, folder / "out", *more)
    return str(error.value)


def test_bad_input_is_told_in_one_line(checkpoint, photo, tmp_path, capsys):
    Image.new("L", (20, 20), 255).save(tmp_path / "small.png")
    Image.new("L", (300, 300), 0).save(tmp_path / "dark.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match="1 of 1 inputs were not edited"):
        run(checkpoint, photo, tmp_path / "out", "--hole", str(tmp_path / "small.png"))
    assert "has 20x20 pixels, the picture 300x300" in capsys.readouterr().err
    assert "no pixel is light" in refused(checkpoint, photo, tmp_path, "--hole", str(tmp_path / "dark.png"))
    assert "broken.png" in refused(checkpoint, photo, tmp_path, "--hole", str(tmp_path / "broken.png"))
    assert "absent.png" in refused(checkpoint, photo, tmp_path, "--hole", str(tmp_path / "absent.png"))
    assert "unknown; known: open_mouth" in refused(checkpoint, photo, tmp_path, "--parts", "nose", "--move", "wink")
    assert "'much' is no number" in refused(checkpoint, photo, tmp_path, "--parts", "nose", "--move", "smile=much")
    assert "--count is 1 to 1000" in refused(checkpoint, photo, tmp_path, "--parts", "nose", "--count", "0")
    keypoints = checkpoint.with_name("keypoints.safetensors")
    assert "is no network that completes faces" in refused(keypoints, photo, tmp_path, "--parts", "nose")
    assert not (tmp_path / "out").exists()
