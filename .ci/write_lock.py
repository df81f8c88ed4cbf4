"""Write the lock files of envs/ from pyproject.toml: every package with the hashes of all its files.

PyPI's torch for Linux is a build for CUDA, which needs packages that the build for the CPU alone does not: cuda.lock
has them. torch-cpu.lock has that other build, which pip finds only where it is configured to, as in a folder of wheels.
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
    *(UV, "pip", "compile", "pyproject.toml", "--group", "dev", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--no-config"),
]


def main() -> None:
    """Ask for the newest allowed versions, and write both files."""
    compiled = subprocess.run(COMPILE, cwd=ROOT, capture_output=True, text=True, check=False)
    if compiled.returncode:
        raise SystemExit(f"error: {compiled.stderr.strip()}")
    packages = re.split(r"^(?=\S)", compiled.stdout, flags=re.M)
    for name, wanted in (("requirements.lock", False), ("cuda.lock", True)):
        text = "".join(package for package in packages if bool(CUDA.match(package)) == wanted)
        (ROOT / "envs" / name).write_text(HEAD + text, encoding="utf-8")


if __name__ == "__main__":
    main()
