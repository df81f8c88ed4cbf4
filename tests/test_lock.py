"""The lock files: every package is pinned by version and by the SHA-256 of all its files, and nothing is left out."""

import ast
import os
import re
import sys
import tomllib
from functools import cache
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from projects import ROOT, Project

sys.path.insert(0, str(ROOT / ".ci"))
from write_lock import conda_files

ADAPTERS = [path for path in (ROOT / "workflow_scripts/sources").glob("*.py") if path.stem != "__init__"]
SHOW_CONDA_FILES = """

for one in workflow.rules:
    print("RULE", one.name, one.snakefile, one.conda_env)
"""
OPTIONAL = {"pillow_heif", "boto3", "botocore", "onnx", "onnxruntime"}  # imported where they are installed
OPTIONAL |= {"diffusers", "peft", "transformers"}  # the group `paintings`
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
    for file in ("Makefile", ".ci/run", "envs/Dockerfile", "envs/apptainer.def"):
        for line in (ROOT / file).read_text().splitlines():
            assert "pip install" not in line or "--require-hashes" in line, line


@pytest.mark.parametrize("recipe", ["Dockerfile", "apptainer.def"])
def test_a_container_is_made_of_the_locks_of_all_rules(recipe):
    text = (ROOT / "envs" / recipe).read_text()
    (installed,) = re.findall(r"pip install .*", text)
    assert re.findall(r"-r (\S+)\.lock", installed) == ["requirements", "cuda", "s3", "exports", "paintings"]
    # What a recipe of Apptainer puts into /tmp, the machine's own /tmp hides while it builds.
    assert re.search(r"envs/\*\.lock /opt/locks/$", text, re.M) and "cd /opt/locks" in text


def test_a_job_runs_in_the_container_also_in_a_folder_with_blanks(astronaut, tmp_path, monkeypatch):
    # Apptainer is no package of Debian's release: what stands for it notes its arguments and runs the command.
    stand_in = tmp_path / "bin/apptainer"
    stand_in.parent.mkdir()
    stand_in.write_text(
        '#!/bin/bash\n[ "$1" = --version ] && { echo "apptainer version 1.4.5"; exit; }\n'
        f'printf "%s\\n" "$@" >> "{tmp_path}/said"\nexec "${{@: -3}}"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    project = Project.create(tmp_path / "my project", astronaut)
    project.said("--sdm", "apptainer", "--", "results/photos/index/00000.parquet")
    said = (tmp_path / "said").read_text().splitlines()
    assert said[:3] == ["exec", "--home", str(project.root)]
    assert said[said.index("bash") - 1] == "envs/face-workflow.sif"
    assert "python -m workflow_scripts.stages.sources.index_source" in said[-1]


def test_conda_files_are_made_of_the_locks():
    files = conda_files()
    assert files == {path.stem: path.read_text() for path in (ROOT / "envs/conda").glob("*.yaml")}
    known = [pin for lock in ("requirements", "cuda") for pin in pinned_lines(lock)]
    for name, text in files.items():
        (pip,) = (part["pip"] for part in yaml.safe_load(text)["dependencies"] if isinstance(part, dict))
        assert pip[0] == "--require-hashes" and set(pip[1:]) <= set(known), name
    assert "torch==" in files["networks"] and "nvidia-" in files["networks"] and "torch==" not in files["pictures"]


def pinned_lines(lock: str) -> list[str]:
    text = (ROOT / f"envs/{lock}.lock").read_text()
    return [" ".join(block.replace("\\\n", " ").split()) for block in re.split(r"^(?=[^\s#])", text, flags=re.M)[1:]]


def test_no_stage_imports_what_the_conda_file_of_its_rule_lacks(astronaut, tmp_path):
    project = Project.create(tmp_path / "project", astronaut, photos=False)
    # The sample has every family but that of text-to-picture models, whose packages are a group of their own.
    config, painted = (
        yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", "presets/paintings-tiny.yaml")
    )
    project.configure({**config, **{key: config[key] | painted[key] for key in ("sources", "experiments")}})
    with (project.root / "Snakefile").open("a") as snakefile:
        snakefile.write(SHOW_CONDA_FILES)
    said = project.said("--list-rules")
    rows = re.findall(r"^RULE (\w+) \S*/rules/(\w+)\.smk \S*/envs/conda/(\w+)\.yaml$", said, re.M)
    texts = [file.read_text() for file in (ROOT / "rules").glob("*.smk")]
    assert sorted(rule for rule, *_ in rows) == sorted(re.findall(r"^rule (\w+):", "".join(texts), re.M))
    providers, listings = metadata.packages_distributions() | {"dlib": ["dlib-bin"]}, conda_files()
    for rule, phase, environment in rows:
        listed = {canonicalize_name(name) for name in re.findall(r"^      - ([\w.-]+)==", listings[environment], re.M)}
        for module in imported(f"workflow_scripts.stages.{phase}.{rule}") - OPTIONAL:
            assert listed & {canonicalize_name(name) for name in providers[module]}, (rule, module)


def imported(stage: str) -> set[str]:
    """Return the packages that a stage imports, or a module of the project that it may load; adapters by their name."""
    queue = [stage, *(f"workflow_scripts.sources.{path.stem}" for path in ADAPTERS)]
    seen, found = set(), set()
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            names = imports_of(module)
            queue += [name for name in names if name.startswith("workflow_scripts.")]
            found |= {name.partition(".")[0] for name in names}
    return found - {"workflow_scripts"} - sys.stdlib_module_names


@cache
def imports_of(module: str) -> list[str]:
    """Return what a module of the project imports; nothing for what is no module."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names = []
    for node in ast.walk(ast.parse(file.read_text())) if file.is_file() else ():
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names
