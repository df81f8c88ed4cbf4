"""Stage: write the page that opens the report: results of all experiments beside baseline and published numbers,
and what each source holds.

The page stands on its own, with its pictures inside; Snakemake's report shows it first, with the rule graph below.
"""

import argparse
import base64
import json
from collections.abc import Sequence
from pathlib import Path

import jinja2
import yaml
from pydantic import TypeAdapter

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.files import write_text
from workflow_scripts.provenance.manifest import installed_libraries
from workflow_scripts.reporting.films import PAGE
from workflow_scripts.reporting.flow import experiment_flow, experiment_reasons, source_flow

PACKAGE = Path(__file__).parents[2]
TEMPLATES = PACKAGE / "reporting" / "page"
PARTS = {"reenact": "reenactment"}  # system -> part of the page that shows it; of all others `removal`
SHOWN_VIDEOS = 4  # of an experiment at most; further ones are only counted
PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
MIME = PICTURES | {".mp4": "video/mp4"}


def write_overview(experiments: dict[str, BaseExperiment], sources: Sequence[str], folder: Path, output: Path) -> None:
    """Write the page.

    Args:
        experiments: by name.
        sources: names, at least of those that the experiments use.
        folder: `results/`, with `metrics.json`, `splits.parquet`, `figures/` and `previews/{network}/` of each
            experiment, and `index.parquet`, `quarantine.parquet` and `summary/` of each source.
        output: the HTML file.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(TEMPLATES), jinja2.PrefixLoader(family_templates())]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": format_number, "inline": inline_file}
    views = [experiment_view(name, experiment, folder) for name, experiment in experiments.items()]
    flows = [
        source_flow(name, folder / name / "index.parquet", folder / name / "quarantine.parquet") for name in sources
    ]
    page = environment.get_template("page.html.jinja2").render(
        comparisons=group_by_part(views),
        experiments=views,
        sources=[source_view(name, folder / name / "summary") for name in sources],
        flows=flows,
        reasons=[row for flow in flows for row in flow.reasons] + [row for view in views for row in view["reasons"]],
        versions=installed_libraries(),
    )
    write_text(output, page)


def family_templates() -> dict[str, jinja2.BaseLoader]:
    """Return the templates of each family, by its name: those of `systems/_{family}/page/`."""
    folders = (PACKAGE / "systems").glob("_*/page")
    return {folder.parent.name.removeprefix("_"): jinja2.FileSystemLoader(folder) for folder in folders}


def experiment_view(name: str, experiment: BaseExperiment, folder: Path) -> dict:
    """Return what the template shows of one experiment."""
    home = folder / name
    summary = json.loads((home / "metrics.json").read_text(encoding="utf-8"))
    videos = find_videos(home / "videos")
    return {
        "name": name,
        "part": PARTS.get(experiment.system, "removal"),
        "experiment": experiment,
        "summary": summary,
        "test": find_scores(summary, "test"),
        "training": find_scores(summary, "train"),
        "applied": find_scores(summary, "apply"),
        "flow": experiment_flow(folder, name, summary),
        "reasons": experiment_reasons(name, summary),
        "figures": find_figures(home / "figures"),
        "videos": videos[:SHOWN_VIDEOS],
        "more_videos": len(videos[SHOWN_VIDEOS:]),
        "previews": {network: _last_preview(home / "previews" / network) for network in experiment.networks},
        "config": yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }


def source_view(name: str, folder: Path) -> dict:
    """Return what the template shows of one source, from its folder `summary/`."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {"name": name, "summary": summary, "figures": find_figures(folder)}


def find_figures(folder: Path) -> dict[str, Path]:
    """Return the pictures and charts of a folder by their names without ending."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in PICTURES}


def find_scores(summary: dict, split: str, source: str | None = None, kind: str | None = None) -> dict | None:
    """Return one entry of the summary's `scores`, None where there is none."""
    wanted = (split, source, kind)
    found = (entry for entry in summary["scores"] if (entry["split"], entry["source"], entry["kind"]) == wanted)
    return next(found, None)


def find_videos(folder: Path) -> list[dict]:
    """Return the videos of an experiment: `source`, `whole` (the file's name), `page` (what is shown), `sheet`."""
    found = []
    for sheet in sorted(folder.glob("*/*.png")):
        whole, page = sheet.with_suffix(".mp4"), sheet.with_name(f"{sheet.stem}{PAGE}.mp4")
        film = {"source": sheet.parent.name, "whole": whole.name, "sheet": sheet, "shortened": page.exists()}
        found.append(film | {"page": page if page.exists() else whole})
    return found


def group_by_part(views: list[dict]) -> dict[str, list[list[dict]]]:
    """Return, for each part of the page, the experiments that are tested on the same sources together."""
    parts: dict[str, dict[tuple, list[dict]]] = {}
    for view in views:
        groups = parts.setdefault(view["part"], {})
        groups.setdefault((view["experiment"].system, *view["experiment"].test), []).append(view)
    return {part: list(groups.values()) for part, groups in parts.items()}


def format_number(value: float | None, digits: int, sign: bool = False) -> str:
    """Return a number with fixed digits; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def inline_file(path: Path) -> str:
    """Return a picture or video as a `data:` address."""
    return f"data:{MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _last_preview(folder: Path) -> Path | None:
    return max(folder.glob("epoch_*.png"), default=None)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    from workflow_scripts.config.load import Experiment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="JSON: name -> experiment")
    parser.add_argument("--sources", nargs="*", default=[], help="names of the sources")
    parser.add_argument("--folder", type=Path, required=True, help="the results folder")
    parser.add_argument("--output", type=Path, required=True, help="the page")
    args = parser.parse_args(argv)
    experiments = TypeAdapter(dict[str, Experiment]).validate_json(args.config)
    write_overview(experiments, args.sources, args.folder, args.output)


if __name__ == "__main__":
    cli.run(main)
