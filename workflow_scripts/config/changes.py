"""Keys that are changed for one run, on the command line: `--config set="experiments.mine.gallery=4 seed=2"`.

They are written over the configuration before it is checked, so they are checked like the file.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

import yaml

from workflow_scripts.core.cli import UserError

KEY = "set"  # the key of Snakemake's `--config` that holds them
EXAMPLE = "seed=2"
NEXT = re.compile(r"\s+(?=[\w.]+=)")  # the blanks before a change
NAMED = ("sources", "experiments")  # below these, names are the user's own


def with_changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which the changes under `KEY` are made, and the key is gone.

    Args:
        values: the configuration as read; `KEY` holds a text of `path=value`, separated by blanks. A value is YAML and
            may have blanks: `a.b=[1, 2] c=3`.

    Raises:
        UserError: a change is no `path=value`, or leads through something that is not there.
    """
    changed = {key: copy.deepcopy(value) for key, value in values.items() if key != KEY}
    for text in _texts(values.get(KEY, "")):
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise UserError(f"{KEY}: {text!r} is no path=value; write for example `{EXAMPLE}`")
        _put(changed, path, _parsed(text, value))
    return changed


def _texts(given: object) -> list[str]:
    if isinstance(given, Mapping) and len(given) == 1:  # Snakemake has read `a.b={c: 1}` as a mapping
        ((key, value),) = given.items()
        given = f"{key}: {value}" if isinstance(value, str) else given
    if not isinstance(given, str):
        raise UserError(f"{KEY}: {given!r} is no path=value; write for example `{EXAMPLE}`")
    return NEXT.split(given.strip()) if given.strip() else []


def _parsed(text: str, value: str) -> object:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"{KEY}: {text}: the value is no YAML; write a list as `[1, 2]`") from error


def _put(values: dict[str, Any], path: str, value: object) -> None:
    *parents, key = path.split(".")
    place, passed = values, []
    for parent in parents:
        if len(passed) == 1 and passed[0] in NAMED and parent not in place:
            known = ", ".join(place) or "none"
            raise UserError(
                f"{KEY}: {path}: there is no {passed[0][:-1]} {parent!r} in the configuration; known: {known}"
            )
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        passed.append(parent)
        if not isinstance(place, dict):
            raise UserError(f"{KEY}: {path}: {'.'.join(passed)} is a value and has no keys below it")
    place[key] = value
