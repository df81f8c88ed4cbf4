"""A store of results that working copies and experiments share.

The store is a folder named by the environment variable `FACE_WORKFLOW_STORE`; without it, every stage just runs.
Results are known by a digest of the stage, its code, the lock file, its settings and the contents of all inputs; the
names of sources and experiments are no part of it. Pictures on the user's disk are known by the index, which holds
their digests.

Who can write into a store decides what stages return. So a store that others can write to is refused, unless
`FACE_WORKFLOW_STORE_SHARED=1` says that they are trusted. With `FACE_WORKFLOW_STORE_KEY`, a secret text, entries are
signed, and taken only if they are signed with the same text. Whatever an entry holds, nothing is read or written but
the regular files of the outputs that the job declares.
"""

import hashlib
import hmac
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from workflow_scripts.core.cli import NO_SPACE, UserError
from workflow_scripts.core.files import atomic_folder, atomic_path, files_in, sha256_of
from workflow_scripts.core.names import readable

STORE, SHARED, KEY = "FACE_WORKFLOW_STORE", "FACE_WORKFLOW_STORE_SHARED", "FACE_WORKFLOW_STORE_KEY"
ENTRY = "entry.json"
MOST_BYTES = 1 << 26  # of `entry.json`, which holds about 100 bytes for each file
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # opening a pipe would wait for its writer


class Target(NamedTuple):
    """An output of a job.

    Attributes:
        path: where it goes.
        is_folder: whether it is a folder of files, or one file.
    """

    path: Path
    is_folder: bool


class Job(NamedTuple):
    """A job whose results may be in the store.

    Attributes:
        module: of the stage.
        code: digests of its code and of the lock file.
        settings: its options that are no paths, as JSON holds them.
        inputs: option -> paths `results/{source or experiment}/…`; their contents and the rest of their names count.
    """

    module: str
    code: str
    settings: Mapping[str, object]
    inputs: Mapping[str, Sequence[Path]]


def result_key(job: Job) -> str:
    """Return the digest by which a job's results are known."""
    inputs = {
        name: [[*file.parts[2:], sha256_of(file)] for path in paths for file in files_in(path)]
        for name, paths in job.inputs.items()
    }
    parts = [job.module, job.code, job.settings, inputs]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_entry(job: Job) -> Path | None:
    """Return where the store keeps a job's results, whether they are there or not; None without a store.

    Raises:
        UserError: others can write to the store.
    """
    store = os.environ.get(STORE)
    if not store:
        return None
    check_store()
    key = result_key(job)
    return Path(store) / key[:2] / key


def check_store() -> None:
    """Refuse a store that others can write to.

    Raises:
        UserError: there is such a store, and the user has not said that it is shared.
    """
    store = os.environ.get(STORE)
    if not store or not os.path.isdir(store):
        return
    try:
        _refuse_others(os.stat(store))
    except PermissionError as error:
        raise UserError(
            f"{STORE}={store}: {error.strerror}, who could give you results of their own; name a folder of yours, take "
            f"the right away (chmod -R go-w), or set {SHARED}=1 if you trust all of them"
        ) from error


def take(entry: Path, outputs: Sequence[Target]) -> bool:
    """Copy results from an entry of the store; return whether all were there and whole.

    The outputs appear when everything has been copied and checked. An entry that is damaged is deleted.

    Raises:
        OSError: there is no room for the outputs.
    """
    if not os.path.lexists(entry):
        return False
    try:
        with _opened_entry(entry) as folder, ExitStack() as stack:
            files = _read_names(folder, entry.name, outputs)
            places = [
                stack.enter_context((atomic_folder if output.is_folder else atomic_path)(output.path))
                for output in outputs
            ]
            for name, digest in files.items():
                number, *below = name.split("/")
                _copy(folder, name, places[int(number)].joinpath(*below), digest)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise
        what = readable(f"the store's entry {entry} is damaged or cannot be trusted ({error})")
        print(f"{what}; the stage runs instead", file=sys.stderr)
        _delete(entry)
        return False
    print(readable(f"taken from the store: {entry}"), file=sys.stderr)
    return True


def put(entry: Path, outputs: Sequence[Target]) -> None:
    """Copy results into the store; the entry appears whole or not at all. A store that cannot be written is named."""
    new = entry.with_name(f".{entry.name}.{os.uname().nodename}.{os.getpid()}")
    try:
        entry.parents[1].mkdir(parents=True, exist_ok=True)
        for folder in (entry.parent, new):  # whatever the umask allows to others
            folder.mkdir(mode=0o755, exist_ok=folder != new)
        if entry.parent.is_symlink():
            raise OSError(f"{entry.parent} is a link; remove it")
        files = {}
        for number, output in enumerate(outputs):
            for path in files_in(output.path):
                name = "/".join([str(number), *path.relative_to(output.path).parts])
                (new / name).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                shutil.copyfile(path, new / name)
                (new / name).chmod(0o644)
                files[name] = sha256_of(new / name)
        values = {"files": files, "signature": _signature(entry.name, files)}
        (new / ENTRY).write_text(json.dumps(values, indent=1), encoding="utf-8")
        (new / ENTRY).chmod(0o644)
        new.rename(entry)
    except OSError as error:
        if not entry.is_dir():  # else another run was faster
            print(readable(f"the results are not put into the store: {error}"), file=sys.stderr)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _refuse_others(info: os.stat_result) -> None:
    """Raise `PermissionError` if somebody else can write to a file or folder of the store."""
    if os.environ.get(SHARED) == "1":
        return
    if info.st_uid != os.geteuid():
        raise PermissionError(0, "it belongs to somebody else")
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(0, "others can write to it")


def _opened(name: str, flags: int, folder: int | None = None) -> int:
    """Open a file or folder of the store, which others cannot write to."""
    handle = os.open(name, flags, dir_fd=folder)
    try:
        _refuse_others(os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return handle


@contextmanager
def _opened_entry(entry: Path) -> Iterator[int]:
    """Yield the opened folder of an entry. No link is followed on the way to it."""
    with _opened_folder(str(entry.parent)) as above, _opened_folder(entry.name, above) as folder:
        yield folder


@contextmanager
def _opened_folder(name: str, above: int | None = None) -> Iterator[int]:
    handle = _opened(name, FOLDER, above)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _opened_file(folder: int, name: str) -> Iterator[BinaryIO]:
    """Yield a regular file below an opened folder. No link is followed, and no pipe is waited for."""
    *above, name = name.split("/")
    with ExitStack() as stack:
        for part in above:
            folder = stack.enter_context(_opened_folder(part, folder))
        file = stack.enter_context(open(_opened(name, FILE, folder), "rb"))
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{name} is no regular file")
        yield file


def _read_names(folder: int, key: str, outputs: Sequence[Target]) -> dict[str, str]:
    """Return the files of an entry, name -> SHA-256, which are exactly those of the outputs.

    Raises:
        ValueError: they are not, or the entry is not signed with the user's key.
    """
    with _opened_file(folder, ENTRY) as file:
        known = json.loads(file.read(MOST_BYTES))
    files = known.get("files") if isinstance(known, dict) else None
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        raise ValueError(f"{ENTRY} has no files")
    signature = _signature(key, files)
    if signature and not hmac.compare_digest(signature.encode(), str(known.get("signature")).encode()):
        raise ValueError(f"not signed with your {KEY}")
    for number, output in enumerate(outputs):
        if not any(name == str(number) or name.startswith(f"{number}/") for name in files):
            raise ValueError(f"nothing for {output.path}")
    for name in files:
        number, *below = name.split("/")
        if not re.fullmatch(r"\d{1,4}", number, re.ASCII) or int(number) >= len(outputs) or str(int(number)) != number:
            raise ValueError(f"{name} is no output")
        if bool(below) != outputs[int(number)].is_folder:
            raise ValueError(f"{name} is not what {outputs[int(number)].path} is, a file or a folder")
        if any(not part or part.startswith(".") for part in below):
            raise ValueError(f"{name} is no file of a folder of outputs")
    return files


def _signature(key: str, files: Mapping[str, str]) -> str | None:
    """Return the HMAC-SHA256 of an entry's key, names and digests; None without a secret."""
    secret = os.environ.get(KEY)
    if not secret:
        return None
    text = json.dumps([key, files], sort_keys=True, separators=(",", ":"))
    return hmac.new(os.fsencode(secret), text.encode(), "sha256").hexdigest()


def _copy(folder: int, name: str, path: Path, digest: str) -> None:
    """Copy a file of an entry, and check it while it is copied."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with _opened_file(folder, name) as file, path.open("wb") as copy:
        while block := file.read(1 << 20):
            found.update(block)
            copy.write(block)
    if found.hexdigest() != digest or not path.stat().st_size:
        raise ValueError(f"{name} has changed, or is empty")


def _delete(entry: Path) -> None:
    """Delete an entry, or what stands in its place, without following a link out of the store."""
    with suppress(OSError), _opened_folder(str(entry.parent)) as above:
        if stat.S_ISDIR(os.stat(entry.name, dir_fd=above, follow_symlinks=False).st_mode):
            shutil.rmtree(entry.name, ignore_errors=True, dir_fd=above)
        else:
            os.unlink(entry.name, dir_fd=above)
