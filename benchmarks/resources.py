"""What the jobs of a finished run took, beside what their rules ask for: a table for `docs/resources.md`.

python -m benchmarks.resources results
"""

import argparse
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

ROOT = Path(__file__).parent.parent
SEEN = 1.0  # seconds; the memory of a shorter job is looked at too seldom for its peak to be seen


class Asked(NamedTuple):
    """What a rule asks for: memory in MB, time in minutes."""

    mem_mb: int
    runtime: int


def asked() -> dict[str, Asked]:
    """Return rule -> what it asks for, as `rules/*.smk` say."""
    found = {}
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", file.read_text(encoding="utf-8"), flags=re.M)[1:]:
            numbers = [re.search(rf"\b{name}=(\d+)", block) for name in Asked._fields]
            found[block[: block.index(":")]] = Asked(*(int(number[1]) for number in numbers))
    return found


def taken(results: Path) -> pd.DataFrame:
    """Return one row a job of a run: `rule`, `job`, `seconds` and `peak` memory in MB, NaN of one too short to see.

    A peak of a job of less than `SEEN` is what was seen of it: the true one is larger.
    """
    home = results / "benchmarks"
    rows = []
    for file in sorted(home.rglob("*.tsv")):
        rule, *job = file.relative_to(home).with_suffix("").parts
        row = pd.read_csv(file, sep="\t", na_values="-").iloc[0]
        rows.append({"rule": rule, "job": "/".join(job), "seconds": row["s"], "peak": row["max_rss"]})
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table in Markdown, the rule with the largest peak first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    jobs = taken(parser.parse_args().results)
    limits = asked()
    print("| rule | jobs | seconds, all jobs | longest job, s | largest peak, MB | `mem_mb` | `runtime`, min |")
    print("|---|---|---|---|---|---|---|")
    numbers = {"jobs": ("job", "size"), "seconds": ("seconds", "sum"), "longest": ("seconds", "max")}
    table = jobs.groupby("rule").agg(**numbers, peak=("peak", "max"))
    for rule, row in table.sort_values("peak", ascending=False).iterrows():
        limit = limits[rule]
        times = f"{row.seconds:.1f} | {row.longest:.1f}"
        peak = f"{row.peak:.0f}" if row.longest >= SEEN else "–"
        print(f"| `{rule}` | {row.jobs:.0f} | {times} | {peak} | {limit.mem_mb} | {limit.runtime} |")


if __name__ == "__main__":
    main()
