"""A project whose paths and names hold all that shells, templates, terminals and pages take for something else."""

import json
import os
import sys
import sysconfig
import venv
from pathlib import Path

import av
import cv2
import numpy as np
from projects import ROOT, Project, tiny_config

from workflow_scripts.provenance.runs import input_problem

SHELL = "$(touch PWNED) `touch PWNED`; touch PWNED & | touch PWNED > out 2>&1"
MARKUP = "<img id=hit src=x onerror=\"document.title='hit'\">"
HOME = f'it\'s a "clone" {SHELL} #1 50% [a]?*\nünï -x'  # the working directory
WORDS = (
    SHELL,
    'it\'s "quoted"',
    "{input} {0} {x!r} {{wildcards.source}}",
    "100% %s $HOME #1",
    "line\nbreak\r\x1b[31mred\x85\u2028",
    "--help",
    "*",
    "[a]? ~",
    "ünï日本",
    "$\\frac{$ _^",
    MARKUP,
    "\u202egnp.exe\u2066 bidi",
    "x" * 251,
)
CLIPS = ("a b", "a_b", "A_B", f"{WORDS[4]} $\\frac{{$", "x" * 251)
NOT_UTF8 = os.fsdecode(b"caf\xe9")
SEED = 3  # one by which each split gets some of the few pictures
# A network of one layer without weights, which reads its input and never finds a face.
PROTOTXT = """
input: "data"
input_dim: 1 input_dim: 3 input_dim: 300 input_dim: 300
layer { name: "pool" type: "Pooling" bottom: "data" top: "out"
  pooling_param { pool: AVE kernel_h: 300 kernel_w: 42 stride_h: 300 stride_w: 43 } }
"""


def portraits(astronaut: np.ndarray, count: int) -> list[np.ndarray]:
    """Return variants of one portrait, uint8 (140, 140, 3) BGR, that are no copies of each other."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        turn = cv2.getRotationMatrix2D((225, 120), float(rng.uniform(-15, 15)), float(rng.uniform(0.8, 1.1)))
        picture = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)[:300, 70:370]
        light = np.clip(picture * rng.uniform(0.7, 1.2, 3), 0, 255).astype(np.uint8)
        found.append(cv2.resize(light[..., ::-1], (140, 140)))
    return found


def write_png(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def write_clip(path: Path, picture: np.ndarray) -> None:
    with path.open("wb") as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=3)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
        for shift in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, shift, 1), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_coco(root: Path, pictures: list[np.ndarray]) -> dict:
    """Write a set whose names, categories and captions are `WORDS`, and return its source."""
    names = [f"{name}.png".replace("\\", "") for name in WORDS]  # in annotation files a backslash parts folders
    for name, picture in zip(names, pictures, strict=True):
        write_png(root / SHELL / name, picture)
    images = [{"id": n, "file_name": name, "width": 140, "height": 140} for n, name in enumerate(names)]
    shape = {"bbox": [1, 1, 9, 9], "segmentation": [[1, 1, 9, 1, 9, 9]], "area": 32, "iscrowd": 0}
    objects = [{"id": n, "image_id": n, "category_id": n} | shape for n in range(len(WORDS))]
    captions = [{"id": n, "image_id": n, "caption": name} for n, name in enumerate(WORDS)]
    categories = [{"id": n, "name": name} for n, name in enumerate(WORDS)]
    files = {"--input.json": {"categories": categories, "annotations": objects}}
    files[f"{SHELL}.json"] = {"annotations": captions}
    for name, values in files.items():
        (root / name).write_text(json.dumps({"images": images} | values))
    return {"type": "coco", "path": str(root), "set": SHELL, "annotations": list(files)}


def create_hostile(root: Path, astronaut: np.ndarray) -> Project:
    """Return a small project in a folder of `root`, with every kind of source that has names, and both families."""
    data = root / "data"
    pictures = portraits(astronaut, len(WORDS) + 1)
    photos = data / f"photos {{0}} {{input}} {SHELL}<" / f"script>{MARKUP}"  # the path has </script>
    for name, picture in zip([*WORDS, NOT_UTF8], pictures, strict=True):
        write_png(photos / SHELL / f"{name}.png", picture)
    clips = data / f"clips {SHELL}"
    clips.mkdir()
    for name in CLIPS:
        write_clip(clips / f"{name}.mp4", pictures[0])
    moustaches = data / f"moustaches {SHELL}"
    for name in WORDS:
        if input_problem(name) is None:
            moustache = np.zeros((40, 120, 4), np.uint8)
            cv2.ellipse(moustache, (60, 20), (50, 8), 0, 0, 360, (20, 40, 60, 255), -1)
            write_png(moustaches / f"{name}.png", moustache)
    weights = data / f"weights {SHELL}"
    weights.mkdir()
    (weights / "--help.prototxt").write_text(PROTOTXT)
    (weights / f"{SHELL}.caffemodel").touch()

    project = Project.create(root / HOME, astronaut, photos=False)
    config = tiny_config() | {"seed": SEED}
    unmask = config["experiments"]["unmask"]
    unmask["occluders"] = {"mix": {"moustache_picture": 1.0}, "pictures": str(moustaches), "fit": {"max_mouth": 1}}
    render = {"halvings": 5, "channels": 4, "max_channels": 8, "adversarial": 0, "perceptual": "none"}
    render["training"] = {"epochs": 1, "batch_size": 8, "preview_items": 1, "threads": 1}
    reenact = {"system": "reenact", "train": ["clips"], "test": ["clips"], "score_train": 0, "gallery": 2}
    config["experiments"]["reenact"] = reenact | {"render": render}
    frames = {"every": 1, "split_by": "time", "split": {"train": 0.3, "val": 0.4, "test": 0.3}}
    frames |= {"faces": {"detector": "dlib_hog", "pad_retry": 0}, "crop": {"size": 64, "frame": "head"}}
    split = {"train": 0.4, "val": 0.2, "test": 0.4}
    config["sources"] = {
        "photos": {"type": "folder", "path": str(photos), "split": split, "crop": {"size": 64}},
        "clips": {"type": "video", "path": str(clips)} | frames,
        "coco": write_coco(data / f"coco {SHELL}", pictures[:-1]),
        "ssd": {"type": "folder", "path": str(photos), "faces": {"detector": "ssd"}, "subset": 0.3},
    }
    config["weights"] = {
        "ssd_prototxt": str(weights / "--help.prototxt"),
        "ssd_caffemodel": str(weights / f"{SHELL}.caffemodel"),
    }
    project.configure(config)
    add_environment(project)
    return project


def add_environment(project: Project) -> None:
    """Give a project the Makefile and an environment in its own folder, which borrows the libraries of this one."""
    (project.root / "Makefile").write_text((ROOT / "Makefile").read_text())
    venv.create(project.root / ".venv", symlinks=True)
    below = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    (project.root / ".venv" / below / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    (project.root / ".venv/.ready").touch()
