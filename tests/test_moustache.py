"""Moustaches on a real face, the networks that take them off, and what is exported of their pairs."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from test_occluders import SIZE, inside, iou, moved, rolled, yawed

from workflow_scripts.config.load import load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import INDEX, SPLITS, read_table, write_table
from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.models.pix2pix import ConditionalDiscriminator, Pix2PixGenerator
from workflow_scripts.occluders._apply import apply_occluder, fit_reason
from workflow_scripts.occluders._config import Fit, Occluders
from workflow_scripts.occluders._moustache import COVERS
from workflow_scripts.occluders._pictures import list_pictures, read_pictures
from workflow_scripts.stages.experiments import train_network
from workflow_scripts.stages.removal import edit_faces, export_pairs, predict_maps
from workflow_scripts.stages.removal.make_pairs import make_pairs
from workflow_scripts.systems._removal.config import Difference
from workflow_scripts.systems._removal.fill import fill_holes
from workflow_scripts.systems.moustache.config import STYLES

SIDE = 64
PUBLISHED = {"halvings": 8, "channels": 64, "max_channels": 512, "up": "transposed_conv", "dropout": 0.5}


def draw(image, landmarks, kind, seed=0, style="varied", **extra):
    return apply_occluder(image, landmarks, kind, style, np.random.default_rng(seed), **extra)


def mean_coverage(image, landmarks, kind, seeds=8):
    return np.mean([draw(image, landmarks, kind, seed).coverage for seed in range(seeds)], 0)


@pytest.mark.parametrize("style", ["plain", "varied"])
@pytest.mark.parametrize("kind", STYLES)
def test_lies_between_nose_and_upper_lip(face, kind, style):
    image, landmarks = face
    philtrum = np.round((landmarks[33] + 2 * landmarks[51]) / 3).astype(int)
    for seed in range(6):
        result = draw(image, landmarks, kind, seed, style)
        covered = result.coverage > 127
        rows, columns = np.nonzero(covered)
        assert rows.min() >= landmarks[30, 1]  # not on the nose's tip
        above = np.interp(columns, landmarks[48:55, 0], landmarks[48:55, 1])
        within = (columns > landmarks[48, 0] + 2) & (
            columns < landmarks[54, 0] - 2
        )  # beside the corners hair hangs down
        assert (rows[within] < above[within] + 2).mean() > 0.99  # above the lip's line, where there is a lip
        assert covered[inside(landmarks[48:60])].mean() < 0.05
        assert not covered[inside(landmarks[36:42]) | inside(landmarks[42:48])].any()
        if kind != "pencil":
            assert result.coverage[philtrum[1] - 2 : philtrum[1] + 3, philtrum[0] - 2 : philtrum[0] + 3].mean() > 90
        assert fit_reason(result.coverage, landmarks, Fit(), COVERS) is None


@pytest.mark.parametrize("kind", STYLES)
def test_stays_on_the_face_also_where_a_smile_is_wide(face, kind):
    image, landmarks = face
    smile = landmarks.copy()
    middle = smile[51, 0]
    smile[48:68, 0] = middle + 1.25 * (smile[48:68, 0] - middle)
    outline = cv2.fillPoly(np.zeros(image.shape[:2], np.uint8), [cv2.convexHull(np.round(smile[:27]).astype(int))], 1)
    for seed in range(4):
        coverage = draw(image, smile, kind, seed).coverage.astype(float)
        assert (coverage * (1 - outline)).sum() < 0.01 * coverage.sum()


def test_styles_differ_in_shape(face):
    shapes = {kind: mean_coverage(*face, kind, 4) > 127 for kind in STYLES}
    width = {kind: np.ptp(np.nonzero(shape)[1]) for kind, shape in shapes.items()}
    assert width["handlebar"] > width["chevron"] > 1.5 * width["toothbrush"]
    assert shapes["walrus"].sum() > shapes["chevron"].sum() > shapes["pencil"].sum()
    for first in STYLES:
        for second in STYLES:
            assert first == second or iou(shapes[first], shapes[second]) < 0.75


@pytest.mark.parametrize("degrees", [25, -25])
@pytest.mark.parametrize("kind", STYLES)
def test_follows_a_rolled_face(face, kind, degrees):
    image, landmarks, matrix = rolled(face, degrees)
    expected = cv2.warpAffine(draw(*face, kind, 1).coverage, matrix, (SIZE, SIZE))
    assert iou(draw(image, landmarks, kind, 1).coverage > 100, expected > 100) > 0.75


@pytest.mark.parametrize("kind", STYLES)
def test_a_mirrored_face_gets_a_mirrored_moustache(face, kind):
    image, landmarks = face
    mirrored = (np.float32([SIZE - 1, 0]) + landmarks * np.float32([-1, 1]))[MIRRORED]
    here = mean_coverage(image, landmarks, kind, 12)
    there = mean_coverage(np.ascontiguousarray(image[:, ::-1]), mirrored, kind, 12)[:, ::-1]
    assert iou(here > 110, there > 110) > 0.8
    assert there.sum() == pytest.approx(here.sum(), rel=0.06)


@pytest.mark.parametrize("sign", [-1, 1])
def test_is_narrower_on_the_far_side_of_a_turned_face(face, sign):
    landmarks = yawed(face, sign)
    covered = draw(face[0], landmarks, "chevron", 1).coverage > 100
    columns = np.nonzero(covered)[1] - landmarks[51, 0]
    far, near = (columns * sign).max(), -(columns * sign).min()
    assert far < 0.75 * near


def test_its_colour_is_that_of_the_brows(face):
    """Brows painted black or fair: the moustache follows."""
    image, landmarks = face
    brightness = {}
    for name, colour in {"black": (20, 18, 16), "fair": (150, 120, 80)}.items():
        painted = image.copy()
        for brow in (landmarks[17:22], landmarks[22:27]):
            cv2.polylines(painted, [np.round(brow).astype(np.int32)], False, colour, 12)
        shown = []
        for seed in range(6):
            result = draw(painted, landmarks, "chevron", seed)
            shown.append(result.image[result.coverage > 200].mean())
        brightness[name] = np.median(shown)
    assert brightness["fair"] > brightness["black"] + 25


def test_same_generator_same_bytes(face):
    first, again, other = draw(*face, "walrus", 3), draw(*face, "walrus", 3), draw(*face, "walrus", 4)
    assert first.image.tobytes() == again.image.tobytes() != other.image.tobytes()


KINDS_OF_PICTURES = {"moustache_picture": 1.0}


def moustache_picture(alpha=255) -> np.ndarray:
    """A green bar with a transparent border."""
    picture = np.zeros((60, 140, 4), np.uint8)
    picture[20:40, 20:120] = (30, 160, 40, alpha)
    return picture


def write_picture(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = [2, 1, 0, 3][: picture.shape[2]]
    cv2.imwrite(str(path), picture[..., channels])


def test_a_users_picture_is_put_on(face, tmp_path):
    write_picture(tmp_path / "bar.png", moustache_picture())
    pictures = read_pictures(list_pictures(tmp_path), KINDS_OF_PICTURES)["moustache_picture"]
    assert pictures[0].shape == (20, 100, 4)  # cut to what shows
    result = draw(*face, "moustache_picture", 0, "plain", pictures=pictures)
    red, green, blue = result.image[result.coverage > 250].astype(int).mean(0)
    assert green > red + 40 and green > blue + 40
    assert fit_reason(result.coverage, face[1], Fit(), COVERS) is None
    columns = np.nonzero(result.coverage > 127)[1]
    assert np.ptp(columns) == pytest.approx(np.ptp(face[1][[48, 54], 0]), rel=0.2)


BAD_PICTURES = {
    "has no transparency": moustache_picture()[..., :3],
    "is transparent everywhere": moustache_picture(0),
    "is opaque everywhere": np.full((60, 140, 4), 255, np.uint8),
    "must be at least 32 wide": moustache_picture()[:, 100:],
    "no higher than wide": np.ascontiguousarray(moustache_picture().swapaxes(0, 1)),
}


@pytest.mark.parametrize("fault", [*BAD_PICTURES, "not a readable picture", "no picture with transparency"])
def test_a_users_bad_picture_is_named_in_one_line(tmp_path, fault):
    if fault == "not a readable picture":
        (tmp_path / "own.png").write_bytes(b"no picture")
    elif fault in BAD_PICTURES:
        write_picture(tmp_path / "own.png", BAD_PICTURES[fault])
    with pytest.raises(UserError, match=fault) as refused:
        read_pictures(list_pictures(tmp_path), KINDS_OF_PICTURES)
    assert "\n" not in str(refused.value)


def test_pictures_and_their_kind_belong_together():
    with pytest.raises(ValueError, match="belong together"):
        Occluders(pictures="own")
    with pytest.raises(ValueError, match="belong together"):
        Occluders(mix={"moustache_picture": 1})


def count(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_networks_are_the_tutorials():
    """The trainable parameters that the published notebook prints; 30x30 answers at 256."""
    generator, judge = Pix2PixGenerator(3, 3, **PUBLISHED).eval(), ConditionalDiscriminator().eval()
    assert count(generator) == 54_414_979
    assert count(judge) == 2_768_641
    pictures = torch.zeros(1, 3, 256, 256)
    with torch.inference_mode():
        assert judge(pictures, pictures).shape == (1, 1, 30, 30)
        assert judge(pictures[..., :224, :224], pictures[..., :224, :224]).shape == (1, 1, 26, 26)
        small = Pix2PixGenerator(4, 3, 8, 4, 16, "nearest", 0.5).eval()
        painted = small(torch.rand(1, 4, 224, 224))
    assert painted.shape == (1, 3, 224, 224)  # padded to 256 by reflection, and cropped again
    assert painted.abs().max() <= 1


def test_order_of_a_decoder_block_and_biases():
    block = Pix2PixGenerator(3, 3, **PUBLISHED | {"channels": 4, "max_channels": 8}).ups[0]
    assert [type(layer).__name__ for layer in block] == ["ConvTranspose2d", "BatchNorm2d", "Dropout", "ReLU"]
    assert (block[1].momentum, block[1].eps) == (0.01, 1e-3)  # .99 in Keras
    for network in (Pix2PixGenerator(3, 3, 4, 4, 8, "nearest", 0.5), ConditionalDiscriminator(4)):
        with_bias = [m for m in network.modules() if hasattr(m, "kernel_size") and m.bias is not None]
        assert len(with_bias) == 1 and with_bias[0].weight.shape[0] in (1, 3)


def test_noise_is_keyed_by_the_item():
    pictures, maps = torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    maps[:, :, 8:16] = 1
    both, alone = fill_holes(pictures, maps, "noise", [5, 9]), fill_holes(pictures[1:], maps[1:], "noise", [9])
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both[0], both[1])
    assert (both[:, :, :8] == 0).all() and both[:, :, 8:16].std() > 0.5
    pictures = torch.rand(2, 3, 32, 32)
    mean = fill_holes(pictures, maps, "mean", [0, 0])
    assert torch.allclose(mean[0, :, 10, 10], pictures[0, :, [*range(8), *range(16, 32)]].mean((1, 2)))
    assert (fill_holes(pictures, maps, "grey", [0, 0])[:, :, 8:16] == 0).all()
    assert fill_holes(pictures, maps, "none", [0, 0]) is pictures


def test_a_hole_is_filled_with_the_colours_around_it():
    slope = torch.linspace(-0.8, 0.6, 64).expand(1, 3, 64, 64)
    maps = torch.zeros(1, 1, 64, 64)
    maps[..., 28:38, 10:54] = 1
    seen = torch.where(maps.bool(), -1.0, slope)
    filled = fill_holes(seen, maps, "around", [0])
    assert (filled - slope).abs().max() < 0.12, "half a grey slope's change across the hole's height"
    assert torch.equal(filled[..., :28, :], slope[..., :28, :])
    assert fill_holes(seen, torch.ones_like(maps), "around", [0]).isfinite().all()


def test_a_batch_that_cannot_be_normalised_is_refused():
    experiment = {
        "system": "moustache", "train": ["faces"], "test": ["faces"],
        "edit": {"generator": {"halvings": 7}, "training": {"batch_size": 1}},
    }  # fmt: skip
    source = {"type": "folder", "path": "faces"}
    with pytest.raises(UserError, match=r"experiments\.m\.edit\.training\.batch_size: .*write `batch_size: 2`"):
        load_config({"sources": {"faces": source}, "experiments": {"m": experiment}})


@pytest.fixture(scope="module")
def project(face, tmp_path_factory) -> Path:
    """A folder with pairs of views of one face, by the stage that makes them, and their splits."""
    folder = tmp_path_factory.mktemp("moustache")
    rng = np.random.default_rng(0)
    crops, rows = [], []
    for number in range(20):
        scale = SIDE / SIZE * rng.uniform(1.2, 1.6)
        matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.uniform(-8, 8), scale).astype(np.float32)
        matrix[:, 2] += SIDE / 2 - SIZE / 2
        picture = cv2.warpAffine(face[0], matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        item = f"sub/{number:02d}.png"
        crops.append({"item": item, "image": picture, "landmarks": moved(face[1], matrix)})
        rows.append({"item": item, "split": "test" if number > 16 else "val" if number > 13 else "train"})
    rows[0]["attributes"] = ["Male", "Mustache"]
    columns = {"item": pa.string(), "image": (np.uint8, (SIDE, SIDE, 3)), "landmarks": (np.float32, (68, 2))}
    write_shard(folder / "crops.arrow", crops, columns)
    write_table(folder / "index.parquet", rows, INDEX)
    splits = [row | {"source": "faces", "seen": False, "scored": row["split"] == "test"} for row in rows]
    write_table(folder / "splits.parquet", splits, SPLITS)
    make_pairs(
        Occluders(mix={"chevron": 0.5, "walrus": 0.5}, unless=["Mustache"]),
        Difference(drawn="coverage", opening=0),
        "draw",
        1,
        folder / "index.parquet",
        folder / "crops.arrow",
        folder / "pairs/faces/00000.arrow",
        folder / "rejected.parquet",
    )
    return folder


def test_a_face_known_to_have_one_is_left_out(project):
    rejected = read_table(project / "rejected.parquet").set_index("item")
    assert rejected.loc["sub/00.png", "reason"] == "has one already"
    assert len(rejected) + len(Shard(project / "pairs/faces/00000.arrow")) == 20


def test_a_tiny_training_from_pairs_to_outputs(project):
    """Both networks by the stage, then maps and outputs: equal again, and with the same noise."""
    loop = {"epochs": 2, "batch_size": 4, "precision": "fp32", "preview_items": 2, "preview_steps": 2}
    loop |= {"save_every": 1, "threads": 1}
    experiment = {
        "system": "moustache", "train": ["faces"], "test": ["faces"],
        "map": {"unet": {"blocks": 5, "channels": 4, "max_channels": 8, "down": "strided_conv", "slope": 0},
                "training": loop},
        "edit": {"fill": "noise", "generator": {"halvings": 4, "channels": 4, "max_channels": 8, "dropout": 0.5},
                 "discriminator_channels": 4, "perceptual": "none", "training": loop | {"ema": 0.9}},
    }  # fmt: skip
    pairs = project / "pairs/faces/00000.arrow"
    for network in ("map", "edit"):
        train_network.main([
            *("--experiment", json.dumps(experiment), "--network", network, "--seed", "1"),
            *("--splits", str(project / "splits.parquet"), "--code", "code:c,lock:l", "--shards", str(pairs)),
            *([str(project / "maps/faces/00000.arrow")] if network == "edit" else []),
            *("--output", str(project / f"checkpoints/{network}.safetensors")),
            *("--sidecar", str(project / f"checkpoints/{network}.json")),
            *("--curves", str(project / f"{network}.parquet"), "--previews", str(project / f"previews/{network}")),
            *("--resume", str(project / f"resume/{network}")),
            *("--live", str(project / f"live/{network}")),
        ])  # fmt: skip
        if network == "map":
            predict_maps.predict_maps(
                "moustache",
                Difference(opening=0),
                project / "checkpoints/map.safetensors",
                pairs,
                project / "maps/faces/00000.arrow",
                1,
                0,
            )
    steps = {path.name for path in (project / "previews/edit").iterdir()}
    assert steps == {"step_00000002.png", "epoch_0001.png", "step_00000004.png", "epoch_0002.png"}
    names = set(read_table(project / "edit.parquet")["name"])
    assert {"discriminator total", "edit l1", "edit adversarial", "psnr_composite"} <= names

    outputs = []
    for number in range(2):
        path = project / f"outputs{number}.arrow"
        places = (project / "splits.parquet", pairs, project / "maps/faces/00000.arrow", path)
        edit_faces.edit_faces("moustache", "faces", 1, 1, 1.0, project / "checkpoints/edit.safetensors", *places, 1, 0)
        outputs.append(path.read_bytes())
    assert outputs[0] == outputs[1]
    assert len(Shard(project / "outputs0.arrow")) == 3


def test_pairs_are_exported_as_png_folders(project):
    output = project / "export"
    export_pairs.export_pairs(project / "splits.parquet", [project / "pairs/faces/00000.arrow"], output, 1)
    with open(output / "items.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    shard = Shard(project / "pairs/faces/00000.arrow")
    assert sorted(row["item"] for row in rows) == sorted(shard.items)
    assert len({row["name"] for row in rows}) == len(rows)
    row = next(row for row in rows if row["split"] == "test")
    place = shard.items.index(row["item"])
    pair = cv2.imread(str(output / f"pairs/test/{row['name']}.png"))[..., ::-1]
    assert np.array_equal(pair, np.hstack([shard.tensor("target", place), shard.tensor("input", place)]))
    found = cv2.imread(str(output / f"maps/test/{row['name']}.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found, shard.tensor("map", place)) and set(np.unique(found)) == {0, 255}
    assert len(list(output.rglob("*.png"))) == 2 * len(rows)
