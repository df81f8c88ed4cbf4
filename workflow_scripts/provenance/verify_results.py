"""Check results against their manifest; tell what made a file, and what differs between two runs.

python -m workflow_scripts.provenance.verify_results check                          every file is what the workflow made
python -m workflow_scripts.provenance.verify_results check --results s3://bucket/prefix/results         also in a bucket
python -m workflow_scripts.provenance.verify_results update                         the same, quickly, after a run
python -m workflow_scripts.provenance.verify_results explain results/unmask/metrics.json
python -m workflow_scripts.provenance.verify_results compare A/results B/results
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from workflow_scripts.core import bucket, cli
from workflow_scripts.core.files import sha256_of, write_json
from workflow_scripts.core.names import readable
from workflow_scripts.provenance.former_shards import former_jobs
from workflow_scripts.provenance.manifest import (
    MANIFEST,
    differences,
    list_artifacts,
    make_manifest,
    owners,
    read_contents,
)
from workflow_scripts.provenance.records import JOBS, Record, read_records

REMEDY = "make it again: snakemake --cores all --force"
NAMED = 5  # examples that are named of a longer list


def check(results: Path, after_run: bool = False) -> list[str]:
    """Compare all files with what the records of their jobs say, and write the manifest.

    Args:
        results: the folder.
        after_run: a run has just made all that is needed. So only sizes are compared and no file is read, files that
            are gone are forgotten, and files that the workflow did not make are passed over.

    Returns:
        One line for each file that is changed, missing, unknown or left over.
    """
    records = read_records(results)
    if not records:
        raise cli.UserError(f"{results} has no records of a run in {results / JOBS}; run the workflow first")
    made = owners(records)
    former = {file: source for source, _, files in former_jobs(results) for file in files}
    changed, unknown = [], []
    for path in list_artifacts(results):
        if source := former.get(results / path):
            unknown.append(f"left over: {results / path} is of a shard that {source} no longer has; delete it")
            continue
        if (record := made.get(path)) is None:
            unknown.append(f"unknown: {results / path} was not made by the workflow; move it elsewhere")
        elif _is_changed(results / path, *record.outputs[path], only_size=after_run):
            changed.append(f"changed: {results / path} is not what {record.name} made; {REMEDY} {results / path}")
    gone = [path for path in sorted(made) if not (results / path).exists() and results / path not in former]
    if after_run:
        made = {path: record for path, record in made.items() if path not in gone}
    write_json(results / MANIFEST, make_manifest(results, made))
    missing = [f"missing: {results / path}; {REMEDY} {results / path}" for path in gone]
    return changed if after_run else changed + missing + unknown


def _is_changed(file: Path, digest: str, size: int, only_size: bool) -> bool:
    return file.stat().st_size != size or (not only_size and sha256_of(file) != digest)


def explain(path: Path) -> str:
    """Return what made a file, and what made that, down to the files on the user's disk.

    Args:
        path: a file below a results folder, as `results/unmask/metrics.json`.

    Raises:
        UserError: no manifest, or the file is not in it.
    """
    results = next((parent for parent in path.parents if (parent / MANIFEST).is_file() and parent.name != "raw"), None)
    if results is None:
        raise cli.UserError(f"no {MANIFEST} above {path}; write it with `make verify`")
    manifest, records = _read_manifest(results), owners(read_records(results))
    target = path.relative_to(results).as_posix()
    if target not in manifest["artifacts"]:
        raise cli.UserError(f"{path} is not in {results / MANIFEST}; `make verify` takes new files into it")
    lines = list(_explain_file(manifest, records, results, target, None, "", set()))
    for lock in manifest["libraries"]:
        named = (f"{name} {version}" for name, version in manifest["libraries"][lock].items())
        lines.append(f"libraries of the lock file {lock}: {', '.join(named)}")
    return "\n".join(map(readable, lines))


def _explain_file(
    manifest: dict,
    records: dict[str, Record],
    results: Path,
    path: str,
    used: str | None,
    indent: str,
    told: set[str],
) -> Iterator[str]:
    """Yield the lines on one file; `used` is the SHA-256 that it had as an input, `told` the jobs already explained."""
    row = manifest["artifacts"].get(path)
    if row is None:
        yield f"{indent}{results / path} is not in the manifest"
        return
    since = " (made again since)" if used not in (None, row["sha256"]) else ""
    yield f"{indent}{results / path}  {row['size']:,} bytes  sha256 {row['sha256'][:16]}…{since}"
    indent += "  "
    job, record = manifest["jobs"][row["job"]], records.get(path)
    if row["job"] in told:
        yield f"{indent}by {row['job']}, see above"
        return
    told.add(row["job"])
    when = f", {datetime.fromtimestamp(record.made[1]):%Y-%m-%d %H:%M:%S}" if record else ""
    yield f"{indent}by {row['job']} (python -m {job['module']}){when}"
    yield f"{indent}digests: " + ", ".join(f"{name} {value}" for name, value in job["digests"].items())
    for name, value in job["settings"].items():
        yield f"{indent}{name}: {value if isinstance(value, str) else json.dumps(value)}"
    if "files" in job:
        names = _name_some(read_contents(results, job["wildcards"]))
        yield f"{indent}files: {job['files']['count']} of the source: {names}"
    for name, digest in job["inputs"].items():
        yield from _explain_file(manifest, records, results, name, digest, indent, told)


def compare(first: Path, second: Path) -> str:
    """Return which artifacts differ between two results folders, and for each the first causes.

    A cause is a difference in code, settings, libraries or files of the user; a different input is followed to the job
    that made it.
    """
    old, new = _read_manifest(first), _read_manifest(second)
    lines = []
    for folder, mine, other in ((first, old, new), (second, new, old)):
        only = sorted(mine["artifacts"].keys() - other["artifacts"].keys())
        lines += [f"only in {folder}: {path}" for path in only]
    groups: dict[tuple[str, ...], list[str]] = {}
    for path in sorted(old["artifacts"].keys() & new["artifacts"].keys()):
        if old["artifacts"][path]["sha256"] != new["artifacts"][path]["sha256"]:
            causes = _causes(old, new, (first, second), path, {})
            groups.setdefault(tuple(causes), []).append(path)
    for causes, paths in groups.items():
        lines += [f"{len(paths)} differ, because", *(f"    {cause}" for cause in causes)]
        lines += [f"  {path}" for path in paths]
    return "\n".join(map(readable, lines)) or f"the same {len(old['artifacts'])} artifacts, byte for byte"


def _causes(old: dict, new: dict, folders: tuple[Path, Path], path: str, known: dict[str, list[str]]) -> list[str]:
    """Return the first causes of a difference in one artifact, one line each."""
    if path in known:
        return known[path]
    known[path] = []
    if path not in old["artifacts"] or path not in new["artifacts"]:
        return known[path]
    name = new["artifacts"][path]["job"]
    before, after = (manifest["jobs"][manifest["artifacts"][path]["job"]] for manifest in (old, new))
    causes = [f"{name}: {reason}" for reason in _own_reasons(before, after, old, new, folders)]
    inputs = before["inputs"].keys() & after["inputs"].keys()
    for place in sorted(inputs):
        if before["inputs"][place] != after["inputs"][place]:
            causes += _causes(old, new, folders, place, known)
    for place in sorted(before["inputs"].keys() ^ after["inputs"].keys()):
        causes.append(f"{name}: input {place} only in {folders[place in after['inputs']]}")
    known[path] = list(dict.fromkeys(causes)) or [
        f"{name}: code, settings, libraries and inputs are the same, the bytes are not: another kind of machine?"
    ]
    return known[path]


def _own_reasons(before: dict, after: dict, old: dict, new: dict, folders: tuple[Path, Path]) -> list[str]:
    """Return in what one job differs, apart from what its inputs contain."""
    reasons = [f"setting {line}" for line in differences(before["settings"], after["settings"])]
    for name in sorted({*before["digests"], *after["digests"]}):
        pair = [job["digests"].get(name, "none") for job in (before, after)]
        if pair[0] != pair[1]:
            reasons.append(f"{name} {pair[0]} -> {pair[1]}")
    versions = [
        manifest["libraries"].get(job["digests"].get("lock", "none")) for manifest, job in ((old, before), (new, after))
    ]
    reasons += [f"library {line}" for line in differences(*versions)]
    if before.get("files") != after.get("files"):
        listings = [
            read_contents(folder, job["wildcards"]) for folder, job in zip(folders, (before, after), strict=True)
        ]
        names = sorted(name for name in {*listings[0], *listings[1]} if listings[0].get(name) != listings[1].get(name))
        reasons.append(f"{len(names)} files of the source differ: {_name_some(names)}")
    return reasons


def _name_some(names: Iterable[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:NAMED]) + (" …" if len(some) > NAMED else "")


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise cli.UserError(f"{path} is damaged ({error}); delete it, `make verify` writes it anew") from error


def _read_manifest(results: Path) -> dict:
    if manifest := _read_json(results / MANIFEST):
        parts = manifest.values() if isinstance(manifest, dict) else ()
        if not {"artifacts", "jobs", "libraries"} <= {*manifest} or not all(isinstance(part, dict) for part in parts):
            raise cli.UserError(f"{results / MANIFEST} is damaged; delete it, `make verify` writes it anew")
        return manifest
    raise cli.UserError(f"no {results / MANIFEST}; run `make verify` there")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line; a mismatch ends with exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check", "update"):
        commands.add_parser(name).add_argument("--results", default="results")
    commands.add_parser("explain").add_argument("path", type=_on_disk)
    comparison = commands.add_parser("compare")
    comparison.add_argument("first", type=_on_disk)
    comparison.add_argument("second", type=_on_disk)
    args = parser.parse_args(argv)
    if args.command == "explain":
        print(explain(args.path))
    elif args.command == "compare":
        print(compare(args.first, args.second))
    else:
        problems, count = _checked(args.results, after_run=args.command == "update")
        print(
            "\n".join(map(readable, problems)) or f"{args.results}/{MANIFEST}: {count} files are what the workflow made"
        )
        sys.exit(1 if problems else 0)


def _on_disk(place: str) -> Path:
    """Return a path of the command line; `check` alone reads a bucket.

    Raises:
        UserError: it names a bucket.
    """
    if place.startswith(bucket.SCHEME):
        raise cli.UserError(f"{place} is in a bucket; copy its results to a folder first (docs/object-storage.md)")
    return Path(place)


def _checked(place: str, after_run: bool) -> tuple[list[str], int]:
    """Check a results folder, or a copy of one in a bucket, and return the problems and the number of its files."""
    if not place.startswith(bucket.SCHEME):
        results = Path(place)
        return check(results, after_run), len(_read_manifest(results)["artifacts"])
    with bucket.copied(place) as copy:
        problems = check(copy, after_run)
        bucket.put(copy / MANIFEST, f"{place.rstrip('/')}/{MANIFEST}")
        return [line.replace(str(copy), "results") for line in problems], len(_read_manifest(copy)["artifacts"])


if __name__ == "__main__":
    cli.run(main)
