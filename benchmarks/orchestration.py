"""Measure what the workflow costs beside its jobs, as ratios to an empty Snakefile's run in the same minute.

    python benchmarks/orchestration.py --finished FOLDER

`FOLDER` is a clone in which `make run` has finished. Ratios are medians of rounds in which every command runs once.
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--cores", "2"]
PRESET = ROOT / "presets/unmask-celeba-best.yaml"
CELEBA = 202_599  # pictures


def simulate_celeba(folder: Path) -> Path:
    """Write a project of the preset on as many empty pictures as CelebA has, and return its folder."""
    for name in ("Snakefile", "rules", "workflow_scripts", "envs", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    pictures = folder / "celeba/img_align_celeba"
    pictures.mkdir(parents=True)
    for number in range(1, CELEBA + 1):
        (pictures / f"{number:06d}.jpg").touch()
    config = yaml.safe_load(PRESET.read_text())
    config["sources"]["celeba"]["path"] = "celeba"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def write_empty(folder: Path) -> Path:
    """Write a workflow with one rule and nothing to do, and return its folder."""
    folder.mkdir()
    (folder / "Snakefile").write_text("rule all:\n    default_target: True\n")
    return folder


def measure(folder: Path, *options: str) -> tuple[float, str]:
    """Return the seconds that a Snakemake command takes, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run([*SNAKEMAKE, *options], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - start, done.stdout + done.stderr


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finished", type=Path, required=True, help="a clone in which `make run` has finished")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        empty = write_empty(Path(temporary) / "empty")
        (celeba := Path(temporary) / "celeba").mkdir()
        commands = {
            "empty Snakefile": (empty,),
            "empty Snakefile, dry run": (empty, "--dry-run"),
            "parse alone (--list-rules)": (args.finished, "--list-rules"),
            "parse alone, empty Snakefile": (empty, "--list-rules"),
            "finished sample, nothing to do": (args.finished,),
            "simulated CelebA, dry run": (simulate_celeba(celeba), "--dry-run", "--quiet"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                taken, _ = measure(*command)
                seconds[name].append(taken)
        planned = measure(celeba, "--dry-run")[1]
    total = re.findall(r"^total +(\d+)", planned, re.MULTILINE)[0]
    for name, values in seconds.items():
        ratio = statistics.median(map(float.__truediv__, values, seconds["empty Snakefile"]))
        print(f"{name:32} {statistics.median(values):5.2f} s ({min(values):.2f} to {max(values):.2f}) {ratio:5.2f}x")
    ours, bare = seconds["parse alone (--list-rules)"], seconds["parse alone, empty Snakefile"]
    print(f"parsing adds {statistics.median(map(float.__sub__, ours, bare)):.2f} s")
    print(f"jobs planned for CelebA: {total}")


if __name__ == "__main__":
    main()
