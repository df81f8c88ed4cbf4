"""Run `snakemake --lint` and fail on every finding that is not allowed here, with the reason why it is."""

import re
import subprocess
import sys

ALLOWED = {
    "Path composition with '+'": "two parts of a command, not of a path",
    "Mixed rules and functions": "an input function stands beside the rule that uses it",
    'Absolute path "/dev/nvidia0"': "the device file of the driver, at this path on every machine",
    "Environment variable P": "the workflow sets PATH and PYTHONPATH for its jobs, it requires none",
}


def main() -> None:
    """Print the findings that are not allowed; exit 1 if there are any."""
    run = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], capture_output=True, text=True, check=False)
    found = re.findall(r"^(Lints for .*)|^    \* (.*):$", run.stdout + run.stderr, re.MULTILINE)
    if not found and "Congratulations" not in run.stderr:
        sys.exit(run.stdout + run.stderr)
    place, wrong = "", []
    for heading, finding in found:
        place = heading or place
        if finding and not finding.startswith(tuple(ALLOWED)):
            wrong.append(f"{place} {finding}")
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
