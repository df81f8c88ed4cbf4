"""`objects` through Snakemake, from a rendered COCO folder to the page, and the summary of given features."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from projects import Project

from workflow_scripts.config.load import load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.frechet import frechet_distance, picture_features
from workflow_scripts.systems._generation.features import describe, feature_columns, load_describers
from workflow_scripts.systems._generation.scores import summarize
from workflow_scripts.systems.objects.config import Experiment

PICTURES, WIDTH, HEIGHT = 30, 64, 48
LOOP = {"batch_size": 4, "preview_items": 2, "threads": 1}


def write_coco(root: Path) -> None:
    """Write pictures of one or two bright ellipses on noise, with polygons; one ellipse too small, one picture bare."""
    (root / "toys").mkdir(parents=True)
    rng, images, annotations = np.random.default_rng(0), [], []
    for number in range(1, PICTURES + 1):
        picture = rng.integers(0, 90, (HEIGHT // 4, WIDTH // 4, 3)).astype(np.uint8)
        picture = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        for _ in range(0 if number == 2 else 1 + number % 2):
            middle = int(rng.integers(18, 46)), int(rng.integers(16, 32))
            axes = (3, 3) if number == 1 else tuple(int(side) for side in rng.integers(14, 18, 2))
            outline = cv2.ellipse2Poly(middle, axes, int(rng.integers(0, 180)), 0, 360, 20)
            cv2.fillPoly(picture, [outline], rng.integers(120, 255, 3).tolist())
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1 + number % 2,
                    "segmentation": [outline.reshape(-1).tolist()],
                    "iscrowd": 0,
                }
            )
        images.append({"id": number, "file_name": f"{number:02d}.png", "width": WIDTH, "height": HEIGHT})
        Image.fromarray(picture).save(root / "toys" / f"{number:02d}.png")
    categories = [{"id": 1, "name": "egg"}, {"id": 2, "name": "ball"}]
    values = {"images": images, "categories": categories, "annotations": annotations}
    (root / "objects.json").write_text(json.dumps(values))


def configuration() -> dict:
    split = {"train": 0.6, "val": 0.2, "test": 0.2}
    toys = {"type": "coco", "path": "coco", "set": "toys", "annotations": ["objects.json"], "split": split}
    experiment = {
        "system": "objects",
        "train": ["toys"],
        "test": ["toys"],
        "score_train": 3,
        "gallery": 3,
        "squares": {"size": 32},
        "gan": {
            "channels": 4,
            "latent": 8,
            "discriminator_steps": 1,
            "splitting": {"every": 1, "min_items": 4, "max_classes": 3},
            "training": LOOP | {"epochs": 2, "schedule": "linear", "keep": "last"},
        },
        "segment": {"unet": {"blocks": 3, "channels": 4, "max_channels": 8}, "training": LOOP | {"epochs": 1}},
        "evaluation": {"samples": 12, "features": []},
    }
    return {"seed": 1, "shard_size": 40, "sources": {"toys": toys}, "experiments": {"objects": experiment}}


@pytest.fixture(scope="module")
def made(tmp_path_factory, astronaut) -> Project:
    """A project run to the page, and the file of objects."""
    project = Project.create(tmp_path_factory.mktemp("objects"), astronaut, photos=False)
    write_coco(project.root / "coco")
    project.configure(configuration())
    project.said("all", "results/toys/objects.json")
    return project


def test_it_goes_from_a_coco_folder_to_the_page(made):
    results = made.root / "results/objects"
    networks = ["segment", "rgb1", "masked1"]
    assert {path.stem for path in (results / "checkpoints").glob("*.safetensors")} == set(networks)
    figures = {path.stem for path in (results / "figures").iterdir()}
    assert {"real", "first_look", "samples_rgb1", "samples_masked1", "neighbours_rgb1"} <= figures
    assert {f"curves_{network}" for network in networks} <= figures
    page = " ".join((made.root / "results/overview.html").read_text().split())
    assert "masked1" in page and "Absent: Inception Score, FID, KID: they need" in page and "published" in page


def test_items_are_conserved(made):
    results = made.root / "results"
    index = set(read_table(results / "toys/index.parquet")["item"])
    lost = read_table(results / "objects/quarantine.parquet")
    squares = {item for path in sorted((results / "objects/squares/toys").iterdir()) for item in Shard(path).items}
    reasons = lost[lost["stage"] == "make_objects"].set_index("item")["reason"].to_dict()
    assert reasons == {"01.png": "covers too little", "02.png": "no object"}
    assert squares | set(reasons) == index and not squares & set(reasons)


def test_samples_are_pictures_and_masks_beside_their_nearest_training_picture(made):
    results = made.root / "results/objects"
    trained = read_table(results / "training.parquet")
    trained = set(trained.loc[trained["split"] == "train", "item"])
    for network in ("rgb1", "masked1"):
        shard = Shard(results / f"samples/{network}/00000.arrow")
        assert len(shard) == 12 and shard.tensor("image", 0).shape == (32, 32, 3)
        assert ("mask" in shard.columns) == ("segment_iou" in shard.columns) == (network == "masked1")
        assert set(shard.scalars("nearest_item")) <= trained
    summary = json.loads((results / "metrics.json").read_text())
    entries = summary["networks"]
    assert list(entries) == ["masked1", "rgb1"] and {one["seed"] for one in entries.values()} == {1}
    assert entries["rgb1"]["masks"] is None and 0 <= entries["masked1"]["masks"]["segment_iou"] <= 1
    assert entries["masked1"]["classes"] > 1 and entries["masked1"]["samples"] == 12


def test_real_masks_bound_their_objects(made):
    rows = read_table(made.root / "results/objects/metrics.parquet")
    assert set(rows["split"]) == {"train", "test"} and set(rows["kind"]) == {"egg", "ball"}
    assert (rows["edge"] > rows["edge_shuffled"]).mean() > 0.8 and rows["edge"].mean() > 1.3
    assert rows["segment_iou"].between(0, 1).all()


def test_the_objects_are_written_as_coco(made):
    written = json.loads((made.root / "results/toys/objects.json").read_text())
    assert len(written["images"]) == PICTURES and {c["name"] for c in written["categories"]} == {"egg", "ball"}


def test_another_number_of_samples_trains_nothing_again(made, tmp_path):
    project = made.copy(tmp_path / "project")
    config = project.config()
    config["experiments"]["objects"]["evaluation"]["samples"] = 10
    project.configure(config)
    planned = project.planned()
    assert planned["sample_objects"] == 2 and "train_network" not in planned and "make_objects" not in planned
    config["experiments"]["objects"]["gan"]["discriminator_steps"] = 2
    project.configure(config)
    assert project.planned()["train_network"] == 2  # not the network that finds objects
    config["experiments"]["objects"]["seeds"] = 2
    project.configure(config | {"seed": 1})
    assert {"train_network/objects/rgb2", "train_network/objects/masked2"} <= set(project.jobs())


def refused(**changes) -> str:
    config = configuration()
    weights = changes.pop("weights", {})
    config["experiments"]["objects"] |= changes
    with pytest.raises(UserError) as error:
        load_config(config | {"weights": weights})
    return str(error.value)


def test_keys_that_are_impossible_together_are_refused_with_the_remedy():
    assert "gan.labels: needs the categories; write" in refused(gan={"labels": True})
    assert "jitter: a generator would learn the changed pictures" in refused(gan={"training": {"jitter": 0.2}})
    assert "add `weights: {inception: " in refused(evaluation={"features": ["inception"]})
    assert "names one twice" in refused(channels=[4, 4])
    assert "only a source of type coco has objects" in refused_of_folder()


def refused_of_folder() -> str:
    config = configuration()
    config["sources"]["toys"] = {"type": "folder", "path": "coco"}
    with pytest.raises(UserError) as error:
        load_config(config)
    return str(error.value)


def test_the_summary_measures_samples_and_real_pictures_alike(tmp_path):
    rng, side = np.random.default_rng(0), 32
    name = "efficientnet_lite0"
    sizes = {"train": 40, "test": 30}

    def row(item: str, shift: float) -> dict:
        picture = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
        features = {f"{name}_features": rng.normal(shift, 1, 1280).astype(np.float32)}
        logits = {f"{name}_logits": np.eye(1000, dtype=np.float32)[int(item) % 5] * 40}
        return {"item": item, "variant": 0, "image": picture} | features | logits

    real = [row(f"{number:03d}", 0) | {"split": "train" if number < 40 else "test"} for number in range(70)]
    picture = (np.uint8, (side, side, 3))
    scalars = {"item": pa.string(), "variant": pa.int32()}
    write_shard(tmp_path / "squares/a/00000.arrow", real, scalars | {"image": picture})
    write_shard(tmp_path / "features/a/00000.arrow", real, scalars | {"split": pa.string()} | feature_columns([name]))
    shards = {kind: [tmp_path / f"{kind}/a/00000.arrow"] for kind in ("squares", "features")} | {"samples": []}
    shifts = {"rgb1": 0.0, "rgb2": 0.05, "masked1": 1.0, "masked2": 1.1}
    for network, shift in shifts.items():
        made = [row(f"{number:03d}", shift) | {"class": 0, "nearest_distance": float(number)} for number in range(50)]
        masks = dict.fromkeys(("mask_area", "edge", "edge_shuffled", "segment_iou", "segment_iou_shuffled"), 0.5)
        columns = {"item": pa.string(), "class": pa.int32(), "nearest_distance": pa.float64()}
        columns |= dict.fromkeys(masks, pa.float64()) | feature_columns([name])
        path = tmp_path / f"samples/{network}/00000.arrow"
        write_shard(path, [one | masks for one in made], columns)
        shards["samples"].append(path)
    experiment = Experiment.model_validate({"system": "objects", "seeds": 2, "evaluation": {"samples": 50}})
    found = summarize(experiment, None, [], shards, {})
    near, far = found["networks"]["rgb1"]["described"][name], found["networks"]["masked1"]["described"][name]
    assert near["score"]["whole"] == pytest.approx(5) and near["test"]["pictures"] == [50, 30]
    assert far["test"]["frechet"] > near["test"]["frechet"] + 1000 and far["test"]["kernel"] > near["test"]["kernel"]
    kept = {split: np.stack([one[f"{name}_features"] for one in real if one["split"] == split]) for split in sizes}
    between = found["real"]["test"]["described"][name]
    assert between["train"]["frechet"] == pytest.approx(frechet_distance(kept["test"], kept["train"]))
    assert "test" not in between and found["real"]["train"]["pictures"] == 40
    assert "40 train pictures, 30 test pictures, 50 samples, fewer than 2048" in found["warning"]
    assert "Inception Score" in next(iter(found["absent"]))
    rows = {one["score"]: one for one in found["comparison"]["scores"]}
    assert rows["frechet"]["difference"]["mean"] > 1000 and rows["score"]["difference"]["count"] == 2
    copies = found["networks"]["rgb1"]["copies"]
    assert copies["nearest"] == 24.5 and copies["test"] > 0 and 0 <= copies["fraction"] <= 1


def test_a_summary_of_nothing_held_out_ends_with_one_line(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)
    row = {"item": "a", "variant": 0, "image": picture, "split": "train"}
    scalars = {"item": pa.string(), "variant": pa.int32()}
    write_shard(tmp_path / "squares/a/00000.arrow", [row], scalars | {"image": (np.uint8, (32, 32, 3))})
    write_shard(tmp_path / "features/a/00000.arrow", [row], scalars | {"split": pa.string()})
    shards = {kind: [tmp_path / f"{kind}/a/00000.arrow"] for kind in ("squares", "features")} | {"samples": []}
    with pytest.raises(UserError, match="no test picture has become a square"):
        summarize(Experiment(system="objects", evaluation={"features": []}), None, [], shards, {})


def test_pictures_are_described_as_those_of_the_frechet_distance(efficientnet_lite0):
    torch.set_num_threads(1)
    pictures = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    device = torch.device("cpu")
    rows = describe(pictures, load_describers([efficientnet_lite0], device), device)
    features = np.stack([row["efficientnet_lite0_features"] for row in rows])
    assert np.allclose(features, picture_features(pictures, efficientnet_lite0), atol=1e-4)
    assert rows[0]["efficientnet_lite0_logits"].shape == (1000,)
