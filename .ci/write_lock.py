"""Write the lock files of envs/ from pyproject.toml: every package with the hashes of all its files.

PyPI's torch for Linux is a build for CUDA, which needs packages that the build for the CPU alone does not: cuda.lock
has them. torch-cpu.lock has that other build, which pip finds only where it is configured to, as in a folder of wheels.
What only some need has a group of its own in pyproject.toml, and a lock that adds to the others: {group}.lock.
"""

import re
import subprocess
import sys
from pathlib import Path

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
ADDED = ("cluster",)  # groups with a lock of their own, each of which adds to those before it


def main() -> None:
    """Ask for the newest allowed versions, and write all files."""
    packages = compile_group("dev")
    write("requirements", [package for package in packages if not CUDA.match(package)])
    write("cuda", [package for package in packages if CUDA.match(package)])
    write_added()


def write_added() -> None:
    """Write the locks of `ADDED`: what they need beside the others, in versions that go with them."""
    locks = ["requirements", "cuda"]
    for group in ADDED:
        constraints = [option for lock in locks for option in ("--constraint", f"envs/{lock}.lock")]
        known = {name_of(package) for lock in locks for package in split((ROOT / f"envs/{lock}.lock").read_text())}
        write(group, [package for package in compile_group(group, *constraints) if name_of(package) not in known])
        locks.append(group)


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
