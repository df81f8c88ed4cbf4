"""Run a stage, or take what it would make from a store that working copies and experiments share.

    python -m workflow_scripts.provenance.reuse_results …options… -- python -m MODULE …

The store is a folder named by the environment variable `FACE_WORKFLOW_STORE`; without it, the stage just runs. Results
are known by a digest of the stage's code, the lock file, the command and the contents of all inputs; names of sources
and experiments are no part of it. Pictures on the user's disk are known by the index, which holds their digests.
"""

import argparse
import hashlib
import json
import os
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path, write_json

STORE = "FACE_WORKFLOW_STORE"
ENTRY = "entry.json"


def result_key(code: str, lock: str, inputs: Sequence[Path], outputs: Sequence[Path], command: Sequence[str]) -> str:
    """Return the digest by which a stage's results are known.

    Args:
        code: digest of the stage's code.
        lock: digest of the lock file.
        inputs: `results/{source or experiment}/…`; their contents count, and their names below that folder.
        outputs: where the results go; where that is, does not count.
        command: of the stage. Other paths in `results/`, where a stage takes notes, do not count.
    """
    below = {str(path): ["input", *path.parts[2:], _sha256(path)] for path in inputs}
    places = {str(path): ["output", number] for number, path in enumerate(outputs)}
    words = [below.get(word) or places.get(word) or ("" if word.startswith("results/") else word) for word in command]
    parts = [code, lock, words, sorted(below.values())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


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
                if _sha256(temporary) != digest:
                    raise ValueError(f"{name} has changed")
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        print(f"the store's entry {entry} is damaged ({error}); the stage runs instead", file=sys.stderr)
        shutil.rmtree(entry, ignore_errors=True)
        return False
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
            for path in sorted(output.rglob("[!.]*")) if output.is_dir() else [output]:
                name = "/".join([str(number), *path.relative_to(output).parts])
                shutil.copyfile(path, new / name)
                files[name] = _sha256(new / name)
        write_json(new / ENTRY, {"files": files, "folders": folders})
        new.rename(entry)
    except OSError as error:
        if not entry.is_dir():  # else another run was faster
            print(f"the results are not put into the store: {error}", file=sys.stderr)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(argv: list[str] | None = None) -> None:
    """Parse the command line; run the stage in this process if the store does not have its results."""
    argv = sys.argv[1:] if argv is None else argv
    split = argv.index("--")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--code", required=True, help="digest of the stage's code")
    parser.add_argument("--lock", required=True, help="digest of the lock file")
    parser.add_argument("--inputs", type=Path, nargs="+", required=True)
    parser.add_argument("--outputs", type=Path, nargs="+", required=True)
    args = parser.parse_args(argv[:split])
    _python, _option, module, *rest = command = argv[split + 1 :]
    entry = None
    if store := os.environ.get(STORE):
        key = result_key(args.code, args.lock, args.inputs, args.outputs, command)
        entry = Path(store) / key[:2] / key
        if take(entry, args.outputs):
            print(f"taken from the store: {entry}", file=sys.stderr)
            return
    sys.argv[1:] = rest
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    if entry:
        put(entry, args.outputs)


if __name__ == "__main__":
    cli.run(main)
