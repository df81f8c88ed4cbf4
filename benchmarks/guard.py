"""What guarding costs on good data: stages that read pictures, as they are and without a worker, in turn.

python -m benchmarks.guard --pictures FOLDER --work FOLDER [--rounds 5] [--copies 20]

The time is that of the processor, of all processes of the stage, so that other programs matter little. The pictures are
linked several times, so that the start of a process does not count for much.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ALONE = "from workflow_scripts.core import cli; from workflow_scripts.stages.{} import main; cli.run(main)"
STAGES = ("sources.index_source", "sources.fingerprint_pictures")


def link_pictures(pictures: Path, folder: Path, copies: int) -> int:
    """Link each picture several times into a folder, and return how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in pictures.iterdir() if path.suffix == ".jpg")
    for copy in range(copies):
        for file in files:
            target = folder / f"{copy:03d}_{file.name}"
            if not target.exists():
                target.symlink_to(file.resolve())
    return len(files) * copies


def seconds(command: list[str]) -> float:
    """Return the processor time of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, and print a line for each stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=20)
    args = parser.parse_args()
    count = link_pictures(args.pictures, args.work / "pictures", args.copies)
    source = ["--source", json.dumps({"type": "folder", "path": str(args.work / "pictures")})]
    index, quarantine = args.work / "index.parquet", args.work / "quarantine.parquet"
    options = {
        "sources.index_source": ["--seed", "1", "--shard", "0", "--shards", "1", "--output", str(index)],
        "sources.fingerprint_pictures": ["--index", str(index), "--output", str(args.work / "prints.arrow")],
    }
    for stage in STAGES:
        given = [*source, *options[stage], "--quarantine", str(quarantine)]
        guarded, alone = [], []
        for _ in range(args.rounds):
            guarded.append(seconds([sys.executable, "-m", f"workflow_scripts.stages.{stage}", *given]))
            alone.append(seconds([sys.executable, "-c", ALONE.format(stage), *given]))
        ratio = statistics.median(mine / other for mine, other in zip(guarded, alone, strict=True))
        times = f"{min(guarded):.2f} s guarded, {min(alone):.2f} s without"
        print(f"{stage}: {count} pictures, {times}, median ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
