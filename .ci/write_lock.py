"""Write the lock files of envs/ from pyproject.toml: every package with the hashes of all its files.

PyPI's torch for Linux is a build for CUDA, which needs packages that the build for the CPU alone does not: cuda.lock
has them. torch-cpu.lock has that other build, which pip finds only where it is configured to, as in a folder of wheels.
What only some need has a group of its own in pyproject.toml, and a lock that adds to the others: {group}.lock.

The files of conda/, for `snakemake --sdm conda`, repeat the pins of these locks, without what only developers need.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HEAD = (
    "# Written by `make lock` from pyproject.toml, for pip install --require-hashes --no-deps: all of it is listed.\n"
)
CUDA = re.compile(r"(nvidia-|cuda-|triton)")
UV = Path(sys.executable).parent / "uv"
COMPILE = [
    *(UV, "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--no-config"),
]
CONDA_HEAD = """\
# Written by `make lock` from envs/requirements.lock and envs/cuda.lock; do not edit.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
      - --require-hashes
"""
OF_NETWORKS = ("torch", "tensorboardx")
# Groups with a lock of their own -> the groups that each adds to, beside what everybody has.
ADDED = {
    "htcondor": [],
    "kubernetes": [],
    "slurm": [],
    "s3": [],
    "s3-test": ["s3"],
    "paintings": [],
    "exports": [],
    "exports-test": ["exports"],
    "app": [],
    "app-test": ["app"],
}


def main() -> None:
    """Ask for the newest allowed versions, and write all files."""
    packages = compile_group("dev")
    write("requirements", [package for package in packages if not CUDA.match(package)])
    write("cuda", [package for package in packages if CUDA.match(package)])
    write_added()
    for name, text in conda_files().items():
        (ROOT / f"envs/conda/{name}.yaml").write_text(text, encoding="utf-8")


def write_added() -> None:
    """Write the locks of `ADDED`: what they need beside the others, in versions that go with them."""
    for group, others in ADDED.items():
        locks = ["requirements", "cuda", *others]
        constraints = [option for lock in locks for option in ("--constraint", f"envs/{lock}.lock")]
        constraints += ["--override", "envs/overrides.txt"]
        known = {name_of(package) for lock in locks for package in split((ROOT / f"envs/{lock}.lock").read_text())}
        write(group, [package for package in compile_group(group, *constraints) if name_of(package) not in known])


def conda_files() -> dict[str, str]:
    """Return name -> text of the conda files: `networks` has all dependencies, `pictures` those but torch."""
    pins, cuda = (
        [re.sub(r" \\\n *", " ", package).strip() for package in split((ROOT / f"envs/{lock}.lock").read_text())]
        for lock in ("requirements", "cuda")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    groups = {"networks": project, "pictures": [text for text in project if name_of(text) not in OF_NETWORKS]}
    files = {}
    for name, wanted in groups.items():
        needed = set(_closure(wanted))
        chosen = [pin for pin in pins if canonicalize_name(name_of(pin)) in needed]
        chosen += cuda if "torch" in needed else []
        files[name] = CONDA_HEAD + "".join(f"      - {pin}\n" for pin in chosen)
    return files


def _closure(wanted: list[str]) -> Iterator[str]:
    """Yield the names of the packages that requirements need, on any system, by what is installed here."""
    queue, seen = [Requirement(text) for text in wanted], set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        yield name
        for extra in requirement.extras or {""}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                needed = [Requirement(text) for text in metadata.requires(name) or ()]
            except metadata.PackageNotFoundError:  # needed on other systems alone
                continue
            queue += [found for found in needed if _may_apply(found, extra)]


def _may_apply(requirement: Requirement, extra: str) -> bool:
    """Return whether a requirement holds with an extra, on this system or on another."""
    conditions = re.findall(r"extra == [\"']([^\"']+)[\"']", str(requirement.marker or ""))
    return not conditions or extra in conditions


def compile_group(group: str, *options: str) -> list[str]:
    """Return the packages of the project and a group, each with the hashes of its files."""
    command = [*COMPILE, "--group", group, *options]
    compiled = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if compiled.returncode:
        raise SystemExit(f"error: {compiled.stderr.strip()}")
    return split(compiled.stdout)


def split(text: str) -> list[str]:
    """Return the packages of a lock file, without its comments."""
    return [package for package in re.split(r"^(?=\S)", text, flags=re.M) if re.match("[A-Za-z]", package)]


def name_of(package: str) -> str:
    """Return the name of a package of a lock file."""
    return re.match(r"[\w.-]+", package)[0]


def write(lock: str, packages: list[str]) -> None:
    """Write a lock file."""
    (ROOT / f"envs/{lock}.lock").write_text(HEAD + "".join(packages), encoding="utf-8")


if __name__ == "__main__":
    main()
