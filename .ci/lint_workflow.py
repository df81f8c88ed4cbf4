"""Run `snakemake --lint` and fail on every finding that is not allowed here, with the reason why it is."""

import json
import subprocess
import sys
from pathlib import Path

ALLOWED = {
    "Specify a conda environment or container for each rule.": "one pip lock file, envs/requirements.lock, holds for all",
    "Mixed rules and functions in same snakefile.": "an input function stands beside the one rule that uses it",
    "Environment variable": "the workflow sets PATH and PYTHONPATH for its jobs, it requires none",
}


def main() -> None:
    """Print the findings that are not allowed; exit 1 if there are any."""
    snakemake = Path(sys.executable).parent / "snakemake"
    printed = subprocess.run([snakemake, "--lint", "json"], capture_output=True, text=True, check=False).stdout
    report = json.loads(printed[printed.index("{") :])
    places = [
        (place.get("snakefile") or place.get("rule"), lint)
        for part in report.values()
        for place in part
        for lint in place["lints"]
    ]
    wrong = [(place, lint) for place, lint in places if not lint["title"].startswith(tuple(ALLOWED))]
    for place, lint in wrong:
        print(f"{place}: {lint['title']}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
