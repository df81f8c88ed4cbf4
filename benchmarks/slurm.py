"""Two Slurm slots against one on the same folder of pictures, and the share of the wall time that is no stage's work.

    python -m benchmarks.slurm --pictures results/sample/raw --work results/benchmark-runs/slurm

Slurm is a real one on this machine (`slurm_cluster.py`), whose nodes have one core each: two slots need two idle cores.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import yaml

from benchmarks.folder import lay_out
from benchmarks.resources import taken
from benchmarks.slurm_cluster import Cluster, missing

ROOT = Path(__file__).parent.parent
PARTS = ("Snakefile", "rules", "workflow_scripts", "envs", "profiles")
TARGET = "results/photos/quarantine.parquet"  # behind the index, the landmarks and the crops
SLOTS = (1, 2)


def main() -> None:
    """Run the stages of a source once with each number of slots, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, required=True, help="folder of pictures, repeated to make the count")
    parser.add_argument("--work", type=Path, required=True, help="new folder for copies and results")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=250, help="pictures a job works on")
    args = parser.parse_args()
    if lacks := missing():
        sys.exit(f"error: {lacks}")
    if args.work.exists():
        sys.exit(f"error: {args.work} exists; name a folder that does not")
    work = args.work.resolve()
    lay_out(args.pictures, args.count, work / "photos")
    walls = {}
    print(f"| slots of {os.cpu_count()} cores | wall | stages | no stage's work | load before |\n|---|---|---|---|---|")
    for slots in SLOTS:
        load = os.getloadavg()[0]
        project = write_project(work / f"slots{slots}", work / "photos", args.shard)
        walls[slots] = run(project, slots, work / f"cluster{slots}")
        stages = taken(project / "results")["seconds"].sum()
        share = 1 - stages / slots / walls[slots]
        print(f"| {slots} | {walls[slots]:.0f} s | {stages:.0f} s | {share:.1%} | {load:.1f} |")
    print(f"\n{args.count} pictures: two slots are {walls[1] / walls[2]:.2f} times as fast as one")


def write_project(folder: Path, photos: Path, shard: int) -> Path:
    """Write a copy of the workflow with the pictures as its one source, and return its folder."""
    folder.mkdir(parents=True)
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    config = {"sources": {"photos": {"type": "folder", "path": str(photos)}}, "shard_size": shard}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def run(project: Path, slots: int, folder: Path) -> float:
    """Return the seconds that the run takes on a cluster of so many nodes, with all that Snakemake and Slurm add."""
    cluster = Cluster(folder, tuple(f"node{number}" for number in range(slots)))
    try:
        cluster.start()
        start = time.monotonic()
        code = cluster.snakemake(project, TARGET, seconds=5).wait()
        wall = time.monotonic() - start
    finally:
        cluster.stop()
    if code:
        sys.exit((project / "said.txt").read_text()[-3000:])
    return wall


if __name__ == "__main__":
    main()
