"""The lock files: every package is pinned by version and by the SHA-256 of all its files, and nothing is left out."""

import re
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from projects import ROOT

LOCKS = sorted((ROOT / "envs").glob("*.lock"))


def pinned(text: str) -> dict[str, tuple[list[Requirement], list[str]]]:
    """Return package -> its requirements and the hashes of its files."""
    found: dict[str, tuple[list[Requirement], list[str]]] = {}
    for block in re.split(r"^(?=[^\s#])", text, flags=re.M)[1:]:
        requirement, *hashes = block.replace("\\\n", " ").split(" --hash=")
        requirements, known = found.setdefault(canonicalize_name(Requirement(requirement).name), ([], []))
        requirements.append(Requirement(requirement))
        known += [digest.strip() for digest in hashes]
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_has_one_version_and_the_hashes_of_its_files(lock):
    packages = pinned(lock.read_text())
    assert packages
    for name, (requirements, hashes) in packages.items():
        assert all(re.fullmatch(r"==[^*,]+", str(requirement.specifier)) for requirement in requirements), name
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), name


def test_everything_that_is_installed_is_in_a_lock():
    """`--no-deps` installs what is listed and no more, so the lists must hold all that the packages need."""
    packages = {name for lock in LOCKS for name in pinned(lock.read_text())}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"].values()
    wanted = [*project["project"]["dependencies"], *(package for group in groups for package in group)]
    seen = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if (name, *sorted(extras)) in seen or not applies(requirement, {""}):
            continue
        seen.add((name, *sorted(extras)))
        assert name in packages, name
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        wanted += [text.partition(";")[0] for text in needed if applies(Requirement(text), extras)]


def applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def test_the_build_for_the_cpu_is_of_the_same_version():
    ours, cpu = (pinned((ROOT / f"envs/{name}.lock").read_text())["torch"][0] for name in ("requirements", "torch-cpu"))
    assert [str(requirement.specifier).partition("+")[0] for requirement in cpu] == [str(ours[0].specifier)]


def test_what_cuda_needs_is_for_linux_alone():
    for name, (requirements, _) in pinned((ROOT / "envs/cuda.lock").read_text()).items():
        assert all("sys_platform == 'linux'" in str(r.marker).replace('"', "'") for r in requirements), name


def test_nothing_is_installed_without_its_hash():
    for file in (ROOT / "Makefile", ROOT / ".ci/run"):
        for line in file.read_text().splitlines():
            assert "pip install" not in line or "--require-hashes" in line, line
