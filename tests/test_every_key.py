"""Every documented key of the configuration goes through Snakemake once, with another value than its default.

The keys are those of docs/config.md, which is made of the same models: a new key without a run fails here. A run must
end well, and each value must be among the settings of a job, so that a key which reaches no job is found.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from projects import ROOT, Project, tiny_config
from pydantic import BaseModel
from source_files import NAMES, official_texts, write
from test_coco import Coco, annotation

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import Crop, WeightDigests, Weights
from workflow_scripts.config.write_docs import _title, models
from workflow_scripts.core.tables import read_table
from workflow_scripts.reporting.films import write_mp4

SIDE = 64  # pixels of all crops
# What the start reads, and no job: each is checked by what there is afterwards.
OF_THE_START = {"shard_size", "needs"}


def training(number: int) -> dict:
    """Return all keys of one training, of which `number` makes the values differ between networks."""
    return {
        "epochs": 1,
        "batch_size": 2 + number,
        "learning_rate": 1e-3 + number * 1e-4,
        "betas": [0.4, 0.99],
        "schedule": "constant" if number else "cosine",
        "precision": "fp32",
        "channels_last": False,
        "ema": 0.5 + number / 100,
        "clip": 10.0 + number,
        "flip": True,
        "enlarge": 1.1,
        "move": 0.02 + number / 1000,
        "jitter": 0.1 if number < 2 else 0.0,
        "keep": "last",
        "patience": 3 + number,
        "preview_items": 1,
        "preview_every": 2,
        "preview_steps": 50 + number,
        "save_every": 100 + number,
        "threads": 1 if number else 2,
        "device": "cpu",
    }


def shared(number: int, **keys) -> dict:
    """Return the keys that every source has, of which `number` makes the values differ between sources."""
    return {
        "subset": 0.9 + number / 100,
        "split": {"train": 0.6, "val": 0.2, "test": 0.2},
        "faces": {
            "detector": "dlib_hog",
            "prior": "boxes",
            "min_score": 0.5 + number / 100,
            "choose": "central",
            "track": int(number == 7),  # of the clips in which nobody is followed
            "min_size": 25 + number,
            "pad_retry": 0.3 + number / 100,
            "on_no_face": "whole",
        },
        "given_faces": "faces.csv",
        "crop": {"size": SIDE, "frame": "face"},
        "max_pixels": 10_000_000 + number,
        "needs": [],
    } | keys


def every_source() -> dict:
    """Return sources of all types, all keys set; of those that exclude each other, each in one of two sources."""
    head = {"crop": {"size": SIDE, "frame": "head"}}
    thirds = {"split": {"train": 0.5, "val": 0.2, "test": 0.3}}
    return {
        "sample": shared(1, type="sample", subset=0.05),
        "driver": shared(2, type="sample_video", clip="single_face.mp4", per_second=1.0, split_by="time", **head),
        "celeba": shared(3, type="celeba", path="celeba", subset=0.999),
        "coco": shared(
            4, type="coco", path="coco", set="val2017", annotations=["own/objects.json"], needs=["objects", "captions"]
        ),
        "photos": shared(5, type="folder", path="photos", identity=r"^(portrait_\d)"),
        "clip": shared(6, type="video", path="films", per_second=5.0, split_by="time", **head, **thirds),
        "named": shared(7, type="video", path="films", every=5, block=4.0, identity="^(cl)"),
        "pairs": shared(8, type="pairs", clean="bare", occluded="worn", split={"train": 0, "val": 0.2, "test": 0.8}),
    }


def every_experiment() -> dict:
    """Return an experiment of `moustache` and of `reenact`, all keys set but those that the fixture `finished` sets."""
    fit = {"min_area": 0.0001, "max_area": 0.9, "min_mouth": 0.0, "max_mouth": 0.99, "max_eyes": 0.9}
    fit |= {"max_nostrils": 0.95, "min_face": 0.01, "max_outside": 0.97, "max_turn": 0.98}
    unet = {"blocks": 5, "channels": 4, "max_channels": 8, "convolutions": 1, "down": "strided_conv", "up": "bilinear"}
    unet |= {"norm": "instance", "plain_first": False, "dropout": [0.1], "squeeze_excitation": [1], "slope": 0.1}
    moustache = {
        "system": "moustache",
        "train": ["celeba"],
        "test": ["celeba"],
        "apply": ["pairs"],
        "score_train": 2,
        "occluders": {
            "mix": {"moustache_picture": 0.5, "mask_picture": 0.5},
            "variants": 2,
            "unless": ["Eyeglasses"],
            "pictures": "own",
            "style": "plain",
            "fit": fit,
        },
        "difference": {"drawn": "difference", "threshold": 5, "opening": 1},
        "presence": {"occluded": "pairs", "bare": "pairs"},
        "map": {
            "channels": "grey",
            "unet": unet | {"atrous": True},
            "bare": 0.2,
            "mirror": False,
            "dice": 0.5,
            "training": training(0),
        },
        "evaluation": {"features": "none", "min_images": 3},
        "edit": {
            "fill": "mean",
            "residual": False,
            "sees_map": False,
            "generator": {"halvings": 3, "channels": 4, "max_channels": 8, "up": "transposed_conv", "dropout": 0.1},
            "discriminator_channels": 4,
            "perceptual": "none",
            "losses": {"l1": 90.0, "adversarial": 0.9, "perceptual": 9.0, "hole": 5.0},
            "training": training(1),
        },
    }
    reenact = {
        "system": "reenact",
        "train": ["clip"],
        "test": ["clip"],
        "apply": ["driver"],
        "score_train": 1,
        "drawing": {"gaze": False, "normalize": "similarity"},
        "inference": "published",
        "video": {"lost_frames": "blank", "visible_mark": True, "width": 64},
        "render": {
            "halvings": 4,
            "channels": 4,
            "max_channels": 8,
            "up": "transposed_conv",
            "dropout": 0.2,
            "variant": "tensorflow",
            "discriminator_channels": 3,
            "temporal": True,
            "l1": 80.0,
            "adversarial": 0.2,
            "perceptual": "none",
            "perceptual_weight": 1.0,
            "training": training(2),
        },
    }
    return {"moustache": moustache, "reenact": reenact}


def every_key() -> dict:
    return {"seed": 7, "shard_size": 50, "sources": every_source(), "experiments": every_experiment()}


def write_inputs(root: Path, astronaut: np.ndarray) -> None:
    """Write what the sources of `every_source` read, and boxes of faces for each of them."""
    photos = sorted((root / "photos").glob("portrait_*"))
    faces = [np.asarray(Image.open(path)) for path in photos[6 : 6 + len(NAMES)]]
    for path in photos[6:]:
        path.unlink()
    rng = np.random.default_rng(0)
    for name, face in zip(NAMES, faces, strict=True):
        # Pictures that are copies of each other would be taken out of the training.
        for folder, side in (("celeba/img_align_celeba", 200), ("bare", 100)):
            shown = cv2.resize(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (200, 200), interpolation=0)
            shown[200 - side :, 200 - side :] = cv2.addWeighted(
                shown[200 - side :, 200 - side :], 0.2, cv2.resize(face, (side, side)), 0.8, 0
            )
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(shown).save(root / folder / name)
        shown[155:165, 135:165] = (60, 40, 30)
        (root / "worn").mkdir(exist_ok=True)
        Image.fromarray(shown).save(root / "worn" / name)
    texts = {path: text for path, text in official_texts().items() if "identity" not in path}
    write(root / "celeba", texts)
    made = Coco()
    made.annotations["instances"] = [annotation(1)]
    made.write(root / "coco")
    (root / "coco/own").mkdir()
    (root / "coco/annotations/instances_val2017.json").rename(root / "coco/own/objects.json")
    for path in (root / "coco/annotations").iterdir():
        path.unlink()
    frames = [
        (number / 10, np.roll(cv2.resize(astronaut[:300, 70:370], (200, 200)), number % 4, axis=1))
        for number in range(60)
    ]
    (root / "films").mkdir()
    write_mp4(root / "films/clip.mp4", frames)
    bar = np.zeros((60, 140, 4), np.uint8)
    bar[20:40, 20:120] = (60, 40, 30, 255)
    corners = {"left_top": [20, 22], "right_top": [119, 22], "left_bottom": [20, 38], "right_bottom": [119, 38]}
    (root / "own").mkdir()
    for name in ("bar.png", "cloth.png"):
        Image.fromarray(bar if name == "bar.png" else np.repeat(bar, 2, 0)).save(root / "own" / name)
    doubled = {name: [x, 2 * y] for name, (x, y) in corners.items()}
    (root / "own/cloth.json").write_text(json.dumps(doubled))
    names = ["astronaut.png", *NAMES, "clip.mp4#000000", photos[0].name, Coco().names[0], "single_face.mp4#000000"]
    rows = [[name, 55, 35, 145, 125] for name in names] + [[f"bare/{name}", 127, 117, 173, 163] for name in NAMES]
    boxes = pd.DataFrame(rows, columns=["item", "x1", "y1", "x2", "y2"])
    boxes.to_csv(root / "faces.csv", index=False)


@pytest.fixture(scope="module")
def everything(tmp_path_factory, astronaut) -> Project:
    """A project with all keys, run as far as any job uses them."""
    project = Project.create(tmp_path_factory.mktemp("everything"), astronaut)
    write_inputs(project.root, astronaut)
    project.configure(every_key())
    indexes = [f"{name}/index/00000.parquet" for name in ("sample", "photos", "named")]
    results = ["moustache/metrics.json", "reenact/videos/driver.json"]
    project.said(*(f"results/{file}" for file in (*results, *indexes, "coco/rejected_annotations.parquet")))
    return project


def leaves(group: BaseModel, default: BaseModel | None = None) -> Iterator[tuple[type[BaseModel], str, object]]:
    """Yield the model, the key and the value of every key that is not at its default; the value of a group is None.

    Args:
        group: values.
        default: the group as it is where nothing of it is given; None: as its model has it.
    """
    for key, field in type(group).model_fields.items():
        value = getattr(group, key)
        usual = field.default if default is None else getattr(default, key)
        members = value.values() if isinstance(value, dict) else [value]
        if all(isinstance(member, BaseModel) for member in members):
            inner = [leaf for member in members for leaf in leaves(member, None if value is not member else usual)]
            yield from inner
            if inner:
                yield type(group), key, None
        elif field.is_required() or value != usual:
            yield type(group), key, value


def key_of(model: type[BaseModel], key: str) -> tuple[str, str]:
    """Return a key by the model that declares it, so that what several models inherit is one key."""
    owner = next(parent for parent in model.__mro__ if key in parent.__annotations__)
    return _title(owner) if "system" in owner.__annotations__ and owner is model else owner.__name__, key


def run_keys() -> set[tuple[str, str]]:
    """Return the keys that the runs of this file and of the fixture `finished` set."""
    configs = load_config(every_key()), load_config(tiny_config())
    return {key_of(model, key) for config in configs for model, key, _ in leaves(config)}


# Files that no test has: `test_weights_that_are_given_reach_their_jobs`.
OF_WEIGHTS = {(model.__name__, key) for model in (Weights, WeightDigests) for key in model.model_fields}
OF_WEIGHTS |= {("Config", "weights"), ("Config", "weights_sha256")}


@pytest.fixture
def all_files(monkeypatch) -> None:
    """Let every file that a configuration names be there."""
    monkeypatch.setattr(Path, "is_file", lambda path: True)


@pytest.mark.usefixtures("all_files")
def test_every_documented_key_has_a_run():
    page = (ROOT / "docs/config.md").read_text().split("\n## ")[1:]
    rows = {section.split("\n")[0]: set(re.findall(r"^\| `(\w+)` \|", section, re.M)) for section in page}
    assert rows == {_title(model): {*model.model_fields} for model in models()}
    documented = {key_of(model, key) for model in models() for key in model.model_fields}
    left = documented - run_keys() - OF_WEIGHTS
    assert not left, f"add a run of {sorted(left)} to this test"


@pytest.mark.usefixtures("all_files")
@pytest.mark.parametrize("path", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_key_of_a_preset_has_a_run(path):
    given = load_config(yaml.safe_load(path.read_text()))
    assert {key_of(model, key) for model, key, _ in leaves(given)} <= run_keys() | OF_WEIGHTS


@pytest.mark.usefixtures("all_files")
def test_every_value_is_among_the_settings_of_a_job(everything):
    config = load_config(every_key())
    for name, member in [*config.sources.items(), *config.experiments.items()]:
        jobs = (everything.root / "results/records/jobs").rglob("*.json")
        records = [path for path in jobs if name in (*path.parts, path.stem)]
        known = {pair for path in records for pair in settings(json.loads(path.read_text())["settings"])}
        for model, key, value in leaves(member):
            made = model is not Crop or "crops" in config.needs_of(name)
            if value is not None and made and key not in OF_THE_START:
                assert (key, plain(value)) in known, f"{name}: {model.__name__}.{key} is in no job"


def plain(value: object) -> str:
    return json.dumps(json.loads(json.dumps(value)), sort_keys=True)


def settings(value: object) -> Iterator[tuple[str, str]]:
    """Yield every key of a record's settings, however deep, with its value."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key, plain(inner)
        yield from settings(inner)


def test_what_the_start_reads_has_its_effect(everything):
    results = everything.root / "results"
    assert read_table(results / "coco/objects/00000.parquet")["annotation"].tolist() == [1]


def test_weights_that_are_given_reach_their_jobs(everything):
    """Weights are not ours to bring, so each job is given a file that is none, and says so."""
    photos = {"type": "folder", "path": "photos", "subset": 0.5}
    weights = {key: f"{key}.bin" for key in Weights.model_fields}
    for file in weights.values():
        (everything.root / file).write_bytes(b"no weights")
    sources = {f"by_{name}": photos | {"faces": {"detector": name}} for name in ("yunet", "ssd")}
    digests = dict.fromkeys(WeightDigests.model_fields, hashlib.sha256(b"no weights").hexdigest())
    config = {"weights": weights, "weights_sha256": digests, "sources": sources}
    (everything.root / "weights.yaml").write_text(yaml.safe_dump(config))
    converted = [f"results/weights/{name}.safetensors" for name in ("alexnet", "vgg16", "vgg19")]
    targets = [*converted, *(f"results/{name}/landmarks/00000.parquet" for name in sources)]
    done = everything.run("--configfile", "weights.yaml", "--keep-going", "--", *targets)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said
    for file in ("alexnet.bin", "vgg16.bin", "vgg19.bin", "yunet.bin", r"ssd_\w+.bin"):
        assert re.search(rf"^error: .*{file}", said, re.M), file
