"""The configuration: what is wrong is named at start, with the line to write instead; docs are what the models say."""

import copy
import json
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from workflow_scripts.config import write_docs
from workflow_scripts.config.experiments import experiment_type, system_names
from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import Source, Weights
from workflow_scripts.config.well_formed import yaml_problem
from workflow_scripts.core.cli import UserError

ROOT = Path(__file__).parent.parent
FOLDER = {"type": "folder", "path": "photos"}


@pytest.fixture
def values() -> dict:
    """The real configuration."""
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def put(values: dict, path: str, value: object) -> dict:
    """Return a copy of `values` with the key at a dotted `path` set."""
    changed = copy.deepcopy(values)
    *parents, key = path.split(".")
    place = changed
    for parent in parents:
        place = place.setdefault(parent, {})
    place[key] = value
    return changed


@pytest.mark.parametrize(
    "file", ["config.yaml", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("presets/*.yaml"))]
)
def test_every_shipped_configuration_is_valid(file):
    given = yaml.safe_load((ROOT / file).read_text())
    assert list(load_config(given).experiments) == list(given.get("experiments", {}))


BAD = {
    "unknown key at the root": ("experimants", {}, ["experimants", "did you mean `experiments:`"]),
    "unknown key deep down": (
        "experiments.unmask.edit.training.epoch",
        3,
        ["experiments.unmask.edit.training.epoch", "`epochs:`"],
    ),
    "unknown key of a source": ("sources.sample.crop.sise", 64, ["sources.sample.crop.sise", "`size:`"]),
    "wrong type": (
        "experiments.unmask.map.training.epochs",
        "many",
        ["map.training.epochs", "write for example `epochs: 20`"],
    ),
    "out of range": ("experiments.unmask.difference.threshold", 300, ["difference.threshold", "255", "`threshold: 6`"]),
    "not a choice": ("sources.sample.crop.frame", "round", ["sources.sample.crop.frame", "celeba", "whole"]),
    "no such type of source": (
        "sources.sample.type",
        "samples",
        ["sources.sample", "sample", "celeba", "folder", "pairs"],
    ),
    "no such system": ("experiments.unmask.system", "unmsk", ["experiments.unmask", "`system: unmask`"]),
    "missing path": ("sources.mine", {"type": "folder"}, ["sources.mine.path", "write `path:"]),
    "shares that do not add up": (
        "experiments.unmask.occluders.mix",
        {"surgical": 0.5},
        ["occluders.mix", "add up to 1"],
    ),
    "no such kind": ("experiments.unmask.occluders.mix", {"balaclava": 1.0}, ["balaclava", "surgical"]),
    "split that does not add up": ("sources.sample.split", {"train": 0.9}, ["sources.sample.split", "must be 1"]),
    "size not a multiple of 32": ("sources.sample.crop.size", 100, ["sources.sample.crop.size", "`size: 96`"]),
    "no such source": ("experiments.unmask.train", ["celeb"], ["experiments.unmask.train", "'celeb'", "sample"]),
    "trained and applied": ("experiments.unmask.apply", ["sample"], ["experiments.unmask.apply", "second source"]),
    "reserved name": ("sources.logs", FOLDER, ["'logs'"]),
    "name that is no folder": ("sources.My photos", FOLDER, ["sources.My photos", "write for example `my_photos:`"]),
    "a list for keys": ("sources", [{"mine": FOLDER}], ["sources: needs keys below it", "without `- ` before them"]),
    "a number for keys": ("sources.sample.crop", 64, ["sources.sample.crop: needs keys", "`crop: {size: 128, frame"]),
    "expression without a group": ("sources.mine", FOLDER | {"identity": "a+"}, ["sources.mine.identity", "group"]),
    "weights that are not there": (
        "experiments.unmask.edit.perceptual",
        "vgg19",
        ["unmask.edit: vgg19", "weights: {vgg19:"],
    ),
    "a list of one that is none": ("experiments.unmask.train", "sample", ["is a list; write `train: [sample]`"]),
    "detector without its weights": ("sources.sample.faces", {"detector": "yunet"}, ["detector", "weights: {yunet:"]),
    "prior that the source has not": ("sources.sample.faces", {"prior": "points"}, ["faces.prior", "`prior: none`"]),
    "no source to train on": ("experiments.unmask.train", [], ["experiments.unmask.train", "`train: [sample]`"]),
    "source among the results": (
        "sources.mine",
        {"type": "folder", "path": "results/unmask/export"},
        ["sources.mine.path", "put the source elsewhere"],
    ),
    "source around the results": (
        "sources.mine",
        {"type": "pairs", "clean": "clean", "occluded": "."},
        ["sources.mine.occluded", "put the source elsewhere"],
    ),
    "not a momentum": ("experiments.unmask.map.training.betas", [1.5, 0.9], ["map.training.betas", "less than 1"]),
    "presence of an unapplied source": (
        "experiments.unmask.presence",
        {"occluded": "sample", "bare": "sample"},
        ["presence.occluded", "apply: [sample]"],
    ),
    "block that is not there": (
        "experiments.unmask.edit.unet",
        {"blocks": 5, "squeeze_excitation": [3]},
        ["experiments.unmask", "squeeze_excitation: [1, 2]"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_configuration_is_refused_with_the_key_and_the_remedy(values, case):
    path, value, expected = BAD[case]
    with pytest.raises(UserError) as refused:
        load_config(put(values, path, value))
    message = str(refused.value)
    for text in expected:
        assert text in message, message
    assert "pydantic" not in message and len(message.splitlines()) == 2, message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources:\n  a: {type: folder, path: a}\n  a: {type: folder, path: b}\n", "`sources.a` stands in line 2 and "),
        ("sources:\n\ta: {type: folder, path: a}\n", "mine.yaml is no YAML: line 2, column 1: "),
        ("sources:\n  a:\n    type:folder\n    path: a\n", "mine.yaml is no YAML: line 4, column 9: "),
        ("sources: {a: {type: folder, path: a}}\nseed: 1\n", None),
    ],
)
def test_where_a_file_is_no_yaml_or_has_a_key_twice_is_said(tmp_path, text, said):
    (tmp_path / "mine.yaml").write_text(text)
    problem = yaml_problem(tmp_path / "mine.yaml")
    assert problem is None if said is None else said in problem


def test_all_wrong_keys_are_named_at_once(values):
    with pytest.raises(UserError) as refused:
        load_config(put(put(values, "sed", 2), "experiments.unmask.edit.training.epochs", 0))
    assert "sed: unknown key" in str(refused.value) and "edit.training.epochs" in str(refused.value)


def test_sources_of_different_sizes_are_refused(values):
    changed = put(put(values, "sources.mine", FOLDER | {"crop": {"size": 64}}), "experiments.unmask.test", ["mine"])
    with pytest.raises(UserError, match=r"experiments\.unmask.*different sizes"):
        load_config(changed)


def test_more_blocks_than_a_crop_has_room_for_are_refused(values):
    changed = put(put(values, "sources.sample.crop.size", 32), "experiments.unmask.edit.unet.blocks", 11)
    with pytest.raises(UserError, match=r"experiments\.unmask\.edit\.unet\.blocks: 11 .*write `blocks: 9`"):
        load_config(changed)


def test_a_slice_holds_what_its_stage_depends_on_and_nothing_else(values):
    def map_slice(changed):
        experiment = load_config(changed).experiments["unmask"]
        return experiment.slice(*experiment.keys_of("map"))

    assert map_slice(put(values, "experiments.unmask.edit.training.epochs", 99)) == map_slice(values)
    assert map_slice(put(values, "experiments.unmask.map.training.epochs", 99)) != map_slice(values)


def test_the_same_value_written_differently_is_the_same(values):
    other = put(values, "experiments.unmask.map.training.learning_rate", 0.003)
    assert load_config(other).experiments["unmask"].canonical() == load_config(values).experiments["unmask"].canonical()


def test_weights_of_a_detector_must_be_there(values, tmp_path):
    chosen = put(values, "sources.sample.faces.detector", "ssd")
    chosen["weights"] = {"ssd_prototxt": str(tmp_path / "a"), "ssd_caffemodel": str(tmp_path / "b")}
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match=r"weights.ssd_caffemodel: no file .*/b; write the path"):
        load_config(chosen)
    (tmp_path / "b").touch()
    assert load_config(chosen).sources["sample"].faces.detector == "ssd"


def test_generated_documents_are_up_to_date():
    assert (write_docs.DOCS / "config.schema.json").read_text() == write_docs.schema(), "run `make docs`"
    assert (write_docs.DOCS / "config.md").read_text() == write_docs.reference(), "run `make docs`"
    targets = (write_docs.DOCS / "targets.md").read_text()
    assert targets == write_docs.targets(targets) and write_docs.output_tables() in targets, "run `make docs`"


def test_an_output_that_the_head_of_its_rules_file_does_not_list_is_named():
    rules = (ROOT / "rules/faces.smk").read_text()
    without = "\n".join(line for line in rules.splitlines() if not line.startswith("    results/{source}/crops/"))
    with pytest.raises(ValueError, match=r"rules/faces\.smk: .* lacks results/\{source\}/crops/\{shard\}\.arrow"):
        write_docs.read_outputs("faces", without)


def test_every_key_is_described():
    for model in write_docs.models():
        for key, field in model.model_fields.items():
            assert field.description or hasattr(field.annotation, "model_fields") or key in ("type", "system"), (
                f"{model.__name__}.{key}"
            )


def keys_of_texts(model: type[BaseModel]) -> set[str]:
    """Return the names of all keys, also of the groups in a model, that take any text."""
    found = set()
    for name, field in model.model_fields.items():
        if re.search(r"\bstr\b", str(field.annotation)):
            found.add(name)
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= keys_of_texts(part)
    return found


def test_every_path_may_begin_with_the_users_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own").mkdir()
    (tmp_path / "own/faces.csv").touch()
    sources = {
        "folder": {"type": "folder", "path": "~/own", "given_faces": "~/own/faces.csv", "faces": {"prior": "boxes"}},
        "celeba": {"type": "celeba", "path": "~/own"},
        "video": {"type": "video", "path": "~/own"},
        "coco": {"type": "coco", "path": "~/own", "set": "x", "annotations": ["~/own/a.json"]},
        "davis": {"type": "davis", "path": "~/own"},
        "pairs": {"type": "pairs", "clean": "~/own", "occluded": "~/own/~"},
    }
    occluders = {"mix": {"moustache_picture": 1}, "pictures": "~/own"}
    experiment = {"system": "moustache", "train": ["folder"], "test": ["folder"], "occluders": occluders}
    weights = dict.fromkeys(Weights.model_fields, "~/own/weights")
    completing = {"system": "diverse", "train": ["folder"], "test": ["folder"], "holes": {"given": "~/own"}}
    experiments = {"one": experiment, "two": completing}
    config = load_config({"sources": sources, "experiments": experiments, "weights": weights})
    written = json.dumps(config.model_dump(mode="json"))
    assert "~/own" not in written and written.count(f"{tmp_path}/own") == 11 + len(weights)
    assert config.sources["pairs"].occluded == f"{tmp_path}/own/~", "only at the beginning"
    # A key that is added later and takes any text is a path of the user's, or named here.
    models = [*get_args(get_args(Source)[0]), *map(experiment_type, system_names()), Weights]
    texts = set().union(*map(keys_of_texts, models))
    paths = {"path", "clean", "occluded", "annotations", "given_faces", "given", "pictures", "clip"}
    expected = {"set", "resolution", "identity", "unless", "mix", "front", "bare", "categories"}
    expected |= {"train", "test", "apply", "classes", "licence", "consent"}  # `classes` of holes, the last two of terms
    expected |= {"prompts", "sha256", "targets"}  # of adapters on a text-to-picture model
    assert texts - paths - set(Weights.model_fields) == expected
