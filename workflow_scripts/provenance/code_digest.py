"""Digest of the code that a stage runs: its module and every project module that it imports, directly or not."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# The values of the configuration reach a stage as options of its command, which are tracked by themselves. Provenance
# describes results and does not change any.
UNTRACKED = ("workflow_scripts.config", "workflow_scripts.provenance")


@cache
def code_digest(*modules: str) -> str:
    """Return a digest of the syntax trees, without docstrings, of `modules` and all that they import from this project.

    Args:
        modules: names below `workflow_scripts`, for example `stages.faces.crop_faces` or `systems.unmask.training`.

    Raises:
        FileNotFoundError: no such module.
    """
    seen: dict[str, str] = {}
    queue = [f"workflow_scripts.{name}" for name in modules]
    while queue:
        name = queue.pop()
        if name in seen or name.startswith(UNTRACKED) or name.rpartition(".")[2].lstrip("_") == "config":
            continue
        seen[name], imports = _read(name)
        queue += imports
    text = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return f"code:{hashlib.sha256(text.encode()).hexdigest()[:16]}"  # named, as Snakemake records values only


@cache
def _read(name: str) -> tuple[str, list[str]]:
    """Return the digest of one module's code and the project modules it imports, parent packages included."""
    path = _path(name)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports.add(node.module)
            imports |= {f"{node.module}.{alias.name}" for alias in node.names}
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    found = {module for module in imports if module.startswith("workflow_scripts.") and _exists(module)}
    found |= {parent for module in found | {name} if (parent := module.rpartition(".")[0]) != "workflow_scripts"}
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest, sorted(found - {name, ""})


def _path(name: str) -> Path:
    base = PACKAGE.joinpath(*name.split(".")[1:])
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    if not path.is_file():
        raise FileNotFoundError(f"no module {name} ({path})")
    return path


def _exists(name: str) -> bool:
    base = PACKAGE.joinpath(*name.split(".")[1:])
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()
