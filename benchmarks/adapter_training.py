"""Adapters on a base model of the size of Stable Diffusion 1.5: memory, predicted and taken, and speed of a training.

    python -m benchmarks.adapter_training --work FOLDER [--narrower 1] [--size 512] [--steps 24] [--limit-gb 8]

The base model has random weights of the right shapes, and the pictures are drawn clouds: neither memory nor speed
depends on what they are. Base model and pictures are described and encoded by the stages of the workflow. Then
`train_network` runs by its own command line, each training in a process of its own (`timed_training.py`): once on
latents and embeddings, once on pictures and words, with the encoders in memory. Last, a picture is generated and items
are scored. On a GPU a training gets no more of its memory than `--limit-gb`.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F

from benchmarks.base_shapes import make_base
from workflow_scripts.config.sources import FolderSource
from workflow_scripts.core.files import read_json
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import CAPTIONS, INDEX, SPLITS, TRAINING, write_table
from workflow_scripts.systems._text_to_image import tiny
from workflow_scripts.systems._text_to_image.base_model import TYPES
from workflow_scripts.systems.paintings.config import Experiment
from workflow_scripts.systems.paintings.memory import SCORED

STAGES = "workflow_scripts.stages"
SETTLED = 5  # steps before those whose time counts: a GPU launches the first ones and records the next
RANK = 8


def main() -> None:
    """Make the model and the pictures, encode them, train with the cache and without, and print what was taken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--narrower", type=int, default=1, choices=(1, 2, 4, 8), help="times fewer channels")
    parser.add_argument("--size", type=int, default=512, help="pixels")
    parser.add_argument("--pictures", type=int, default=32, help="to learn from")
    parser.add_argument("--batch", type=int, default=4, help="items of a step")
    parser.add_argument("--accumulate", type=int, default=4, help="parts of a batch")
    parser.add_argument("--frozen", choices=[*TYPES], default="bf16")
    parser.add_argument("--encoders", choices=[*TYPES], default="fp32", help="type of those in memory; stages use fp32")
    parser.add_argument("--steps", type=int, default=24, help="of each training")
    parser.add_argument("--limit-gb", type=float, default=8, help="of a GPU")
    args = parser.parse_args()
    args.work.mkdir(parents=True)
    os.chdir(args.work)
    gpus = int(torch.cuda.is_available())
    started = time.perf_counter()

    def said(what: str) -> None:
        print(f"[{time.perf_counter() - started:4.0f} s] {what}", flush=True)

    make_base(Path("base"), args.narrower, torch.device("cuda" if gpus else "cpu"))
    if gpus:
        torch.cuda.empty_cache()
        said(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    experiment = experiment_of(args)
    base = Path(f"results/weights/{experiment.base.name}.safetensors")
    wait(stage("text_to_image.describe_base", base=experiment.base.canonical(), output=base))
    said("the base model is made and described")
    draw_pictures(args.size, args.pictures)
    source = FolderSource(type="folder", path="pictures")
    pictures = {"pictures": experiment.pictures.canonical(), "base": base, "threads": 1, "gpus": gpus}
    tables = {name: f"results/drawn/{name}" for name in ("index.parquet", "fingerprints.arrow", "captions.parquet")}
    index, fingerprints, captions = tables.values()
    encoded = {kind: Path(f"results/mine/{kind}/drawn/00000.arrow") for kind in ("latents", "captions")}
    for path in encoded.values():
        path.parent.mkdir(parents=True)
    wait(
        stage(
            "text_to_image.predict_memory",
            experiment=experiment.canonical(),
            base=base,
            gpus=gpus,
            output="predicted.json",
        ),
        stage(
            "text_to_image.encode_images",
            **pictures,
            source=source.canonical(),
            index=index,
            fingerprints=fingerprints,
            captions=captions,
            output=encoded["latents"],
            quarantine="results/mine/quarantine.parquet",
        ),
        stage("text_to_image.encode_captions", **pictures, captions=captions, output=encoded["captions"]),
    )
    said("pictures and captions are encoded")
    found = {}
    for name in ("cached", "not_cached"):
        found[name] = run_training(args, name, experiment, base, [*encoded.values()], gpus)
        said(f"trained, {name.replace('_', ' ')}")
    trained = {"checkpoint": "results/mine/cached/adapters.safetensors", "base": base, "threads": 1, "gpus": gpus}
    wait(
        stage(
            "text_to_image.generate_pictures",
            **trained,
            generation=experiment.generation.canonical(),
            evaluation=experiment.evaluation.canonical(),
            training="results/mine/training.parquet",
            splits="results/mine/splits.parquet",
            latents=encoded["latents"],
            output="results/mine/samples.arrow",
            held_out="results/mine/held_out.arrow",
            pictures="generated",
        ),
        stage(
            "text_to_image.score_captions",
            **trained,
            source="drawn",
            splits="results/mine/splits.parquet",
            latents=encoded["latents"],
            captions=encoded["captions"],
            output="results/mine/metrics.parquet",
        ),
    )
    said("a picture is generated and items are scored")
    report(args, found, read_json(Path("predicted.json")), gpus)
    shutil.rmtree("base")


def experiment_of(args: argparse.Namespace) -> Experiment:
    """Return the experiment that is trained, in the folder of the work."""
    loop = {"batch_size": args.batch, "accumulate": args.accumulate, "preview_items": 0}
    loop["epochs"] = -(-args.steps // (args.pictures // args.batch))
    return Experiment(
        system="paintings",
        base={"path": "base"},
        pictures={"size": args.size},
        adapters={"rank": RANK, "frozen": args.frozen, "training": loop},
        generation={"prompts": ["clouds"], "seeds": [0], "steps": 5},
    )


def draw_pictures(size: int, count: int) -> None:
    """Write clouds as PNG files and the tables that the encoders read."""
    import cv2

    rng, rows = item_rng(0, "adapter training", "pictures"), []
    Path("pictures").mkdir()
    Path("results/drawn").mkdir(parents=True)
    for number, cloud in enumerate(F.interpolate(tiny.draw_clouds(rng, count), size=(size, size), mode="bicubic")):
        name = f"{number:05d}.png"
        cv2.imwrite(f"pictures/{name}", ((cloud + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).numpy())
        rows.append({"item": name, "file": name, "kind": "picture", "width": size, "height": size, "split": "train"})
    items = [row["item"] for row in rows]
    write_table("results/drawn/index.parquet", rows, INDEX)
    captions = [{"item": item, "annotation": 0, "caption": f"clouds of the picture {item}"} for item in items]
    write_table("results/drawn/captions.parquet", captions, CAPTIONS)
    prints = ({"item": item, "fingerprint": np.zeros(4, np.uint64)} for item in items)
    write_shard("results/drawn/fingerprints.arrow", prints, {"item": pa.string(), "fingerprint": (np.uint64, (4,))})
    Path("results/mine").mkdir()
    train = [{"source": "drawn", "item": item, "split": "train"} for item in items]
    write_table("results/mine/training.parquet", train, TRAINING)
    scored = [row | {"seen": True, "scored": number < SCORED} for number, row in enumerate(train)]
    write_table("results/mine/splits.parquet", scored, SPLITS)


def stage(name: str, **options) -> subprocess.Popen:
    """Start a stage by its command line; its record is `{name}.json`."""
    options["record"] = record_of(name.rpartition(".")[2])
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    return start([f"{STAGES}.{name}", *words])


def record_of(stage_name: str) -> Path:
    """Return where the record of a stage goes."""
    return Path(f"results/records/jobs/{stage_name}.json")


def start(command: Sequence[str]) -> subprocess.Popen:
    """Start a module; GPUs are shared, as the processes that run at once are known."""
    root = Path(__file__).parent.parent
    environment = os.environ | {"FACE_WORKFLOW_GPU_SHARED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen([sys.executable, "-m", *command], env=environment)


def wait(*running: subprocess.Popen) -> None:
    """Wait for processes, and end with the first that has failed."""
    for process in running:
        if process.wait():
            sys.exit(f"{' '.join(process.args[2:4])} ended with {process.returncode}")


def run_training(
    args: argparse.Namespace, name: str, experiment: Experiment, base: Path, shards: Sequence[Path], gpus: int
) -> dict:
    """Train in a process of its own, and return what it measured, and what the driver says it held of the GPU."""
    folder = Path(f"results/mine/{name}")
    folder.mkdir()
    options = {
        "experiment": experiment.canonical(),
        "network": "adapters",
        "seed": 0,
        "splits": "results/mine/training.parquet",
        "output": folder / "adapters.safetensors",
        "sidecar": folder / "adapters.json",
        "curves": folder / "curves.parquet",
        "previews": folder / "previews",
        "resume": folder / "resume",
        "live": folder / "live",
        "code": "benchmark:0",
        "weights": base,
        "gpus": gpus,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    own = [f"{name}.json", "--limit-gb", str(args.limit_gb)]
    if name == "not_cached":
        own += ["--words", "results/drawn/captions.parquet", "--encoders", args.encoders]
    command = ["benchmarks.timed_training", *own, "--training", "--shards", *map(str, shards), *words]
    process, held = start(command), 0
    while process.poll() is None:
        time.sleep(0.5)
        held = max(held, held_by(process.pid)) if gpus else 0
    wait(process)
    return read_json(Path(f"{name}.json")) | {"held": held}


def held_by(process: int) -> int:
    """Return the bytes of GPUs that the driver says a process has; 0 where it does not say."""
    asked = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    found = re.search(rf"^{process}, (\d+)$", said, re.M)
    return int(found[1]) * 2**20 if found else 0


def report(args: argparse.Namespace, found: dict[str, dict], predicted: dict[str, dict], gpus: int) -> None:
    """Print peaks, speed, what was predicted, and the ratio of both trainings."""
    print(f"{args.size} px, batch {args.batch} in {args.accumulate} parts, rank {RANK}, base {args.frozen}")
    for name, one in found.items():
        steps = [after - before for before, after in zip(one["times"], one["times"][1:], strict=False)]
        own = statistics.median(steps[SETTLED:] or steps)
        print(f"{name.replace('_', ' ')}: {1 / own:.2f} steps/s; RAM {one['ram'] / 1e9:.2f} GB", end="")
        print(f", of which before the training {one['libraries'] / 1e9:.2f}", end="")
        if gpus:
            print(
                f"; device {one['device'] / 1e9:.3f} GB of tensors, {one['reserved'] / 1e9:.2f} reserved, "
                f"{one['held'] / 1e9:.2f} by the driver",
                end="",
            )
        print()
    taken = {name: read_json(path)["memory"] for name in predicted if (path := record_of(name)).exists()}
    for name, one in (taken | {"train_network": found["cached"]}).items():
        for kind in ("ram", "device") if gpus else ("ram",):
            print(f"{name}, {kind}: predicted {predicted[name][kind] / 1e9:.3f} GB, taken {one[kind] / 1e9:.3f}")
    key = "device" if gpus else "ram"
    print(f"ratio of {key}: {found['cached'][key] / found['not_cached'][key]:.2f}")


if __name__ == "__main__":
    main()
