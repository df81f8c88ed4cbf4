"""Slurm slots against each other on the same folder of pictures, what a job costs, and what of the time is no stage's.

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
HERE = ("fetch_weights", "collect_quarantine")  # stages that run beside Snakemake, in no job of the cluster


def main() -> None:
    """Run the stages of a source once with each number of slots, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, required=True, help="folder of pictures, repeated to make the count")
    parser.add_argument("--work", type=Path, required=True, help="new folder for copies and results")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=500, help="pictures a job works on")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    if lacks := missing():
        sys.exit(f"error: {lacks}")
    if args.work.exists():
        sys.exit(f"error: {args.work} exists; name a folder that does not")
    work = args.work.resolve()
    lay_out(args.pictures, args.count, work / "photos")
    walls = {}
    print(f"| slots of {os.cpu_count()} cores | wall | jobs | their time | stages | a job costs | no stage's | load |")
    print("|---|---|---|---|---|---|---|---|")
    for slots in args.slots:
        load = os.getloadavg()[0]
        project = write_project(work / f"slots{slots}", work / "photos", args.shard)
        walls[slots], jobs = run(project, slots, work / f"cluster{slots}")
        stages = taken(project / "results").groupby("rule")["seconds"].sum()
        cost = (sum(jobs) - stages.drop([*HERE]).sum()) / len(jobs)
        share = 1 - stages.sum() / slots / walls[slots]
        print(
            f"| {slots} | {walls[slots]:.0f} s | {len(jobs)} | {sum(jobs):.0f} s | {stages.sum():.0f} s | {cost:.1f} s "
            f"| {share:.1%} | {load:.1f} |"
        )
    for slots in args.slots[1:]:
        times = walls[args.slots[0]] / walls[slots]
        print(f"\n{args.count} pictures: {slots} slots are {times:.2f} times as fast as {args.slots[0]}")


def write_project(folder: Path, photos: Path, shard: int) -> Path:
    """Write a copy of the workflow with the pictures as its one source, and return its folder."""
    folder.mkdir(parents=True)
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    config = {"sources": {"photos": {"type": "folder", "path": str(photos)}}, "shard_size": shard}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def run(project: Path, slots: int, folder: Path) -> tuple[float, list[float]]:
    """Return the seconds that a run takes on a cluster of so many nodes, and those that each job had its node."""
    with Cluster(folder, tuple(f"node{number}" for number in range(slots))).started() as cluster:
        start = time.monotonic()
        code = cluster.snakemake(project, TARGET, seconds=5).wait()
        wall = time.monotonic() - start
        if code:
            sys.exit((project / "said.txt").read_text()[-3000:])
        return wall, cluster.job_seconds()


if __name__ == "__main__":
    main()
