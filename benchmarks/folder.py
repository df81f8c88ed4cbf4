"""A folder of many pictures through Snakemake: orchestration's share of the time, memory of jobs, every file's fate."""

import argparse
import shutil
import sys
import time
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.timing import run_command
from workflow_scripts.core.tables import read_table, read_tables

ROOT = Path(__file__).parent.parent
BROKEN = {"empty.jpg": b"", "text.jpg": b"not a picture", "note.txt": b"no picture by its name"}


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, run the stages up to the quarantine behind the crops, and print the three numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of pictures, repeated to make the count")
    parser.add_argument("--work", type=Path, required=True, help="new folder for copies and results")
    parser.add_argument("--count", type=int, default=10_000)
    args = parser.parse_args(argv)
    if args.work.exists():
        sys.exit(f"error: {args.work} exists; name a folder that does not")
    files = lay_out(args.pictures, args.count, args.work / "photos")
    source = {"type": "folder", "path": str((args.work / "photos").resolve())}
    experiment = {"system": "unmask", "train": ["photos"], "test": ["photos"], "edit": {"perceptual": "none"}}
    config = {"sources": {"photos": source}, "experiments": {"unmask": experiment}}
    (args.work / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", args.work]
    start = time.perf_counter()
    run_command(
        [*snakemake, "--configfile", args.work / "config.yaml", "--cores", "1", "--",
         "results/photos/quarantine.parquet"],
        ROOT,
    )  # fmt: skip
    wall = time.perf_counter() - start
    jobs = pd.concat(
        pd.read_csv(path, sep="\t").assign(stage=path.relative_to(args.work / "results/benchmarks").parts[0])
        for path in (args.work / "results/benchmarks").rglob("*.tsv")
    )
    share = 1 - jobs["s"].sum() / wall
    print(f"{args.count} pictures, {len(jobs)} jobs, {wall:.1f} s; orchestration {share:.1%} of it")
    print(jobs.groupby("stage").agg(jobs=("s", "size"), seconds=("s", "sum"), peak_mb=("max_rss", "max")).to_string())
    landmarks = read_tables(sorted((args.work / "results/photos/landmarks").iterdir()), ["item"])
    rejected = read_table(args.work / "results/photos/quarantine.parquet")
    late = rejected[rejected["stage"] == "crop_faces"]["item"]
    fates = set(landmarks["item"]) | set(rejected["item"])
    reasons = rejected["reason"].value_counts().to_dict()
    print(f"{files} files: {landmarks['item'].nunique() - len(late)} crops, quarantined: {reasons}")
    print(f"files without a fate: {files - len(fates)}")


def lay_out(pictures: Path, count: int, folder: Path) -> int:
    """Copy pictures under new names until there are `count`, add broken files, and return the number of all."""
    folder.mkdir(parents=True)
    found = sorted(path for path in pictures.iterdir() if path.is_file())
    for number in range(count - len(BROKEN)):
        path = found[number % len(found)]
        shutil.copy(path, folder / f"{number:06d}{path.suffix}")
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    return count


if __name__ == "__main__":
    main()
