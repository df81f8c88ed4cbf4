"""Write the table: `results/scale.md` for people, `results/scale.json` with every rate and where it is from."""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import yaml

from benchmarks.scale.estimate import hours, parts_of
from benchmarks.scale.pilots import STAND_INS, run_pilots
from benchmarks.scale.plans import plan
from benchmarks.scale.rates import UNIT_OF, full_work, rates_of, read_run, trained_on_gpu
from benchmarks.scale.sizes import SIZES, VIDEO_SECONDS, Size, simulate
from workflow_scripts.config.load import Config, load_config
from workflow_scripts.core.files import read_json, write_json, write_text
from workflow_scripts.sources import list_files

MOST = 6  # rules that are named below the table, of each row


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure what has not been measured, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the two files go")
    parser.add_argument("--work", type=Path, required=True, help="folder of the pilots; finished ones are used again")
    parser.add_argument("--gpu", type=Path, help="what `benchmarks.step_rates` wrote on a machine with a GPU")
    parser.add_argument("--only", nargs="*", choices=[size.name for size in SIZES], help="rows of the table; all")
    args = parser.parse_args(argv)
    sizes = [size for size in SIZES if not args.only or size.name in args.only]
    with tempfile.TemporaryDirectory() as folder:
        rows = {}
        for size in sizes:
            run_pilots(size, args.work / folder_of(size), args.results)
            steps = read_json(args.gpu)["steps"].get(folder_of(size), {}) if args.gpu else {}
            rows[size.name] = describe(size, args.work, steps, Path(folder))
    write_json(args.results / "scale.json", rows)
    write_text(args.results / "scale.md", table(rows))
    print((args.results / "scale.md").read_text())


def folder_of(size: Size) -> str:
    """Return the name of the folder of a pilot."""
    return size.name.replace(" ", "_")


def describe(size: Size, work: Path, steps: Mapping[str, Mapping[str, float]], simulated: Path) -> dict:
    """Return what is known of a data set at full size, as in `scale.json`.

    Args:
        size: preset and files.
        work: folder with its finished pilots.
        steps: network -> batch and seconds of a step on a GPU, of those that were timed on one.
        simulated: folder for empty files.
    """
    project = simulated / folder_of(size)
    simulate(size, project, simulated / "data")
    jobs, seconds = plan(project)
    items = {name: list_files(source).count for name, source in _config_of(project).sources.items()}
    small, large = (read_run(work / folder_of(size) / pilot) for pilot in STAND_INS)
    full = full_work(size, large.rows_of, items)
    rates = rates_of(small, large)
    parts, on_gpu = parts_of(size, jobs, full, rates), parts_of(size, jobs, full, trained_on_gpu(rates, steps))
    return {
        "files": sum(size.files.values()),
        "what": size.what,
        "preset": size.preset,
        "jobs": len(jobs),
        "plan_seconds": seconds,
        "work": asdict(full),
        "bytes": sum(part.bytes for part in parts.values()),
        "hours": hours(jobs, parts, on_gpu if steps else None),
        "steps_on_gpu": steps,
        "unmeasured": sorted({key[0] for key, part in parts.items() if part.seconds is None}),
        "parts": {
            " ".join(filter(None, key)): {
                "jobs": part.jobs,
                "unit": UNIT_OF[key[0]],
                "units": part.units,
                "seconds_of_a_job": part.seconds,
                "bytes": part.bytes,
                "measured": part.files,
            }
            for key, part in sorted(parts.items())
        },
    }


def _config_of(project: Path) -> Config:
    return load_config(yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8")))


def table(rows: dict) -> str:
    """Return the table in Markdown, with the costliest rules of each row below it."""
    places = list(dict.fromkeys(place for row in rows.values() for place in row["hours"]))
    head = ["", "preset", "jobs", "plan, s", "results, GB", *(f"{place}, h" for place in places)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, row in rows.items():
        cells = [f"`{name}`, {row['files']:,} {row['what']}", f"`{row['preset']}`", f"{row['jobs']:,}"]
        cells += [f"{row['plan_seconds']:.1f}", f"{row['bytes'] / 1e9:,.0f}"]
        cells += [_rounded(row["hours"].get(place)) for place in places]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"A video is taken to be one shot of {VIDEO_SECONDS} s. Where the hours of one core go, and who says so:",
        "",
    ]
    for name, row in rows.items():
        spent = {key: part["jobs"] * (part["seconds_of_a_job"] or 0) / 3600 for key, part in row["parts"].items()}
        lines.append(f"- `{name}`, {_rounded(sum(spent.values()))} h:")
        for key in sorted(spent, key=spent.get, reverse=True)[:MOST]:
            part = row["parts"][key]
            worked_on = f"{part['units']:,.0f} {part['unit']}"
            lines.append(f"  - {key}: {_rounded(spent[key])} h, {worked_on}; {part['measured'][-1]}")
        if row["unmeasured"]:
            lines.append(f"  - not measured, and not counted: {', '.join(row['unmeasured'])}")
    return "\n".join(lines) + "\n"


def _rounded(value: float | None) -> str:
    return "–" if value is None else f"{float(f'{value:.2g}'):,g}"


if __name__ == "__main__":
    main()
