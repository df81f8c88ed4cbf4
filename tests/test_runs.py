"""Trying things: keys changed on the command line, and the table of all runs."""

import json
from pathlib import Path

import pytest
import yaml
from projects import ROOT
from snakemake.cli import parse_config

from workflow_scripts.config.changes import with_changes
from workflow_scripts.config.load import load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.stages.reporting import tabulate_runs
from workflow_scripts.stages.reporting.write_overview import run_tables


@pytest.fixture
def values() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_changes_are_what_the_file_would_say(values):
    text = "seed=7  experiments.unmask.edit.training.epochs=2 sources.sample.split={train: 1, val: 0, test: 0}"
    config = load_config(with_changes(values | {"set": text}))
    assert config.seed == 7 and config.experiments["unmask"].edit.training.epochs == 2
    assert config.experiments["unmask"].edit.training.batch_size == 8  # as before
    assert config.sources["sample"].split.train == 1
    assert (
        load_config(with_changes(values | {"set": "experiments.diverse.holes.classes=[parts, 20-30] seed=3"})).seed == 3
    )
    assert with_changes(values) == values and "set" not in with_changes(values | {"set": ""})
    assert values == yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed", "'seed' is no path=value; write for example"),
        ("=3", "is no path=value"),
        ("experiments.umask.gallery=3", "there is no experiment 'umask' in the configuration; known: unmask"),
        ("seed.more=3", "seed is a value and has no keys below it"),
        ("seed=[1", "the value is no YAML"),
        (5, "5 is no path=value"),
        ("experiments.unmask.edit.training.epoch=2", "experiments.unmask.edit.training.epoch: unknown key"),
        ("experiments.unmask.edit.training.epochs=many", "experiments.unmask.edit.training.epochs: "),
    ],
)
def test_a_wrong_change_is_refused_with_the_remedy(values, text, said):
    with pytest.raises(UserError) as refused:
        load_config(with_changes(values | {"set": text}))
    assert said in str(refused.value)


def test_a_change_may_have_keys_of_its_own_as_snakemake_hands_it_over(values):
    for text in ("sources.sample.crop={size: 64} seed=4", "seed: 4"):
        handed = parse_config([f"set={text}"])
        assert isinstance(handed["set"], dict)
        if "=" in text:
            config = load_config(with_changes(values | handed))
            assert config.sources["sample"].crop.size == 64 and config.seed == 4
        else:
            with pytest.raises(UserError, match="'seed: 4' is no path=value"):
                with_changes(values | handed)


def test_a_change_reaches_the_jobs_and_nothing_else_runs(project):
    change = ["--config", "set=experiments.unmask.gallery=3"]
    assert project.planned(*change) == {"draw_figures": 1, "tabulate_runs": 1, "write_overview": 1}
    project.said(*change)
    (row,) = read_table(project.root / "results/runs.parquet").to_dict("records")
    assert row["experiment"] == "unmask" and "gallery=3" in row["changed"] and row["mean_psnr_composite_hole"] > 0
    assert project.planned(*change) == {} and project.planned() != {}
    refused = project.run("--dry-run", "--config", "set=experiments.unmask.galery=3")
    assert refused.returncode != 0 and "did you mean `gallery:`?" in refused.stdout + refused.stderr


def write_run(folder: Path, name: str, scores: list[dict], networks: tuple[str, ...]) -> list[str]:
    """Write what the table needs of an experiment, and return its checkpoints."""
    (folder / name / "checkpoints").mkdir(parents=True)
    (folder / name / "metrics.json").write_text(json.dumps({"scores": scores}))
    paths = [folder / name / f"checkpoints/{network}.safetensors" for network in networks]
    for path in paths:
        path.write_bytes(name.encode())
    return [str(path) for path in paths]


def entry(mean: dict, split: str = "test", **more) -> dict:
    return {"split": split, "source": None, "kind": None, "items": 5, "mean": mean, "median": {}, "count": {}} | more


def test_all_runs_stand_side_by_side(values, tmp_path):
    sweep = {"a": {}, "b": {"edit": {"fill": "grey", "training": {"epochs": 3}}}}
    values["experiments"] = {
        name: {"system": "unmask", "train": ["sample"], "test": ["sample"], "gallery": 5} | keys
        for name, keys in sweep.items()
    } | {
        "c": values["experiments"]["diverse"],
        "untested": {"system": "moustache", "train": ["sample"], "test": ["sample"]},
    }
    experiments = {name: one.model_dump(mode="json") for name, one in load_config(values).experiments.items()}
    checkpoints = [
        *write_run(tmp_path, "a", [entry({"psnr": 1.0}), entry({"psnr": 9.0}, "train")], ("map", "edit")),
        *write_run(tmp_path, "b", [entry({"psnr": 2.0}), entry({"psnr": 3.0}, source="sample")], ("map", "edit")),
        *write_run(tmp_path, "c", [entry({"nme": 3.0}, method=method) for method in ("flow", "mean")], ("flow",)),
        *write_run(tmp_path, "untested", [], ("map",)),
    ]
    output = tmp_path / "runs.parquet"
    metrics = [str(tmp_path / name / "metrics.json") for name in experiments]
    words = ["--experiments", json.dumps(experiments), "--metrics", *metrics, "--checkpoints", *checkpoints]
    tabulate_runs.main([*words, "--output", str(output)])
    table = read_table(output)
    assert table["experiment"].tolist() == ["a", "b", "c", "c", "untested"]
    assert table["part"].tolist() == ["", "", "method=flow", "method=mean", ""]
    assert table["mean_psnr"].tolist()[:2] == [1.0, 2.0] and table["mean_psnr"].isna().tolist()[2:] == [True] * 3
    assert list(table["changed"][0]) == ["gallery=5"] and table["items"].isna().tolist()[-1]
    assert {"edit.fill=grey", "edit.training.epochs=3", "gallery=5"} == {*table["changed"][1]}
    assert len(table["checkpoints"][0]) == 2 and table["checkpoints"][0][0].startswith("map=")

    shown = {one.system: one for one in run_tables(output)}
    assert shown["unmask"].shared == ["gallery=5"] and shown["unmask"].scores == ["psnr"]
    assert [row["own"] for row in shown["unmask"].rows] == [[], ["edit.fill=grey", "edit.training.epochs=3"]]
    assert shown["moustache"].scores == [] and shown["moustache"].rows[0]["items"] is None
