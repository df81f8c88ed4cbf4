"""The network of `reenact`, trained on tiny drawings of discs, and the stage that drives faces with it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from workflow_scripts.config.load import load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import TRAINING, read_table, write_table
from workflow_scripts.stages.experiments import train_network
from workflow_scripts.stages.reenactment import drive_faces
from workflow_scripts.systems.reenact.config import RenderNetwork
from workflow_scripts.systems.reenact.inference import load_network, paint_faces, paint_faces_as_published
from workflow_scripts.systems.reenact.networks import RenderModule
from workflow_scripts.systems.reenact.training import RenderTraining, spoil

SIDE, FRAMES, WATCHED = 32, 30, 6
CPU = torch.device("cpu")
LOOP = {
    "epochs": 3,
    "batch_size": 4,
    "learning_rate": 2e-3,
    "precision": "fp32",
    "ema": 0.9,
    "preview_items": 2,
    "threads": 1,
}
SMALL = {"halvings": 4, "channels": 8, "max_channels": 16, "discriminator_channels": 4, "perceptual": "none"}
LEFT, RIGHT, SKIN = (200, 60, 90), (60, 200, 90), (120, 120, 40)  # mirrored, left and right change places


def frame(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a drawing of a head with two eyes that moves with time, and the face that it stands for."""
    x, y = 16 + 5 * np.sin(number / 4), 16 + 3 * np.cos(number / 5)
    drawing = np.zeros((SIDE, SIDE, 3), np.uint8)
    face = np.full((SIDE, SIDE, 3), (30, 60, 90), np.uint8)
    for picture, colours in ((drawing, (SKIN, LEFT, RIGHT)), (face, ((210, 160, 130), (40, 30, 20), (40, 30, 20)))):
        for (dx, dy, radius), colour in zip(((0, 0, 10), (-4, -3, 2), (4, -3, 2)), colours, strict=True):
            cv2.circle(picture, (round(x + dx), round(y + dy)), radius, colour, -1)
    return drawing, face


def landmarks(number: int) -> np.ndarray:
    """Return points along the outline of the head and of its eyes in `frame(number)`."""
    x, y = 16 + 5 * np.sin(number / 4), 16 + 3 * np.cos(number / 5)
    rings = [(0, 0, 10, 36), (-4, -3, 2, 16), (4, -3, 2, 16)]
    angles = [np.arange(count) * 2 * np.pi / count for *_, count in rings]
    points = [
        np.stack([x + dx + radius * np.cos(turn), y + dy + radius * np.sin(turn)], 1)
        for (dx, dy, radius, _), turn in zip(rings, angles, strict=True)
    ]
    return np.concatenate(points).astype(np.float32)


def write_drawings(path: Path, numbers: list[int]) -> None:
    """Write a shard as the stage that draws does, of one shot; what is not in `numbers` is missing in it."""
    rows = []
    for number in numbers:
        drawing, face = frame(number)
        follows = number - 1 in numbers
        rows.append(
            {
                "item": f"clip.mp4#{number:06d}",
                "input": drawing,
                "target": face,
                "previous": frame(number - 1)[1] if follows else np.zeros_like(face),
                "follows": follows,
                "landmarks": landmarks(number),
            }
        )
    picture = (np.uint8, (SIDE, SIDE, 3))
    columns = {
        "item": pa.string(), "input": picture, "target": picture, "previous": picture,
        "follows": pa.bool_(), "landmarks": (np.float32, (68, 2)),
    }  # fmt: skip
    write_shard(path, rows, columns)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    """A folder with the training table, drawings of the target and of a driver with a gap."""
    folder = tmp_path_factory.mktemp("drawings")
    write_drawings(folder / "drawings/target/00000.arrow", list(range(FRAMES)))
    write_drawings(folder / "drawings/driver/00000.arrow", [40, 41, 42, 43, 50, 51, 52])
    rows = [
        {"source": "target", "item": f"clip.mp4#{n:06d}", "split": "train" if n < FRAMES - WATCHED else "val"}
        for n in range(FRAMES)
    ]
    write_table(folder / "training.parquet", rows, TRAINING)
    return folder


def train(shards: Path, out: Path, *options: str, loop=LOOP, **keys) -> Path:
    experiment = {"system": "reenact", "train": ["target"], "render": SMALL | {"training": LOOP | loop} | keys}
    train_network.main([
        *("--experiment", json.dumps(experiment), "--network", "render", "--seed", "1"),
        *("--splits", str(shards / "training.parquet"), "--code", "code:c,lock:l"),
        *("--shards", str(shards / "drawings/target/00000.arrow"), "--output", str(out / "render.safetensors")),
        *("--sidecar", str(out / "render.json")),
        *("--curves", str(out / "curves.parquet"), "--previews", str(out / "previews")),
        *("--resume", str(out / "resume"), "--live", str(out / "live")),
        *options,
    ])  # fmt: skip
    return out / "render.safetensors"


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory) -> dict[bool, Path]:
    """Checkpoints by `temporal`."""
    folder = tmp_path_factory.mktemp("trained")
    return {temporal: train(shards, folder / str(temporal), temporal=temporal) for temporal in (False, True)}


def drive(shards: Path, checkpoint: Path, output: Path, inference: str = "deterministic", seed: int = 1) -> np.ndarray:
    drive_faces.main([
        *("--experiment", json.dumps({"system": "reenact", "inference": inference}), "--source", "driver"),
        *("--threads", "1", "--gpus", "0"),
        *("--seed", str(seed), "--checkpoint", str(checkpoint), "--output", str(output)),
        *("--drawings", str(shards / "drawings/driver/00000.arrow")),
    ])  # fmt: skip
    driven = Shard(output)
    assert driven.items == Shard(shards / "drawings/driver/00000.arrow").items
    return driven.tensors("output", range(len(driven))) if len(driven) else np.empty((0, SIDE, SIDE, 3), np.uint8)


def test_training_learns_the_face(shards, tmp_path):
    train(shards, tmp_path, loop={"epochs": 16, "enlarge": 1.1, "move": 0, "flip": True})
    curves = read_table(tmp_path / "curves.parquet")
    psnr = curves[(curves["split"] == "val") & (curves["name"] == "psnr")].sort_values("epoch")["value"].to_list()
    assert psnr[-1] > 20 > psnr[0] + 4
    preview = cv2.imread(str(tmp_path / "previews/epoch_0016.png"))
    assert preview.shape == (2 * (SIDE + 2) - 2, 3 * (SIDE + 2) - 2, 3)  # drawing, output, truth


def first_losses(folder: Path) -> dict[str, float]:
    curves = read_table(folder / "curves.parquet")
    return curves[(curves["split"] == "train") & (curves["step"] == 1)].set_index("name")["value"].to_dict()


@pytest.mark.parametrize(("variant", "share"), [("original", 0.5), ("tensorflow", 1.0)])
def test_losses_are_the_published_ones(variant, share):
    """Both from logits of 0: log 2 for each side of the game, halved in the original."""
    config = RenderNetwork(**SMALL, variant=variant)
    system = RenderTraining(config, RenderModule(config), None)
    for parameter in system.networks["discriminator"].layers[-1].parameters():
        torch.nn.init.zeros_(parameter)
    batch = {name: torch.rand(2, 3, SIDE, SIDE) for name in ("input", "target")}
    judged, painted = system.training_step(batch, 0)
    assert (judged.network, painted.network) == ("discriminator", "render")
    assert judged.loss.item() == pytest.approx(share * 2 * np.log(2), rel=1e-5)
    parts = {name: value.item() for name, value in painted.parts.items()}
    assert parts["adversarial"] == pytest.approx(np.log(2), rel=1e-5)
    assert painted.loss.item() == pytest.approx(100 * parts["l1"] + 0.1 * parts["adversarial"], rel=1e-5)


def test_the_perceptual_loss_joins_and_the_discriminator_can_be_left_out(shards, tmp_path, efficientnet_lite0):
    options = ("--weights", str(efficientnet_lite0))
    loop = {"epochs": 1, "batch_size": FRAMES - WATCHED}
    train(shards, tmp_path, *options, loop=loop, perceptual="efficientnet_lite0", perceptual_weight=7, adversarial=0)
    losses = first_losses(tmp_path)
    assert losses["render total"] == pytest.approx(
        100 * losses["render l1"] + 7 * losses["render perceptual"], rel=1e-4
    )
    assert not any(name.startswith("discriminator") for name in losses)


def test_a_mirrored_drawing_is_that_of_the_mirrored_face():
    config = RenderNetwork(**SMALL)
    drawing, face = (torch.from_numpy(x).permute(2, 0, 1)[None].float() for x in frame(3))
    mirrored = RenderTraining(config, RenderModule(config), None).mirror({"input": drawing, "target": face})
    assert torch.equal(mirrored["target"], face.flip(-1))
    for colour, other in ((LEFT, RIGHT), (RIGHT, LEFT), (SKIN, SKIN)):
        before = (drawing == torch.tensor(colour).view(1, 3, 1, 1)).all(1)
        after = (mirrored["input"] == torch.tensor(other).view(1, 3, 1, 1)).all(1)
        assert before.any() and torch.equal(before.flip(-1), after)


@pytest.mark.parametrize("temporal", [False, True])
def test_a_training_goes_on_bit_for_bit(shards, tmp_path, temporal):
    keys = {"temporal": temporal, "dropout": 0.5}
    loop = {"schedule": "constant", "enlarge": 1.1}
    whole = train(shards, tmp_path / "whole", loop=loop | {"epochs": 2}, **keys)
    train(shards, tmp_path / "parts", loop=loop | {"epochs": 1}, **keys)
    parts = train(shards, tmp_path / "parts", loop=loop | {"epochs": 2}, **keys)
    first, second = load_file(whole), load_file(parts)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("temporal", [False, True])
@pytest.mark.parametrize("inference", ["deterministic", "published"])
def test_the_same_drawings_give_the_same_file(shards, trained, tmp_path, temporal, inference):
    outputs = [drive(shards, trained[temporal], tmp_path / f"{n}.arrow", inference) for n in range(2)]
    assert (tmp_path / "0.arrow").read_bytes() == (tmp_path / "1.arrow").read_bytes()
    assert outputs[0].std() > 10


def test_what_is_dropped_is_drawn_from_the_items_seed(shards, tmp_path):
    checkpoint = train(shards, tmp_path, loop={"epochs": 1}, dropout=0.5)
    plain = drive(shards, checkpoint, tmp_path / "plain.arrow")
    first, other = (drive(shards, checkpoint, tmp_path / f"{s}.arrow", "published", s) for s in (1, 2))
    assert (first != plain).any() and (first != other).any()

    network = load_network(checkpoint, CPU)
    drawings = Shard(shards / "drawings/driver/00000.arrow").tensors("input", range(4))
    state = torch.get_rng_state()
    points = Shard(shards / "drawings/driver/00000.arrow").tensors("landmarks", range(4))
    together = paint_faces_as_published(network, drawings, points, None, [5, 6, 7, 8])
    assert np.array_equal(together[2:3], paint_faces_as_published(network, drawings[2:3], points[2:3], None, [7]))
    assert torch.equal(state, torch.get_rng_state()) and not network.training


def test_published_inference_leaves_moving_statistics_as_they_are(shards, tmp_path):
    network = load_network(train(shards, tmp_path, loop={"epochs": 1}, variant="tensorflow"), CPU)
    shard = Shard(shards / "drawings/driver/00000.arrow")
    shown = [shard.tensors(column, range(4)) for column in ("input", "landmarks")]
    before = paint_faces(network, *shown)
    assert (paint_faces_as_published(network, *shown, None, range(4)) != before).any()  # by own statistics
    assert np.array_equal(paint_faces(network, *shown), before)


def test_an_output_depends_on_no_other_item_of_its_batch(shards, trained):
    network = load_network(trained[False], CPU)
    shard = Shard(shards / "drawings/driver/00000.arrow")
    drawings, points = (shard.tensors(column, range(7)) for column in ("input", "landmarks"))
    together = paint_faces(network, drawings, points).astype(int)
    for row in range(7):
        one = slice(row, row + 1)
        assert np.abs(together[row] - paint_faces(network, drawings[one], points[one])[0]).max() <= 1


def test_a_temporal_network_sees_its_own_output_and_nothing_after_a_gap(shards, trained, tmp_path):
    drawings = Shard(shards / "drawings/driver/00000.arrow")
    assert drawings.scalars("follows") == [False, True, True, True, False, True, True]
    driven = drive(shards, trained[True], tmp_path / "driven.arrow")
    network = load_network(trained[True], CPU)
    nothing = np.zeros_like(driven[:1])
    for row, follows in enumerate(drawings.scalars("follows")):
        shown = [drawings.tensors(column, [row]) for column in ("input", "landmarks")]
        before = driven[row - 1 : row] if follows else nothing
        assert np.array_equal(driven[row], paint_faces(network, *shown, before)[0])
        if follows:
            assert (driven[row] != paint_faces(network, *shown, nothing)[0]).any()


def test_an_empty_shard_gives_an_empty_one(shards, trained, tmp_path):
    write_drawings(tmp_path / "drawings/driver/00000.arrow", [])
    for temporal in (False, True):
        assert len(drive(tmp_path, trained[temporal], tmp_path / "driven.arrow")) == 0


def test_frames_before_are_spoilt_but_black_stays_black():
    torch.manual_seed(0)
    pictures = torch.from_numpy(np.stack([frame(n)[1] for n in range(6)])).permute(0, 3, 1, 2).float() / 127.5 - 1
    pictures[2] = -1
    spoilt = spoil(pictures)
    assert (spoilt[2] == -1).all()
    others = [0, 1, 3, 4, 5]
    changes = (spoilt - pictures)[others].abs().mean(dim=(1, 2, 3))
    assert spoilt.abs().max() <= 1 and (changes > 0.01).all() and (changes < 0.3).all()


SOURCE = {"type": "video", "path": "a.mp4", "crop": {"size": 64, "frame": "whole"}}
REFUSED = {
    "two people": ({"train": ["a", "b"]}, {}, r"experiments\.r\.train: one person .*`train: \[a\]`"),
    "pictures": ({}, {"b": SOURCE | {"type": "folder"}}, r"experiments\.r\.apply: 'b' .* type video"),
    "moved faces": ({}, {"b": SOURCE | {"crop": {"size": 64}}}, r"sources\.b\.crop\.frame: .*`crop: {frame: head}`"),
    "too deep": ({"render": {"halvings": 8}}, {}, r"r\.render\.halvings: .*write `halvings: 6`"),
    "jitter": ({"render": {"halvings": 6, "training": {"jitter": 0.1}}}, {}, r"write `jitter: 0`"),
    "one pixel": (
        {"render": {"halvings": 6, "variant": "tensorflow", "training": {"batch_size": 1}}},
        {},
        r"r\.render\.training\.batch_size: .*`variant: original`",
    ),
    "one pixel as published": (
        {"render": {"halvings": 6, "variant": "tensorflow"}, "inference": "published"},
        {},
        r"experiments\.r\.inference: .*`halvings: 5`",
    ),
    "no weights": ({"render": {"halvings": 6, "perceptual": "vgg19"}}, {}, r"vgg19 needs .*weights: {vgg19:"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_with_the_remedy(case):
    keys, sources, message = REFUSED[case]
    experiment = {"system": "reenact", "train": ["a"], "test": ["a"], "apply": ["b"], "render": {"halvings": 6}} | keys
    experiment["apply"] = [] if "b" in experiment["train"] else experiment["apply"]
    with pytest.raises(UserError, match=message):
        load_config({"sources": {"a": SOURCE, "b": SOURCE} | sources, "experiments": {"r": experiment}})
