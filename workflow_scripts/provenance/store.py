"""A store of results that working copies and experiments share.

The store is a folder named by the environment variable `FACE_WORKFLOW_STORE`; without it, every stage just runs.
Results are known by a digest of the stage, its code, the lock file, its settings and the contents of all inputs; the
names of sources and experiments are no part of it. Pictures on the user's disk are known by the index, which holds
their digests.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core.files import atomic_path, files_in, sha256_of, write_json

STORE = "FACE_WORKFLOW_STORE"
ENTRY = "entry.json"


class Job(NamedTuple):
    """A job whose results may be in the store.

    Attributes:
        module: of the stage.
        code: digests of its code and of the lock file.
        settings: its options that are no paths, as JSON holds them.
        inputs: option -> paths `results/{source or experiment}/…`; their contents and the rest of their names count.
        outputs: where the results go, which is no part of the digest.
    """

    module: str
    code: str
    settings: Mapping[str, object]
    inputs: Mapping[str, Sequence[Path]]
    outputs: Sequence[Path]


def result_key(job: Job) -> str:
    """Return the digest by which a job's results are known."""
    inputs = {
        name: [[*file.parts[2:], sha256_of(file)] for path in paths for file in files_in(path)]
        for name, paths in job.inputs.items()
    }
    parts = [job.module, job.code, job.settings, inputs]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_entry(job: Job) -> Path | None:
    """Return where the store keeps a job's results, whether they are there or not; None without a store."""
    store = os.environ.get(STORE)
    if not store:
        return None
    key = result_key(job)
    return Path(store) / key[:2] / key


def take(entry: Path, outputs: Sequence[Path]) -> bool:
    """Copy results from an entry of the store; return whether all were there and whole. A damaged entry is deleted."""
    if not entry.is_dir():
        return False
    try:
        known = json.loads((entry / ENTRY).read_text(encoding="utf-8"))
        for number in known["folders"]:
            shutil.rmtree(outputs[number], ignore_errors=True)
            outputs[number].mkdir(parents=True)
        for name, digest in known["files"].items():
            number, *below = name.split("/")
            with atomic_path(outputs[int(number)].joinpath(*below)) as temporary:
                shutil.copyfile(entry / name, temporary)
                if sha256_of(temporary) != digest:
                    raise ValueError(f"{name} has changed")
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        print(f"the store's entry {entry} is damaged ({error}); the stage runs instead", file=sys.stderr)
        shutil.rmtree(entry, ignore_errors=True)
        return False
    print(f"taken from the store: {entry}", file=sys.stderr)
    return True


def put(entry: Path, outputs: Sequence[Path]) -> None:
    """Copy results into the store; the entry appears whole or not at all. A store that cannot be written is named."""
    new = entry.with_name(f".{entry.name}.{os.uname().nodename}.{os.getpid()}")
    try:
        new.mkdir(parents=True)
        files, folders = {}, []
        for number, output in enumerate(outputs):
            if output.is_dir():
                folders.append(number)
                (new / str(number)).mkdir()
            for path in files_in(output):
                name = "/".join([str(number), *path.relative_to(output).parts])
                shutil.copyfile(path, new / name)
                files[name] = sha256_of(new / name)
        write_json(new / ENTRY, {"files": files, "folders": folders})
        new.rename(entry)
    except OSError as error:
        if not entry.is_dir():  # else another run was faster
            print(f"the results are not put into the store: {error}", file=sys.stderr)
    finally:
        shutil.rmtree(new, ignore_errors=True)
