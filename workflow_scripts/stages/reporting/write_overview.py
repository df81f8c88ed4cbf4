"""Stage: write the page that opens the report: results of all experiments beside baseline and published numbers,
and what each source holds.

The page stands on its own, with its pictures inside; Snakemake's report shows it first, with the rule graph below.
"""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import jinja2
import yaml

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.files import read_json, write_text
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.records import installed_libraries
from workflow_scripts.provenance.stage import Inputs, OptionalInput, Output, stage_command
from workflow_scripts.reporting.flow import SourceFlow, experiment_flow, experiment_reasons, source_flow
from workflow_scripts.systems import family_module

PACKAGE = Path(__file__).parents[2]
PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
MIME = PICTURES | {".mp4": "video/mp4"}


def write_overview(
    experiments: dict[str, BaseExperiment],
    index: Inputs,
    quarantine: Inputs,
    summaries: Inputs,
    metrics: Inputs,
    splits: Inputs,
    figures: Inputs,
    previews: Inputs,
    shown: Inputs,
    output: Output,
    runs: OptionalInput = None,
) -> None:
    """Write the page.

    Args:
        experiments: by name.
        index: `{source}/index.parquet` of every source.
        quarantine: `{source}/quarantine.parquet` likewise.
        summaries: folders `{source}/summary` likewise.
        metrics: `{experiment}/metrics.json` of every experiment.
        splits: `{experiment}/splits.parquet` likewise.
        figures: folders `{experiment}/figures` likewise.
        previews: folders `{experiment}/previews/{network}` of every network.
        shown: the experiments' `shown_folders`.
        output: the HTML file.
        runs: the table of runs; None where there is no experiment.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(PACKAGE / "reporting" / "templates"), jinja2.PrefixLoader(family_templates())]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": format_number, "inline": inline_file}
    indexes, quarantines = _by_name(index), _by_name(quarantine)
    flows = {name: source_flow(name, indexes[name], quarantines[name]) for name in indexes}
    files = {"metrics": _by_name(metrics), "splits": _by_name(splits), "figures": _by_name(figures)}
    views = [
        experiment_view(
            name,
            experiment,
            {kind: paths[name] for kind, paths in files.items()},
            [path for path in previews if path.parents[1].name == name],
            {path.name: path for path in shown if path.parents[1].name == name},
            flows,
        )
        for name, experiment in experiments.items()
    ]
    source_views = [source_view(name, folder) for name, folder in _by_name(summaries).items()]
    page = environment.get_template("page.html.jinja2").render(
        comparisons=group_by_family(views),
        experiments=views,
        sources=source_views,
        runs=run_tables(runs) if runs else [],
        flows=flows.values(),
        stages=passed_stages(source_views),
        reasons=[row for flow in flows.values() for row in flow.reasons]
        + [row for view in views for row in view["reasons"]],
        versions=installed_libraries(),
    )
    write_text(output, page)


def family_templates() -> dict[str, jinja2.BaseLoader]:
    """Return the templates of each family, by its name: those of `systems/_{family}/templates/`."""
    folders = (PACKAGE / "systems").glob("_*/templates")
    return {folder.parent.name.removeprefix("_"): jinja2.FileSystemLoader(folder) for folder in folders}


def experiment_view(
    name: str,
    experiment: BaseExperiment,
    files: dict[str, Path],
    previews: list[Path],
    shown: dict[str, Path],
    flows: dict[str, SourceFlow],
) -> dict:
    """Return what the templates show of one experiment.

    Args:
        name: of the experiment.
        experiment: its configuration.
        files: its `metrics.json`, `splits.parquet` and folder of figures, as `metrics`, `splits` and `figures`.
        previews: a folder for each network.
        shown: its `shown_folders` by their names.
        flows: what became of the items of each source.
    """
    summary = read_json(files["metrics"])
    report = family_module(experiment.family, "report")
    return {
        "name": name,
        "experiment": experiment,
        "summary": summary,
        "test": find_scores(summary, "test"),
        "training": find_scores(summary, "train"),
        "applied": find_scores(summary, "apply"),
        "flow": experiment_flow(files["splits"], flows, experiment.item_stage, summary),
        "reasons": experiment_reasons(name, summary),
        "figures": find_figures(files["figures"]),
        "report": report,
        "previews": {folder.name: _last_preview(folder) for folder in previews},
        "config": yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    } | report.view(experiment, shown)


class RunTable(NamedTuple):
    """The runs of one system.

    Attributes:
        system: its name.
        scores: names of the scores that any of them has.
        shared: changed keys that all its experiments have.
        rows: of the table of runs; `own` are the changed keys that not all have.
    """

    system: str
    scores: list[str]
    shared: list[str]
    rows: list[dict]


def run_tables(path: Path) -> list[RunTable]:
    """Return the table of runs, divided by system."""
    tables = []
    for system, found in read_table(path).groupby("system"):
        measured = found.dropna(axis="columns", how="all")
        scores = [name.removeprefix("mean_") for name in measured.columns if name.startswith("mean_")]
        rows = found.astype(object).where(found.notna(), None).to_dict("records")
        shared = [key for key in rows[0]["changed"] if all(key in row["changed"] for row in rows)]
        rows = [row | {"own": [key for key in row["changed"] if key not in shared]} for row in rows]
        tables.append(RunTable(str(system), scores, shared, rows))
    return tables


def source_view(name: str, folder: Path) -> dict:
    """Return what the template shows of one source, from its folder `summary/`."""
    summary = read_json(folder / "summary.json")
    return {"name": name, "summary": summary, "figures": find_figures(folder)}


def passed_stages(sources: list[dict]) -> list[str]:
    """Return the stages that the items of any source went through, in their order."""
    passed = dict.fromkeys(stage for view in sources for stage in view["summary"]["items"]["left_after"])
    return [stage for stage in passed if stage != "found"]


def find_figures(folder: Path) -> dict[str, Path]:
    """Return the pictures and charts of a folder by their names without ending."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in PICTURES}


def find_scores(summary: dict, split: str, source: str | None = None, kind: str | None = None) -> dict | None:
    """Return one entry of the summary's `scores`, None where there is none."""
    wanted = (split, source, kind)
    found = (entry for entry in summary["scores"] if (entry["split"], entry["source"], entry["kind"]) == wanted)
    return next(found, None)


def group_by_family(views: list[dict]) -> dict[str, list[list[dict]]]:
    """Return, for each family, its experiments; those of one system that are tested on the same sources together."""
    families: dict[str, dict[tuple, list[dict]]] = {}
    for view in views:
        groups = families.setdefault(view["experiment"].family, {})
        groups.setdefault((view["experiment"].system, *view["experiment"].test), []).append(view)
    return {family: list(groups.values()) for family, groups in families.items()}


def format_number(value: float | None, digits: int, sign: bool = False) -> str:
    """Return a number with fixed digits, or a dash where there is no number."""
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def inline_file(path: Path) -> str:
    """Return a picture or video as a `data:` address."""
    return f"data:{MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Return source or experiment -> path, of paths `{name}/…`."""
    return {path.parent.name: path for path in paths}


def _last_preview(folder: Path) -> Path | None:
    return max(folder.glob("epoch_*.png"), default=None)


main = stage_command(write_overview)


if __name__ == "__main__":
    cli.run(main)
