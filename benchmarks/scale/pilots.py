"""A preset's own networks and keys on a little and on more of the embedded sample, to measure what an item takes.

Smaller than the preset are only the numbers of items, epochs, completions and seeds, by which the rates are divided.
"""

import shutil
from pathlib import Path

import yaml

from benchmarks.scale.plans import snakemake
from benchmarks.scale.sizes import Size

SPLIT = {"train": 0.6, "val": 0.2, "test": 0.2}
# Pilot -> type of a source -> what of the sample stands for it: enough for a batch or two of the larger pilot.
STAND_INS = {
    "small": {
        "celeba": {"type": "sample", "subset": 0.25},
        "coco": {"type": "sample_objects", "subset": 0.4},
        "video": {"type": "sample_video", "clip": "single_face.mp4", "split_by": "time"},
    },
    "large": {
        "celeba": {"type": "sample"},
        "coco": {"type": "sample_objects"},
        "video": {"type": "sample_video", "clip": "WolfgangLanger_Pexels.mp4", "split_by": "time"},
    },
}
KEPT = ("crop", "faces", "per_second", "every", "motion")  # keys of a source that its stand-in has too
# Pilot -> system -> keys of `evaluation`.
FEW = {
    "small": {"diverse": {"items": 1, "curve_items": 1, "samples": 2}, "objects": {"samples": 16, "points": 16}},
    "large": {"diverse": {"items": 2, "curve_items": 2, "samples": 2}, "objects": {"samples": 96, "points": 96}},
}
FRAMES = {"small": 10, "large": 60}  # of each shot of a video
# Of the sample's objects a batch or two can be made: more of them are seen in several epochs.
EPOCHS = {"small": {}, "large": {"objects": 4}}
STEPS = 2  # of a network that has `steps`
# What a finished run of the sample has already, below its results.
TAKEN = (
    *("sample/raw", "sample/raw_objects", "weights"),
    *(f"records/jobs/{job}" for job in ("fetch_sample.json", "draw_sample_objects.json", "fetch_weights")),
    *(f"benchmarks/{job}" for job in ("fetch_sample.tsv", "draw_sample_objects.tsv", "fetch_weights")),
)


def pilot_config(size: Size, pilot: str) -> dict:
    """Return the configuration of a pilot, `small` or `large`: one source, one seed, few epochs."""
    config = size.config()
    name, source = next(iter(config["sources"].items()))
    kept = {key: source[key] for key in KEPT if key in source}
    config["sources"] = {name: STAND_INS[pilot][source["type"]] | kept | {"split": SPLIT}}
    experiment = config["experiments"][size.experiment]
    experiment |= {"train": [name], "test": [name], "score_train": 2, "gallery": 2}
    if "seeds" in experiment:
        experiment["seeds"] = 1
    if source["type"] == "video":  # few of a clip's frames would be left, and as many of a short as of a long one
        experiment["squares"] = experiment["squares"] | {"motion": "unfiltered", "per_shot": FRAMES[pilot]}
    if few := FEW[pilot].get(experiment["system"]):
        experiment["evaluation"] = experiment.get("evaluation", {}) | few
    times = EPOCHS[pilot].get(experiment["system"], 1)
    for network in experiment.values():
        if isinstance(network, dict) and "training" in network:
            network["training"] |= {"epochs": times, "threads": 1}
            network |= {"steps": STEPS} if "steps" in network else {}
    return config


def run_pilots(size: Size, folder: Path, sample: Path) -> None:
    """Run both pilots, in folders below one.

    Args:
        size: what they stand for.
        folder: theirs; what is finished there is not made again.
        sample: results of a run from which the sample's files and the weights are taken, if it has them.
    """
    for pilot in STAND_INS:
        results = folder / pilot / "results"
        for name in TAKEN:
            if (sample / name).exists() and not (results / name).exists():
                (results / name).parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if (sample / name).is_dir() else shutil.copy)(sample / name, results / name)
        (folder / pilot).mkdir(parents=True, exist_ok=True)
        config = yaml.safe_dump(pilot_config(size, pilot))
        (folder / pilot / "config.yaml").write_text(config, encoding="utf-8")
        snakemake(folder / pilot, "--cores", "1")
        sample = results
