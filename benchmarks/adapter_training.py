"""Adapters on a base model of the size of Stable Diffusion 1.5: memory and speed of our own training, predicted and taken.

    python -m benchmarks.adapter_training --work FOLDER [--narrower 1] [--size 512] [--steps 24] [--limit-gb 8]

The base model has random weights of the right shapes and the pictures are drawn clouds, as neither memory nor speed depends
on what they are. Base model and pictures are made, described and encoded by the stages of the workflow, and `train_network`
runs with its own command line, each training in a process of its own: once on latents and embeddings, once on pictures
and words, with the encoders in memory. On a GPU a training gets no more of its memory than `--limit-gb`.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.config.sources import FolderSource
from workflow_scripts.core.files import read_json
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import CAPTIONS, INDEX, TRAINING, read_table, write_table
from workflow_scripts.systems._text_to_image import tiny
from workflow_scripts.systems._text_to_image.base_model import TYPES
from workflow_scripts.systems.paintings.config import Experiment
from workflow_scripts.systems.paintings.memory import CONTEXT

STAGES = "workflow_scripts.stages"
PICTURES = 32
SETTLED = 5  # steps before those whose time counts: a GPU launches the first ones and records the next
RANK = 8


def main() -> None:
    """Make everything, train twice, and print what was predicted and taken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--narrower", type=int, default=1, choices=(1, 2, 4, 8), help="times fewer channels")
    parser.add_argument("--size", type=int, default=512, help="pixels")
    parser.add_argument("--batch", type=int, default=4, help="items of a step")
    parser.add_argument("--accumulate", type=int, default=4, help="parts of a batch")
    parser.add_argument("--frozen", choices=[*TYPES], default="bf16")
    parser.add_argument("--encoders", choices=[*TYPES], default="fp32", help="type of those in memory; stages use fp32")
    parser.add_argument("--steps", type=int, default=24, help="of each training")
    parser.add_argument("--limit-gb", type=float, default=8, help="of a GPU")
    parser.add_argument("--training", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.training:
        train(args, args.training)
    else:
        compare(args)


def compare(args: argparse.Namespace) -> None:
    """Make the model and the pictures, encode them, and train with the cache and without."""
    args.work.mkdir(parents=True)
    os.chdir(args.work)
    gpus = int(torch.cuda.is_available())
    started = time.perf_counter()

    def said(what: str) -> None:
        print(f"[{time.perf_counter() - started:4.0f} s] {what}", flush=True)

    from benchmarks.base_shapes import make_base

    make_base(Path("base"), args.narrower, torch.device("cuda" if gpus else "cpu"))
    if gpus:
        torch.cuda.empty_cache()
        said(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    experiment = experiment_of(args)
    base = Path(f"results/weights/{experiment.base.name}.safetensors")
    wait(stage("text_to_image.describe_base", base=experiment.base.canonical(), output=base))
    said("the base model is made and described")
    draw_pictures(args.size)
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
    report(args, found, read_json(Path("predicted.json"))["train_network"], gpus)
    shutil.rmtree("base")


def experiment_of(args: argparse.Namespace) -> Experiment:
    """Return the experiment that is trained, in the folder of the work."""
    loop = {"batch_size": args.batch, "accumulate": args.accumulate, "preview_items": 0}
    loop["epochs"] = -(-args.steps // (PICTURES // args.batch))
    return Experiment(
        system="paintings",
        base={"path": "base"},
        pictures={"size": args.size},
        adapters={"rank": RANK, "frozen": args.frozen, "training": loop},
    )


def draw_pictures(size: int) -> None:
    """Write clouds as PNG files and the tables that the encoders read."""
    import cv2

    rng, rows = item_rng(0, "adapter training", "pictures"), []
    Path("pictures").mkdir()
    Path("results/drawn").mkdir(parents=True)
    for number, cloud in enumerate(F.interpolate(tiny.draw_clouds(rng, PICTURES), size=(size, size), mode="bicubic")):
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


def stage(name: str, **options) -> subprocess.Popen:
    """Start a stage by its command line."""
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    return start([f"{STAGES}.{name}", *words])


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
    own = [word for key in ("encoders", "limit_gb") for word in (f"--{key.replace('_', '-')}", str(getattr(args, key)))]
    command = ["benchmarks.adapter_training", "--work", name, *own, "--training", "--shards", *map(str, shards), *words]
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


def train(args: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Run `train_network`, and write its peaks and the times of its steps to `{work}.json`."""
    from workflow_scripts.stages.experiments import train_network
    from workflow_scripts.systems.paintings import training

    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (args.limit_gb * 1e9 - CONTEXT) / whole))
    system, times = timed(args, training.AdapterTraining), []

    def build_system(network: str, experiment: Experiment, weights: dict[str, Path]):
        built = system(experiment, weights[experiment.base.name])
        built.times = times
        return built

    training.build_system = build_system
    libraries = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    train_network.main(list(arguments))
    found = {"libraries": libraries, "ram": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "times": times}
    if torch.cuda.is_available():
        found |= {"device": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
    Path(f"{args.work}.json").write_text(json.dumps(found))


def timed(args: argparse.Namespace, usual: type) -> type:
    """Return the system that trains: the usual one, or one that has the encoders in memory; it notes when steps begin."""

    class Timed(usual):
        def course(self, step: int, progress: float) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    class NotCached(Timed):
        columns = {"image": "latents", "embeddings": "captions"}  # noqa: RUF012

        def __init__(self, experiment: Experiment, description: Path):
            from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
            from transformers import CLIPTextModel, CLIPTokenizer

            super().__init__(experiment, description)
            folder, kind = Path(experiment.base.folder), {"torch_dtype": TYPES[args.encoders]}
            self._vae = AutoencoderKL.from_pretrained(folder / "vae", **kind).requires_grad_(False).eval()
            self._text = CLIPTextModel.from_pretrained(folder / "text_encoder", **kind).requires_grad_(False).eval()
            self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
            self._words = read_table("results/drawn/captions.parquet").set_index("item")["caption"]

        def to(self, device: torch.device, layout: torch.memory_format) -> None:
            super().to(device, layout)
            self._vae.to(device=device, memory_format=layout)
            self._text.to(device)

        def to_tensors(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"image": columns["image"].permute(0, 3, 1, 2).float() / 127.5 - 1}

        def augment(self, batch: dict[str, Tensor], keys: Sequence, *_) -> dict[str, Tensor]:
            words = [self._words[key.item] for key in keys]
            padded = {"padding": "max_length", "max_length": self._tokenizer.model_max_length, "truncation": True}
            tokens = self._tokenizer(words, **padded, return_tensors="pt").input_ids
            return batch | {"tokens": tokens.to(batch["image"].device)}

        def training_step(self, batch: dict[str, Tensor], course: None) -> Iterator:
            with torch.no_grad():
                found = self._vae.encode(batch["image"].to(self._vae.dtype)).latent_dist
                words = self._text(batch["tokens"])[0][:, None].float()
            latents = {"mean": found.mean.float(), "deviation": found.std.float()}
            yield from super().training_step(latents | {"embeddings": words}, course)

    return Timed if args.work.name == "cached" else NotCached


def report(args: argparse.Namespace, found: dict[str, dict], predicted: dict[str, int], gpus: int) -> None:
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
    ram, device = predicted["ram"] / 1e9, predicted["device"] / 1e9
    print(f"predicted, cached: RAM {ram:.2f} GB" + (f"; device {device:.3f} GB" if gpus else ""))
    key = "device" if gpus else "ram"
    print(f"ratio of {key}: {found['cached'][key] / found['not_cached'][key]:.2f}")


if __name__ == "__main__":
    main()
