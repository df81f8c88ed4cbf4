"""The manifest of a results folder: every file's digest and what made it, gathered from the records of its jobs.

`results/manifest.json` holds nothing that differs between two equal rebuilds; times are in the records.

    artifacts   path below results/ -> sha256, size, job
    jobs        "stage wildcards" -> what its files depend on:
                stage, module, wildcards (their values, in the order of the record's path), settings (options of its
                command: the slices of the configuration), digests (of its code and of the lock file), inputs
                (path -> SHA-256), and for an index the number and digest of the files on the user's disk
    libraries   digest of the lock file -> versions installed when it was in use
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from workflow_scripts.provenance.records import RECORDS, Record

MANIFEST = "manifest.json"
# Files that differ between equal rebuilds, and files that are made of others in the manifest or by other commands.
APART = ("logs", "benchmarks", RECORDS, MANIFEST, "report.html", "README.md")
APART += ("benchmark-runs", "scale.json", "scale.md")


def is_artifact(path: PurePosixPath) -> bool:
    """Tell whether a path below `results/` belongs in the manifest."""
    apart = path.parts[0] in APART or path.parts[1:2] == ("resume",)
    return not apart and path.name != ".snakemake_timestamp"


def list_artifacts(results: Path) -> list[str]:
    """Return the files of a results folder that belong in its manifest, sorted."""
    files = (path.relative_to(results) for path in results.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if is_artifact(path))


def owners(records: Iterable[Record]) -> dict[str, Record]:
    """Return path below `results/` -> the record of the job that made it last."""
    return {path: record for record in records for path in record.outputs if is_artifact(PurePosixPath(path))}


def make_manifest(results: Path, made: dict[str, Record]) -> dict:
    """Return the manifest of files and the jobs that made them.

    Args:
        results: the folder.
        made: as `owners` returns it, of the files that are to be in the manifest.
    """
    artifacts = {}
    for path, record in sorted(made.items()):
        digest, size = record.outputs[path]
        artifacts[path] = {"sha256": digest, "size": size, "job": record.name}
    jobs = {record.name: record for record in made.values()}
    libraries: dict[str, dict[str, str]] = {}
    for record in jobs.values():
        libraries.setdefault(record.digests.get("lock", "none"), {}).update(record.libraries)
    return {
        "artifacts": artifacts,
        "jobs": {name: describe_job(results, record) for name, record in jobs.items()},
        "libraries": libraries,
    }


def describe_job(results: Path, record: Record) -> dict:
    """Return what a job's files depend on, as in the manifest."""
    job = {
        "stage": record.stage,
        "module": record.module,
        "wildcards": record.wildcards,
        "digests": record.digests,
        "settings": record.settings,
        "inputs": record.inputs,
    }
    if contents := read_contents(results, record.wildcards) if record.stage == "index_source" else None:
        lines = "\n".join(f"{name} {contents[name]}" for name in sorted(contents))
        job["files"] = {"count": len(contents), "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    return job


def read_contents(results: Path, wildcards: list[str]) -> dict[str, str]:
    """Return file -> SHA-256 of what the index of a shard was made of; empty where that was not noted."""
    source, shard = wildcards
    try:
        note = results / RECORDS / "contents" / source / f"{shard}.json"
        return {name: row[2] for name, row in json.loads(note.read_text(encoding="utf-8").splitlines()[1]).items()}
    except (OSError, ValueError, IndexError):
        return {}


def differences(old: object, new: object, place: str = "") -> Iterator[str]:
    """Yield one line for each value in which two settings differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{place}.{key}" if place else key)
    elif old != new:
        yield f"{place}: {json.dumps(old)} -> {json.dumps(new)}"
