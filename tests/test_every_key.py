"""Every documented key of the configuration goes through Snakemake once, with another value than its default.

The keys are those of docs/config.md, which is made of the same models: a new key without a run fails here. A run must
end well, and each value must be among the settings of a job, so that a key which reaches no job is found.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from every_key_config import every_key, write_inputs, write_weights
from projects import ROOT, Project, tiny_config
from pydantic import BaseModel

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import Crop, WeightDigests, Weights
from workflow_scripts.config.write_docs import _title, models
from workflow_scripts.core.tables import read_table

# Experiments that need packages of a group of their own.
OF_GROUPS = {"painted": "diffusers"}
# What the start reads, and no job: each is checked by what there is afterwards.
OF_THE_START = {"shard_size", "needs"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory, astronaut, store) -> Project:
    """A project with all keys, run as far as any job uses them."""
    project = Project.create(tmp_path_factory.mktemp("everything"), astronaut)
    write_inputs(project.root, astronaut)
    write_weights(project)
    project.configure(installed(every_key()))
    indexes = [f"{name}/index/00000.parquet" for name in ("sample", "photos", "named")]
    results = ["moustache/metrics.json", "celeba/exports/parquet", "reenact/videos/driver.json"]
    results += [f"{name}/metrics.json" for name in ("sampled", "diverse", "objects")]
    results += ["segmented/checkpoints/segment.json", "named/motion/00000.parquet", "sequences/motion_scores.json"]
    results += [f"{name}/metrics.json" for name in OF_GROUPS if name in project.config()["experiments"]]
    results += [*indexes, "coco/rejected_annotations.parquet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_WORKFLOW_STORE", str(store))  # the tiny base model is that of `test_paintings.py`
        project.said(*(f"results/{file}" for file in results))
    return project


def installed(config: dict) -> dict:
    """Return a configuration without the experiments whose packages are not installed."""
    lacking = {name for name, package in OF_GROUPS.items() if find_spec(package) is None}
    experiments = {name: values for name, values in config["experiments"].items() if name not in lacking}
    return config | {"experiments": experiments}


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
# Models that the user has: `test_paintings.py`.
OF_WEIGHTS |= {("BaseModelFolder", "path"), ("BaseModelFolder", "sha256"), ("PaintedEvaluation", "clip")}
OF_WEIGHTS |= {("TextToImageExperiment", "base")}


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
    assert not left, f"add a run of {sorted(left)} to every_key_config.py"


@pytest.mark.usefixtures("all_files")
@pytest.mark.parametrize("path", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_key_of_a_preset_has_a_run(path):
    given = load_config(yaml.safe_load(path.read_text()))
    assert {key_of(model, key) for model, key, _ in leaves(given)} <= run_keys() | OF_WEIGHTS


@pytest.mark.usefixtures("all_files")
def test_every_value_is_among_the_settings_of_a_job(everything):
    config = load_config(installed(every_key()))
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
    networks = ("alexnet", "centerface", "faceres", "vgg16", "vgg19", "inception")
    converted = [f"results/weights/{name}.safetensors" for name in networks]
    targets = [*converted, *(f"results/{name}/landmarks/00000.parquet" for name in sources)]
    done = everything.run("--configfile", "weights.yaml", "--keep-going", "--", *targets)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said
    for file in (*(f"{name}.bin" for name in networks), "yunet.bin", r"ssd_\w+.bin"):
        assert re.search(rf"^error: .*{file}", said, re.M), file
