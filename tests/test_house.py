"""The house stands: rules and stages mirror each other, no import runs upwards, a new family edits no shared file."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from projects import ROOT, Project

from workflow_scripts.config.experiments import experiment_type, system_names

PACKAGE = ROOT / "workflow_scripts"
# From the ground up: a room imports from itself and from the rooms before it.
ROOMS = (
    *("core", "provenance", "config", "sources", "faces", "motion", "occluders", "models", "metrics", "reporting"),
    *("training", "systems", "stages", "commands"),
)
FAMILIES = {experiment_type(system).family for system in system_names()}
NEW = Path(__file__).parent / "seventh_family"


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imported(path: Path) -> list[str]:
    """Return the project's modules that a file imports, as `room.module`."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("workflow_scripts"):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("workflow_scripts")]
    return [name.removeprefix("workflow_scripts.") for name in names]


def test_every_rule_calls_the_stage_of_its_name_in_the_room_that_mirrors_its_file():
    called = set()
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", file.read_text(), flags=re.M)[1:]:
            name = block[: block.index(":")]
            assert re.findall(r"python -m workflow_scripts\.([\w.]+)", block) == [f"stages.{file.stem}.{name}"]
            called.add(f"{file.stem}/{name}")
    lying = {f"{path.parent.name}/{path.stem}" for path in (PACKAGE / "stages").glob("*/*") if path.is_file()}
    assert called == {name for name in lying if not name.endswith("/__init__")}


def test_every_rule_says_what_it_needs_and_writes_its_record_log_and_benchmark_under_its_name():
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", file.read_text(), flags=re.M)[1:]:
            name = block[: block.index(":")]
            for helper in ("record_of", "log_of", "benchmark_of"):
                assert re.search(rf'{helper}\("{name}[/"]', block), f"{name}: {helper}"
            assert re.search(r"mem_mb=\d+", block) and re.search(r"runtime=\d+", block), name
            assert "code=" in block and "digest(" in block, name


def test_every_path_and_text_in_a_command_is_quoted():
    free = {"params.seed", "params.shards", "params.listing", "params.system", "params.role", "params.code"}
    free |= {"params.stages", "params.foreground", "threads", "params.gpus", "RECORD"}
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"\n    shell:\n", file.read_text())[1:]:
            command = block.split("\n\n\n")[0]
            for place in re.findall(r"\{([\w.]+(?::\w)?)\}", command):
                assert place.endswith(":q") or place in free or place.startswith("wildcards."), (file.name, place)


def test_no_import_runs_upwards():
    for path in modules():
        room = path.relative_to(PACKAGE).parts[0]
        for name in imported(path):
            assert ROOMS.index(name.split(".")[0]) <= ROOMS.index(room), f"{path.relative_to(ROOT)} imports {name}"


def test_families_do_not_import_from_each_other():
    for path in modules():
        room, place, *_ = path.relative_to(PACKAGE).parts
        if room not in ("stages", "systems"):
            continue
        own = family_of(place) if room == "systems" else place
        for name in imported(path):
            other = name.split(".")
            if other[0] == "systems" and len(other) > 2:
                assert family_of(other[1]) == own, f"{path.relative_to(ROOT)} imports {name}"


def family_of(folder: str) -> str:
    """Return the family of a folder of `systems/`."""
    return folder.removeprefix("_") if folder.startswith("_") else experiment_type(folder).family


def test_no_shared_file_names_a_family_or_a_system():
    own = {PACKAGE / "systems", PACKAGE / "commands", *(PACKAGE / "stages" / family for family in FAMILIES)}
    # A system may have the name of a shared phase, as that of objects has.
    phases = {path.name for path in (PACKAGE / "stages").iterdir()} - FAMILIES
    names = re.compile(rf"\b({'|'.join(sorted({*FAMILIES, *system_names()} - phases))})\b")
    for path in modules():
        # Occluders are named after what they are, as a system that takes them off may be.
        if own & {*path.parents} or path.parent == PACKAGE / "occluders":
            continue
        for node in ast.walk(without_docstrings(ast.parse(path.read_text()))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not names.search(node.value), f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
    shared = [path for path in (ROOT / "rules").glob("*.smk") if path.stem not in FAMILIES]
    for path in [ROOT / "Snakefile", *shared, *(PACKAGE / "reporting").glob("*/*")]:
        if path.is_file():
            text = re.sub(r'^""".*?"""', "", path.read_text(), count=1, flags=re.S)
            assert not names.search(text), f"{path.relative_to(ROOT)}: {names.search(text)[0]}"


def without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


@pytest.fixture(scope="module")
def enlarged(tmp_path_factory, astronaut) -> Project:
    """A project with one more family of systems, which brings its own files and is configured, and nothing else."""
    project = Project.create(tmp_path_factory.mktemp("enlarged"), astronaut)
    shutil.copytree(NEW, project.root, dirs_exist_ok=True)
    config = project.config()
    training = {"epochs": 2, "batch_size": 8, "preview_items": 2, "threads": 1}
    tint = {"system": "tint", "train": ["photos"], "test": ["photos"], "gallery": 2, "paint": {"training": training}}
    project.configure(config | {"experiments": {"tint": tint}})
    project.said()
    return project


def test_a_new_family_goes_from_raw_pictures_to_the_page_without_a_face(enlarged):
    results = enlarged.root / "results"
    page = (results / "overview.html").read_text()
    assert "Coloured tiles:" in page and 'id="tint-pictures"' in page
    assert not (results / "photos/landmarks").exists() and not (results / "photos/crops").exists()
    for name in ("checkpoints/paint.safetensors", "metrics.json", "quarantine.parquet", "figures/gallery.png"):
        assert (results / "tint" / name).is_file(), name


def test_its_items_are_conserved(enlarged):
    from workflow_scripts.core.tables import read_table

    results = enlarged.root / "results"
    index, lost = (read_table(results / f"photos/{name}.parquet") for name in ("index", "quarantine"))
    splits, own = (read_table(results / f"tint/{name}.parquet") for name in ("splits", "quarantine"))
    assert {*lost["stage"]} == {"index_source"} and "broken.jpg" in set(lost["item"])
    grey = set(own.loc[own["stage"] == "make_tiles", "item"])
    copies = set(own.loc[own["stage"] == "assign_splits", "item"])
    assert grey == {"no_face.png"} and {*splits["item"], *copies} == set(index["item"]) - set(lost["item"])


def test_the_copied_project_is_as_it_was_but_for_the_new_files(enlarged):
    added = {path.relative_to(NEW) for path in NEW.rglob("*") if path.is_file()}
    for folder in ("rules", "workflow_scripts"):
        for path in (enlarged.root / folder).rglob("*"):
            name = path.relative_to(enlarged.root)
            if path.is_file() and name not in added and "__pycache__" not in name.parts:
                assert path.read_bytes() == (ROOT / name).read_bytes(), name
    assert yaml.safe_load((enlarged.root / "config.yaml").read_text())["experiments"].keys() == {"tint"}


def test_what_every_start_reads_of_a_family_is_light():
    modules = ", ".join(f"workflow_scripts.systems._{family}.report" for family in sorted(FAMILIES))
    code = f"import sys, {modules}; print(*{{'torch', 'pandas', 'av', 'cv2', 'PIL', 'matplotlib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
