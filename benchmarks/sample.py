"""How long `make run` takes, on a quiet machine and beside another program that keeps one core busy.

    python -m benchmarks.sample --work results/benchmark-runs/sample
    python -m benchmarks.sample --work results/benchmark-runs/sample --busy

The environment is the one that runs this; the rest is made from nothing, the download of the sample included.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.resources import taken

ROOT = Path(__file__).parent.parent
PARTS = ("Makefile", "Snakefile", "config.yaml", "envs", "profiles", "rules", "workflow_scripts")
SPIN = "while True: pass"


def main() -> None:
    """Run the sample once and print the wall time, and the seconds of the jobs of each rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the run; what is there is deleted")
    parser.add_argument("--busy", action="store_true", help="keep one core busy meanwhile")
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, args.work / name)
    (args.work / "results").mkdir()
    other = subprocess.Popen([sys.executable, "-c", SPIN]) if args.busy else None
    try:
        started = time.monotonic()
        subprocess.run(["make", "run", f"VENV={sys.prefix}"], cwd=args.work, check=True)
        wall = time.monotonic() - started
    finally:
        if other:
            other.kill()
            other.wait()
    print(f"make run: {wall:.0f} s{', one core busy with something else' if args.busy else ''}")
    jobs = taken(args.work / "results").groupby("rule")["seconds"].sum().sort_values(ascending=False)
    print(jobs.round(1).to_string())


if __name__ == "__main__":
    main()
