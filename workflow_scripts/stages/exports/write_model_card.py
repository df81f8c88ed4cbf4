"""Stage: write the card of an experiment's networks beside their checkpoints, as Hugging Face's hub shows it.

The folder of checkpoints with its README.md is laid out as a model of the hub. Everything on the card is read from what
the workflow has written; what is in none of it, the card calls `not stated` or leaves out.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from workflow_scripts.config.experiments import experiment_type
from workflow_scripts.config.terms import NO_TERMS, NOT_STATED, Terms, consents, licences
from workflow_scripts.core import cli
from workflow_scripts.core.files import read_json, sha256_of, write_text
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.reporting.cards import card, licence_tag, table, terms_table
from workflow_scripts.stages.reporting.tabulate_runs import test_scores
from workflow_scripts.training.checkpoint import pretrained

# Scores and methods that have one of these words in their names are what a network is to be compared with.
BASELINES = {
    "copy": "Scores of `copy` are those of the input as it is.",
    "nearest": "Scores of `nearest` are those of the training item that is most alike.",
}
OF_FACES = (
    "A painted face is a guess, not the person: do not use it to identify anybody. Change the face of somebody only "
    "with their consent, and keep the mark that tells that a picture is generated."
)


def write_model_card(
    name: str,
    checkpoints: Inputs,
    metrics: Input,
    training: Input,
    quarantine: Inputs,
    output: Output,
    terms: dict[str, Terms] = NO_TERMS,
) -> None:
    """Write the card.

    Args:
        name: of the experiment.
        checkpoints: `{network}.safetensors` of all its networks, each with its sidecar beside it.
        metrics: the summary of its scores.
        training: its table of what is trained on.
        quarantine: `{source}/quarantine.parquet` of the sources that it is trained on, and its own.
        output: README.md.
        terms: source that it is trained on -> what is said of it.
    """
    sidecars = {path: read_json(path.with_suffix(".json")) for path in checkpoints}
    system = next(iter(sidecars.values()))["system"]
    models = sorted({model for sidecar in sidecars.values() for model in pretrained(sidecar)})
    found, summary = licences(terms, models), read_json(metrics)
    scores = {part: values for part, values in test_scores(summary) if values["items"]}
    faces = any(sidecar.get("crops") for sidecar in sidecars.values())
    parts = [
        importlib.import_module(f"workflow_scripts.systems.{system}").__doc__,
        "## Networks",
        table(("file", "SHA-256", "steps", "kept by", "seed", "learned on"), map(_network, sidecars.items())),
        "## What they learned from",
        table(("source", "split", "items"), _counts(training)),
        table(("source", "faces were cut out", "pixels"), _crops(sidecars.values())),
        "## What could not be used",
        table(("of", "stage", "reason", "items"), _losses(quarantine)) or "Nothing.",
        "## Scores of items that were not trained on",
        _scores_table(scores),
        "\n".join(f"- {text}" for name, text in BASELINES.items() if name in str(scores)),
        "## Licences and consent",
        terms_table(found, consents(terms)),
        "## Use",
        OF_FACES if faces else "",
        _use(name, experiment_type(system).family, checkpoints),
    ]
    write_text(output, card(_head(name, system, found, scores, terms), name, parts))


def _head(
    name: str, system: str, found: Mapping[str, str], scores: Mapping[str, Mapping], terms: Mapping[str, Terms]
) -> dict:
    """Return the metadata, among them the scores as the hub's model index has them."""
    results = [
        {
            "task": {"type": system, "name": part or system},
            "dataset": {"type": "test", "name": "items that were not trained on"},
            "metrics": [
                {"type": score.removeprefix("mean_"), "value": value}
                for score, value in values.items()
                if score != "items" and value is not None
            ],
        }
        for part, values in scores.items()
    ]
    return {
        "license": licence_tag(found, NOT_STATED),
        "tags": [system],
        "datasets": sorted(terms),
        "model-index": [{"name": name, "results": results}],
    }


def _network(one: tuple[Path, Mapping]) -> list:
    path, sidecar = one
    kept, digest = sidecar.get("kept") or {}, sha256_of(path)
    score = f"{kept['score']} {kept['value']:.4g} at step {kept['step']}" if kept.get("score") else "the last step"
    return [path.name, f"`{digest}`", sidecar["steps"], score, sidecar["seed"], sidecar["device"]]


def _counts(training: Path) -> Iterator[tuple]:
    for (source, split), items in read_table(training).groupby(["source", "split"]).size().items():
        yield source, split, items


def _crops(sidecars: Iterable[Mapping]) -> Iterator[tuple]:
    crops = {name: crop for sidecar in sidecars for name, crop in sidecar.get("crops", {}).items()}
    for name, crop in sorted(crops.items()):
        yield name, crop["frame"], crop["size"]


def _losses(quarantine: Sequence[Path]) -> Iterator[tuple]:
    for path in quarantine:
        for (stage, reason), items in read_table(path).groupby(["stage", "reason"]).size().items():
            yield path.parent.name, stage, reason, items


def _scores_table(scores: Mapping[str, Mapping]) -> str:
    """Return a row for each score, and a column for each part of which it is the mean, as each method."""
    if not scores:
        return "No item was tested on."
    names = dict.fromkeys(name for values in scores.values() for name in values)
    shown = ((name.removeprefix("mean_"), *(_shown(values.get(name)) for values in scores.values())) for name in names)
    return table(("score", *(part or "mean" for part in scores)), shown)


def _shown(value: object) -> object:
    return "" if value is None else value


def _use(name: str, family: str, checkpoints: Sequence[Path]) -> str:
    lines = [f"snakemake --cores 1 results/{name}/exports/{checkpoints[-1].stem}.onnx    # docs/exports.md"]
    if find_spec(f"workflow_scripts.commands.families.{family}"):
        command = "python -m workflow_scripts.commands.apply"
        lines.insert(0, f"{command} {checkpoints[0].parent} INPUT --output DIR    # --help tells more")
    if not find_spec(f"workflow_scripts.systems._{family}.exported"):
        lines.pop()
    return "\n".join(["```sh", *lines, "```"]) if lines else ""


main = stage_command(write_model_card)


if __name__ == "__main__":
    cli.run(main)
