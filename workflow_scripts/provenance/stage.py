"""A stage as a command. Its options are the parameters of its function, and a record says what was made of what.

    python -m workflow_scripts.stages.faces.crop_faces --help

A stage is one typed function that knows nothing of Snakemake. The types of its parameters say what they are:

| type | option | in the record |
|---|---|---|
| `Input`, `Inputs`, `OptionalInput` | a file or folder that is read, several, one or none | path and SHA-256 |
| `Output`, `OutputFolder` | a file or a folder that is written | path and SHA-256 |
| `Path` | a place for notes that are no result | no |
| `Unrecorded` | a text on which no result depends | no |
| `int`, `float`, `str`, `Literal`, `list[str]` | a value | a setting |
| a group of configuration keys, or a dict of such | its JSON text | a setting |

Every command has four more options. `--record` names the JSON file (see `provenance/records.py`) that is written when
the stage has ended; `--code` gives the digests of its code and of the lock file; `--depends` names files that the stage
finds by itself; with `--reuse`, results that are in the store are taken from there (`provenance/store.py`).
"""

import argparse
import inspect
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from workflow_scripts.core import cli
from workflow_scripts.provenance import store
from workflow_scripts.provenance.records import digest_paths, write_record


class Role(Enum):
    """What a parameter is, where its type alone does not tell."""

    READ = "read"
    WRITTEN = "written"
    FOLDER = "written folder"
    UNRECORDED = "unrecorded"


Input = Annotated[Path, Role.READ]
Inputs = Annotated[list[Path], Role.READ]
OptionalInput = Annotated[Path | None, Role.READ]
Output = Annotated[Path, Role.WRITTEN]
OutputFolder = Annotated[Path, Role.FOLDER]
Unrecorded = Annotated[str, Role.UNRECORDED]


class Parameter(NamedTuple):
    """One parameter of a stage's function.

    Attributes:
        name: in the function; the option has `-` for `_`.
        kind: its type without `Annotated` and `None`.
        role: for an input, an output or an unrecorded text; None for any other.
        default: the value where the option is not given; `inspect.Parameter.empty` where it must be given.
        text: what the function's docstring says of it.
    """

    name: str
    kind: Any
    role: Role | None
    default: Any
    text: str

    @property
    def is_setting(self) -> bool:
        """Whether it is a value on which results may depend."""
        return self.role is None and self.kind is not Path and self.name != "code"

    @property
    def is_json(self) -> bool:
        """Whether the option's value is the JSON text of configuration keys."""
        plain = self.kind in (Path, int, float, str, list[Path], list[str])
        return not plain and get_origin(self.kind) is not Literal

    @property
    def option(self) -> str:
        """The option of the command line."""
        return "--" + self.name.replace("_", "-")


def stage_command(function: Callable[..., None]) -> Callable[[list[str] | None], None]:
    """Return the command line of a stage: a function of its arguments, those of the process by default."""
    parameters = _parameters(function)
    module = sys.modules[function.__module__]
    name = module.__spec__.name if module.__spec__ else function.__module__

    def main(argv: list[str] | None = None) -> None:
        args = vars(_parser(name, function, parameters).parse_args(argv))
        started, record = time.time(), args["record"]
        values = {parameter.name: _value(parameter, args[parameter.name]) for parameter in parameters}
        settings = {p.name: _setting(p, args[p.name]) for p in parameters if p.is_setting}
        read = _paths(parameters, values, Role.READ)
        targets = [
            store.Target(values[p.name], p.role is Role.FOLDER)
            for p in parameters
            if p.role in (Role.WRITTEN, Role.FOLDER)
        ]
        _keep_apart(_flat(read), [target.path for target in targets])
        inputs = digest_paths([*_flat(read), *args["depends"]], record) if record else {}
        entry = store.find_entry(store.Job(name, args["code"], settings, read)) if args["reuse"] else None
        if entry is None or not store.take(entry, targets):
            function(**values)
            if entry is not None:
                store.put(entry, targets)
        if record:
            write_record(record, name, args["code"], settings, inputs, [target.path for target in targets], started)

    main.__doc__ = "Parse the command line and run the stage."
    return main


def _parameters(function: Callable) -> list[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    texts = _argument_texts(function.__doc__ or "")
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, role, default = hints[name], None, parameter.default
        if get_origin(kind) is Annotated:
            kind, role = get_args(kind)
        if get_origin(kind) in (Union, UnionType):
            (kind,) = (part for part in get_args(kind) if part is not type(None))
            default = None
        found.append(Parameter(name, kind, role, default, texts.get(name, "")))
    return found


def _argument_texts(docstring: str) -> dict[str, str]:
    """Return what the section `Args:` of a docstring says of each parameter."""
    section = re.search(r"^ *Args:\n(.*?)(?:\n\s*\n|\Z)", docstring, re.S | re.M)
    texts: dict[str, str] = {}
    for line in section[1].splitlines() if section else ():
        if start := re.match(r"        (\w+): (.*)", line):
            name = start[1]
            texts[name] = start[2]
        elif texts:
            texts[name] += " " + line.strip()
    return texts


def _parser(module: str, function: Callable, parameters: list[Parameter]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=inspect.cleandoc(function.__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    for parameter in parameters:
        parser.add_argument(
            parameter.option, dest=parameter.name, help=parameter.text.replace("%", "%%"), **_form(parameter)
        )
    if all(parameter.name != "code" for parameter in parameters):
        parser.add_argument("--code", default="", help="digests of the stage's code and of the lock file")
    parser.add_argument("--depends", type=Path, nargs="*", default=[], help="files that the stage finds by itself")
    parser.add_argument("--record", type=Path, default=None, help="the JSON file that says what was made of what")
    parser.add_argument("--reuse", action="store_true", default=False, help=f"look in the store (${store.STORE}) first")
    return parser


def _form(parameter: Parameter) -> dict[str, Any]:
    """Return how argparse reads an option."""
    kind = parameter.kind
    form: dict[str, Any] = {"required": parameter.default is inspect.Parameter.empty}
    if not form["required"]:
        form["default"] = parameter.default
    if kind is Path:
        form |= {"type": Path}
        if parameter.default is None:  # a rule whose optional input is absent writes the option without a value
            form |= {"nargs": "?", "const": None}
    elif kind == list[Path]:
        form |= {"type": Path, "nargs": "*"}
    elif kind == list[str]:
        form |= {"nargs": "*"}
    elif kind in (int, float):
        form |= {"type": kind}
    elif get_origin(kind) is Literal:
        form |= {"choices": get_args(kind)}
    elif parameter.is_json:
        form |= {"metavar": "JSON"}
    return form


def _value(parameter: Parameter, given: Any) -> Any:
    """Return the argument that an option's value stands for.

    Raises:
        UserError: a JSON text that does not hold what the parameter needs.
    """
    if not parameter.is_json or not isinstance(given, str):
        return given
    try:
        if get_origin(parameter.kind) is dict:
            _, kind = get_args(parameter.kind)
            return {name: kind.parse(json.dumps(value)) for name, value in json.loads(given).items()}
        return parameter.kind.parse(given)
    except ValueError as error:
        raise cli.UserError(f"{parameter.option}: {' '.join(str(error).split())}") from error


def _setting(parameter: Parameter, given: Any) -> Any:
    """Return an option's value as the record holds it: a JSON text as what it holds, so without defaults."""
    if parameter.is_json and isinstance(given, str):
        return json.loads(given)
    return given.model_dump(mode="json") if hasattr(given, "model_dump") else given


def _paths(parameters: list[Parameter], values: Mapping[str, Any], role: Role) -> dict[str, list[Path]]:
    """Return parameter -> the paths that it names, of those with this role."""
    named = {p.name: values[p.name] for p in parameters if p.role is role and values[p.name] is not None}
    return {name: [paths] if isinstance(paths, Path) else list(paths) for name, paths in named.items()}


def _flat(paths: Mapping[str, list[Path]]) -> list[Path]:
    return [path for several in paths.values() for path in several]


def _keep_apart(read: list[Path], written: list[Path]) -> None:
    """Refuse to write what is read, which a stage by hand might name by mistake.

    Raises:
        UserError: a path is an output and an input.
    """
    known = {path.resolve() for path in read}
    for path in written:
        if path.resolve() in known:
            raise cli.UserError(f"{path} would be read and written; name another output")
