"""A configuration in which every documented key has another value than its default, and the files that it names."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from motion_scenes import render, write_davis
from PIL import Image
from projects import Project, edit_code
from source_files import NAMES, official_texts, write
from test_coco import Coco, annotation
from weights import random_faceres, write_tfjs

from workflow_scripts.models.lpips import AlexNet
from workflow_scripts.reporting.films import write_mp4
from workflow_scripts.stages.sources.fetch_weights import WEIGHTS

SIDE = 64  # pixels of all crops
ALEXNET = "alexnet.pth"
FACERES = "faceres.tgz"


def training(number: int, refused: tuple[str, ...] = ()) -> dict:
    """Return all keys of one training but those that its system refuses.

    Args:
        number: makes the values differ between networks.
        refused: keys that are left out.
    """
    keys = {
        "epochs": 1,
        "batch_size": 4 + 2 * number,
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
        "on_collapse": "warn" if number % 2 else "rewind",
        "preview_items": 1,
        "preview_every": 2,
        "preview_steps": 50 + number,
        "save_every": 100 + number,
        "threads": 1 if number else 2,
        "accumulate": 2,
        "deterministic": True,
        "compile": True,
        "device": "cpu",
    }
    return {key: value for key, value in keys.items() if key not in refused}


def unet(blocks: int, channels: int = 4) -> dict:
    """Return keys of a U-Net, so small that it trains in no time."""
    return {"blocks": blocks, "channels": channels, "max_channels": 2 * channels}


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


def motion(number: int) -> dict:
    """Return all keys of motion masks, of which `number` makes the values differ between sources."""
    keys = {"saliency": "classes", "longest": 100 + number, "superpixels": 40 + number, "shots": 10 + number}
    keys |= {"frames": 20 + number, "rounds": number, "kept": 0.1 + number / 100, "foreground": 50 + number}
    return keys | {"blobs": 0.4 + number / 100, "min_area": 0.1 + number / 1000, "max_area": 0.8 + number / 1000}


def every_source() -> dict:
    """Return sources of all types, all keys set; of those that exclude each other, each in one of two sources."""
    head = {"crop": {"size": SIDE, "frame": "head"}}
    thirds = {"split": {"train": 0.5, "val": 0.2, "test": 0.3}}
    moving = {"subset": 1.0, "needs": ["motion"]}  # of all frames, which follow each other closely
    return {
        "sample": shared(1, type="sample", subset=0.05),
        "driver": shared(2, type="sample_video", clip="single_face.mp4", per_second=1.0, split_by="time", **head),
        "celeba": shared(3, type="celeba", path="celeba", subset=0.999, terms={"licence": "ours", "consent": "all"}),
        "coco": shared(
            4, type="coco", path="coco", set="val2017", annotations=["own/objects.json"], needs=["objects", "captions"]
        ),
        "photos": shared(5, type="folder", path="photos", identity=r"^(portrait_\d)"),
        "clip": shared(6, type="video", path="films", per_second=5.0, split_by="time", **head, **thirds),
        "named": shared(
            7, type="video", path="films", every=2, block=4.0, identity="^(cl)", motion=motion(1), **moving
        ),
        "pairs": shared(8, type="pairs", clean="bare", occluded="worn", split={"train": 0, "val": 0.2, "test": 0.8}),
        "scenes": shared(9, type="sample_objects", subset=0.2),
        "captioned": shared(11, type="sample_captions", subset=0.3, **thirds),
        "sequences": shared(
            10, type="davis", path="davis", resolution="360p", set="480p/val", motion=motion(2), **moving
        ),
    }


def every_experiment() -> dict:
    """Return experiments of all systems, all keys set but those that the fixture `finished` sets."""
    objects, segmented = generation()
    return {
        "moustache": moustache(),
        "sampled": sampled(),
        "reenact": reenact(),
        "diverse": diverse(),
        "objects": objects,
        "segmented": segmented,
        "painted": painted(),
    }


def moustache() -> dict:
    fit = {"min_area": 0.0001, "max_area": 0.9, "min_mouth": 0.0, "max_mouth": 0.99, "max_eyes": 0.9}
    fit |= {"max_nostrils": 0.95, "min_face": 0.01, "max_outside": 0.97, "max_turn": 0.98}
    layers = unet(5) | {"convolutions": 1, "down": "strided_conv", "up": "bilinear", "norm": "instance"}
    layers |= {"plain_first": False, "dropout": [0.1], "squeeze_excitation": [1], "slope": 0.1, "atrous": True}
    return {
        "system": "moustache",
        "train": ["celeba"],
        "test": ["celeba"],
        "apply": ["pairs"],
        "score_train": 2,
        "occluders": {
            "mix": {"moustache_picture": 0.5, "mask_picture": 0.5},
            "front": {"scarf": 0.3},
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
            "unet": layers,
            "bare": 0.2,
            "degrade": dict.fromkeys(("grey", "tint", "expose", "blur", "reduce", "noise", "jpeg"), 0.3),
            "far": 0.1,
            "mirror": False,
            "dice": 0.5,
            "training": training(0),
        },
        "evaluation": {"features": "none", "recognition": "faceres", "min_images": 3},
        "edit": {
            "fill": "mean",
            "border": {"margin": 1, "feather": 1.5},
            "mirror": True,
            "residual": False,
            "sees_map": False,
            "generator": {"halvings": 3, "channels": 4, "max_channels": 8, "up": "transposed_conv", "dropout": 0.1},
            "discriminator_channels": 4,
            "perceptual": "none",
            "losses": {"l1": 90.0, "adversarial": 0.9, "perceptual": 9.0, "hole": 5.0},
            "training": training(1),
        },
    }


def sampled() -> dict:
    """Return an experiment of an editor that samples, with the keys that no other editor uses."""
    once = {"epochs": 1, "batch_size": 4}
    return {
        "system": "unmask",
        "train": ["celeba"],
        "test": ["celeba"],
        "score_train": 0,
        "map": {"unet": unet(3), "training": once},
        "edit": {
            "unet": unet(3) | {"squeeze_excitation": []},
            "perceptual": "none",
            "losses": {"whole": 0, "mask": 0},
            "sampling": {"mean": unet(3), "detail": unet(3), "unet": {"channels": [8, 8]}, "perceptual": "none"},
            "training": once,
        },
        "evaluation": {"features": "none", "samples": 3, "diversity": 0.5},
    }


def reenact() -> dict:
    return {
        "system": "reenact",
        "train": ["clip"],
        "test": ["clip"],
        "apply": ["driver"],
        "score_train": 1,
        "drawing": {"gaze": False, "normalize": "similarity", "turn_beyond": 2.0},
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
            "references": 2,
            "l1": 80.0,
            "adversarial": 0.2,
            "perceptual": "none",
            "perceptual_weight": 1.0,
            "training": training(2),
        },
    }


def diverse() -> dict:
    """Return an experiment with all networks that complete faces."""
    still = ("move", "enlarge")  # the landmarks of a face would not move with it
    losses = ("adversarial", "kl", "reconstruction", "context", "coarse", "latent", "penalty")
    de_losses = ("image", "part", "mask", "landmarks", "prior", "patch", "whole", "kl", "style")
    return {
        "system": "diverse",
        "train": ["celeba"],
        "test": ["celeba"],
        "score_train": 1,
        "size": SIDE,
        "holes": {
            "mix": {"parts": 0.5, "box": 0.5},
            "parts": ["nose", "mouth"],
            "margin": 0.1,
            "box": 0.4,
            "classes": ["parts"],
            "variants": 3,
            "given": "holes",
        },
        "keypoints": {"unet": unet(3), "training": training(3, still)},
        "flow": {
            "mean": unet(3),
            "unet": {"channels": [8, 16], "blocks": 1, "attention": False, "dropout": 0.1},
            "cell": 2,
            "detail": unet(3),
            "perceptual": "efficientnet_lite0",
            "perceptual_weight": 0.5,
            "steps": 2,
            "guidance": 2.0,
            "drop_keypoints": 0.3,
            "training": training(4, still),
        },
        "regression": {"unet": unet(5, 5), "training": training(5, still)},
        "pii": {
            "side": SIDE,
            "channels": 6,
            "latent": 8,
            "extractor_channels": 4,
            "critic_channels": 5,
            "critic_steps": 2,
            "guided": False,
            "losses": {name: 0.5 + number / 100 for number, name in enumerate(losses)},
            "training": training(6, still),
        },
        "de": {
            "side": SIDE,
            "channels": 7,
            "latent": 32,
            "style": 16,
            "up": "transposed_conv",
            "extractor_channels": 6,
            "critic_channels": 8,
            "guided": False,
            "losses": {name: 0.7 + number / 100 for number, name in enumerate(de_losses)},
            "training": training(7, still),
        },
        "evaluation": {
            "items": 1,
            "samples": 2,
            "knobs": [0.5],
            "curve_items": 2,
            "moves": ["smile"],
            "distance": "lpips_alex",
            "features": "none",
            "min_images": 3,
        },
    }


def generation() -> tuple[dict, dict]:
    """Return two experiments of `objects`: in one no network finds objects, of the other that network is trained."""
    pictures = ("move", "enlarge", "jitter")  # a generator would learn the changed pictures
    used = {"system": "objects", "train": ["scenes"], "test": ["scenes"], "score_train": 2}
    evaluation = {"samples": 8, "splits": 2, "features": [], "points": 5, "neighbours": 2, "segmentation": False}
    squares = {"size": 32, "unit": "object", "min_area": 0.05, "area_of": "object", "fit": "letterbox", "margin": 0.2}
    squares |= {"crowds": False, "background": "grey", "categories": ["cat", "cup", "coin", "person", "rocket"]}
    squares |= {"motion": "unfiltered", "per_shot": 7}
    objects = used | {
        "channels": [3],
        "seeds": 2,
        "squares": squares,
        "gan": {
            "architecture": "dcgan",
            "latent": 8,
            "channels": 4,
            "loss": "hinge",
            "gradient_penalty": 5.0,
            "spectral_norm": True,
            "discriminator_steps": 1,
            "labels": True,
            "splitting": {"every": 1, "min_items": 4, "max_classes": 6},
            "class_weight": 0.9,
            "generator_class_weight": 0.2,
            "training": training(8, pictures),
        },
        "evaluation": evaluation | {"min_images": 4},
    }
    segmented = used | {"squares": {"size": 32}, "segment": {"unet": unet(3), "training": training(9)}}
    return objects, segmented


def painted() -> dict:
    """Return an experiment of adapters on a text-to-picture model."""
    pictures = ("flip", "move", "enlarge", "jitter")  # latents cannot be changed so
    return {
        "system": "paintings",
        "train": ["captioned"],
        "test": ["captioned"],
        "score_train": 3,
        "pictures": {"size": 32, "fit": "letterbox", "flips": True, "captions": 2},
        "memory": {"ram_gb": 20.0, "device_gb": 20.0},
        "adapters": {
            "rank": 2,
            "alpha": 3.0,
            "targets": ["to_q"],
            "frozen": "bf16",
            "checkpointing": False,
            "predicts": "v_prediction",
            "min_snr": 5.0,
            "caption_dropout": 0.2,
            "training": training(10, pictures),
        },
        "generation": {"prompts": ["a {red} house"], "seeds": [5], "steps": 2, "guidance": 2.0},
        "evaluation": {"features": [], "min_images": 3},
    }


def every_key() -> dict:
    return {
        "seed": 7,
        "shard_size": 160,  # of the scenes, which are 160, there is one shard
        "sources": every_source(),
        "experiments": every_experiment(),
        "weights": {"alexnet": ALEXNET, "faceres": FACERES},
    }


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
    (root / "holes").mkdir()
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), 22)).save(root / "holes/square.png")
    write_davis(root / "davis", {"static": render("static", frames=10)})
    for folder in ("JPEGImages", "Annotations"):
        (root / "davis" / folder / "480p").rename(root / "davis" / folder / "360p")
    (root / "davis/ImageSets/480p/val.txt").write_text("static\n")
    names = ["astronaut.png", *NAMES, "clip.mp4#000000", photos[0].name, Coco().names[0], "single_face.mp4#000000"]
    names += ["001.png", "static/00000.jpg", "blue_brick_00.png"]
    rows = [[name, 55, 35, 145, 125] for name in names] + [[f"bare/{name}", 127, 117, 173, 163] for name in NAMES]
    boxes = pd.DataFrame(rows, columns=["item", "x1", "y1", "x2", "y2"])
    boxes.to_csv(root / "faces.csv", index=False)


def write_weights(project: Project) -> None:
    """Write random weights of two networks and pin them in this project; no test has the published ones."""
    torch.manual_seed(0)
    torch.save(AlexNet().state_dict(), project.root / ALEXNET)
    write_tfjs(project.root / FACERES, "package/models/faceres", random_faceres())
    for name, file in (("alexnet", ALEXNET), ("faceres", FACERES)):
        made = hashlib.sha256((project.root / file).read_bytes()).hexdigest()
        edit_code("stages/sources/fetch_weights.py", WEIGHTS[name].sha256, made)(project)
