"""What a job takes for each thing that it works on, measured in a finished run."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from benchmarks.resources import taken
from benchmarks.scale.plans import Job
from benchmarks.scale.sizes import Size
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.load import Config, load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import files_in
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, read_tables
from workflow_scripts.provenance.records import JOBS, read_records

SPLITS = ("train", "val", "test")
# What the time of a rule's jobs grows with. `passes`: training items, over all epochs; `steps`: completions, times the
# steps of the network that makes them; `once`: with nothing.
UNITS = {
    "items": (
        *("index_source", "merge_index", "fingerprint_pictures", "collect_quarantine", "find_landmarks", "crop_faces"),
        *("check_landmarks", "split_annotations", "read_objects", "collect_rejected_annotations", "segment_motion"),
        *("summarize_source", "assign_splits", "make_objects", "read_captions", "encode_images", "encode_captions"),
    ),
    "rows": ("make_pairs", "predict_maps", "make_holes", "score_objects"),
    "scored": (
        *("edit_faces", "score_outputs", "predict_keypoints", "score_keypoints", "merge_scores", "summarize_scores"),
        *("score_captions",),
    ),
    "completions": ("paste_nearest", "score_completions"),
    "steps": ("complete_faces",),
    "samples": ("sample_objects",),
    "passes": ("train_network",),
    "once": (
        *("fetch_sample", "draw_sample_objects", "draw_sample_captions", "fetch_weights", "draw_figures"),
        *("tabulate_runs", "write_overview", "make_tiny_base", "describe_base", "predict_memory", "export_adapters"),
        *("generate_pictures", "tabulate_memory", "write_model_card"),
    ),
}
UNIT_OF = {rule: unit for unit, rules in UNITS.items() for rule in rules}
NOISE = 0.05  # seconds by which a job differs from itself
Key = tuple[str, str]  # a rule, and the network, method or file that its job is for


@dataclass(frozen=True)
class Work:
    """How much an experiment works on.

    Attributes:
        items: of its sources, by their index.
        rows: of its items' shards (pairs, holes, squares), in all splits.
        train_rows: those of the training items.
        scored: items with scores.
    """

    items: float
    rows: float
    train_rows: float
    scored: float

    def units(self, rule: str, network: str, chosen: BaseExperiment) -> float:
        """Return how many units the jobs of a rule work on, together, for one network or method."""
        unit = UNIT_OF[rule]
        if unit in ("items", "rows", "scored"):
            return getattr(self, unit)
        if unit == "passes":
            training = chosen.settings_of(network).training
            batches = max(1, self.train_rows // training.batch_size)
            return min(self.train_rows, batches * training.batch_size) * training.epochs
        if unit in ("completions", "steps"):
            settings = chosen.settings_of(network) if unit == "steps" else None
            return self.scored * chosen.evaluation.samples * getattr(settings, "steps", 1)
        return chosen.evaluation.samples if unit == "samples" else 1


@dataclass(frozen=True)
class Rate:
    """What the jobs of one rule, for one network or method, take.

    Attributes:
        start: seconds of a job, whatever it works on.
        seconds: of each unit beside that.
        bytes: of results, of each unit; of a training those of the network, since they do not grow with the items.
        files: that say so.
    """

    start: float
    seconds: float
    bytes: float
    files: tuple[str, ...]


@dataclass(frozen=True)
class Jobs:
    """Jobs that ran: how many, on how many units, in how many seconds together, and the bytes of their results."""

    count: int
    units: float
    seconds: float
    bytes: float
    files: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A finished run of one experiment.

    Attributes:
        rows_of: rows of an item's shards for each item of a split.
        jobs: by rule, and network or method.
    """

    rows_of: dict[str, float]
    jobs: dict[Key, Jobs]


def key_of(job: Job) -> Key:
    """Return by what the rate of a planned job is known; networks that differ in their seeds have one."""
    others = (value for name, value in job.wildcards.items() if name not in ("experiment", "source", "shard"))
    return job.rule, _unnumbered("/".join(others))


def _unnumbered(network: str) -> str:
    return re.sub(r"^(rgb|masked)\d+$", r"\g<1>1", network)


def read_run(project: Path) -> Run:
    """Return what the jobs of a finished run took, in processor time. Its `config.yaml` has one experiment."""
    config = load_config(yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8")))
    ((name, chosen),) = config.experiments.items()
    results = project / "results"
    splits = read_table(results / name / "splits.parquet")
    shards = [Shard(path) for path in sorted((results / name / chosen.item_kind).rglob("*.arrow"))]
    split_of = dict(zip(splits["item"], splits["split"], strict=True))
    rows = {split: sum(split_of.get(item) == split for shard in shards for item in shard.items) for split in SPLITS}
    metrics = read_table(results / name / "metrics.parquet", ["source", "item"])
    work = Work(
        items=len(read_tables([results / source / "index.parquet" for source in config.sources], ["item"])),
        rows=sum(map(len, shards)),
        train_rows=rows["train"],
        scored=len(metrics.drop_duplicates()),
    )
    items = splits["split"].value_counts()
    return Run({split: rows[split] / max(1, items.get(split, 0)) for split in SPLITS}, _jobs_of(results, config, work))


def _jobs_of(results: Path, config: Config, work: Work) -> dict[Key, Jobs]:
    ((name, chosen),) = config.experiments.items()
    names, jobs = {name, *config.sources}, taken(results)
    records = {"/".join([record.stage, *record.wildcards]): record for record in read_records(results)}
    jobs["network"] = [
        _unnumbered("/".join(part for part in job.split("/") if part not in names and not part.isdecimal()))
        for job in jobs["job"]
    ]
    found = {}
    for (rule, network), group in jobs.groupby(["rule", "network"]):
        made = ["/".join(filter(None, [rule, job])) for job in group["job"]]
        size = sum(size for job in made for _, size in records[job].outputs.values())
        if rule == "train_network":
            size += sum(path.stat().st_size for path in files_in(results / name / "resume" / network))
        seconds = sum(records[job].processor for job in made)
        if math.isnan(seconds):
            raise UserError(f"{results}: {made[0]} is of a version without processor times; delete the folder")
        files = tuple(str(results / f"{JOBS}/{job}.json") for job in made)
        found[rule, network] = Jobs(len(group), work.units(rule, network, chosen), seconds, size, files)
    return found


def rates_of(small: Run, large: Run) -> dict[Key, Rate]:
    """Return the rates by which the jobs of two runs differ: the line through their two points."""
    rates = {}
    for key in small.jobs.keys() & large.jobs.keys():
        less, more = small.jobs[key], large.jobs[key]
        own = more.seconds / more.count
        grown, more_units = own - less.seconds / less.count, more.units / more.count - less.units / less.count
        if UNIT_OF[key[0]] == "once":
            seconds = 0.0
        elif more_units > 0:  # a difference below the noise counts as the noise
            seconds = max(grown, NOISE) / more_units
        else:  # no line can be drawn: all of the time is that of the units
            seconds = more.seconds / more.units
        start = max(0.0, own - seconds * more.units / more.count)
        share = more.bytes / (more.count if UNIT_OF[key[0]] == "passes" else more.units)
        rates[key] = Rate(start, seconds, share, less.files + more.files)
    return rates


def trained_on_gpu(rates: Mapping[Key, Rate], steps: Mapping[str, Mapping[str, float]]) -> dict[Key, Rate]:
    """Return the rates with those of trainings on a GPU.

    Args:
        rates: as of `rates_of`.
        steps: network -> `batch` and `seconds` of a step, as `benchmarks.step_rates` writes them.
    """
    timed = {("train_network", network): one["seconds"] / one["batch"] for network, one in steps.items()}
    return {key: replace(rate, seconds=timed[key]) if key in timed else rate for key, rate in rates.items()}


def full_work(size: Size, rows_of: Mapping[str, float], items: Mapping[str, int]) -> Work:
    """Return what an experiment works on at full size.

    Args:
        size: whose configuration says how items are divided, and how many are scored.
        rows_of: as of `Run`.
        items: of each source.
    """
    config = load_config(size.config())
    chosen = config.experiments[size.experiment]
    rows, scored, trained = dict.fromkeys(SPLITS, 0.0), 0.0, 0.0
    for name, count in items.items():
        source = config.sources[name]
        split, of_item = source.split, rows_of
        if hasattr(source, "motion"):  # a video is taken to be one shot
            of_item = dict.fromkeys(SPLITS, chosen.squares.per_shot * size.files[name] / count)
        for part in SPLITS:
            rows[part] += count * getattr(split, part) * of_item[part]
        scored += count * split.test * min(1, of_item["test"]) if name in chosen.test else 0
        trained += count * split.train if name in chosen.train else 0
    most = getattr(getattr(chosen, "evaluation", None), "items", None) or scored
    return Work(
        items=sum(items.values()),
        rows=sum(rows.values()),
        train_rows=rows["train"],
        scored=min(scored, most) + min(trained, chosen.score_train),
    )
