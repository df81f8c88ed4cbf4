"""Files of shards that a source no longer has, because it is divided into fewer than before.

No job makes or reads them any more, but who reads a folder of shards would take their items twice.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.provenance.records import JOBS, RECORDS

FIRST = "00000.json"  # the record of a job of a source's first shard, which every division has


def former_jobs(results: Path) -> Iterator[tuple[str, Path, list[Path]]]:
    """Yield source, record and files of each job of a shard that its source no longer has.

    Those of a stage are left out until the stage has run on the source as it is divided now.
    """
    home = results / JOBS
    for index in sorted((home / "index_source").glob(f"*/{FIRST}")):
        source, first = index.parent.name, _read(index)
        count = first.get("settings", {}).get("shards")
        for folder in sorted(home.glob(f"*/**/{source}")) if count else ():
            is_now = folder == index.parent or _ended(_read(folder / FIRST)) > _ended(first)
            for record in sorted(folder.glob("[0-9]*.json")) if is_now else ():
                if record.stem.isdigit() and int(record.stem) >= count:
                    files = [results / name for name in _read(record).get("outputs", {}) if _is_below(name)]
                    yield source, record, files


def remove_former_shards(results: Path) -> list[str]:
    """Delete these files, and return a line for each source that had any."""
    removed: dict[str, int] = {}
    for source, record, files in list(former_jobs(results)):
        for file in files:
            file.unlink(missing_ok=True)
        if record.parent.parent.name == "index_source":
            (results / RECORDS / "contents" / source / record.name).unlink(missing_ok=True)
        record.unlink()
        removed[source] = removed.get(source, 0) + len(files)
    return [
        f"{source} is divided into fewer shards than before; {count} files of the others were deleted"
        for source, count in removed.items()
    ]


def _is_below(name: str) -> bool:
    """Tell whether a name leads to a file of the results; records may be other people's, and files are deleted."""
    return not os.path.isabs(name) and ".." not in Path(name).parts


def _read(record: Path) -> dict:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _ended(record: dict) -> float:
    return record.get("made", [0, 0])[1]
