"""Options of a command as people set them on the page (`page/`): what is shown of each, and the words that it becomes.

A family's module (`families/`) says by `PAGE` which of its options are shown and how. Choices, defaults and
explanations are those of the command line, so that each stands in one place.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from workflow_scripts.commands._trained import Trained
from workflow_scripts.core.cli import UserError

COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Control(NamedTuple):
    """One option.

    Attributes:
        option: as on the command line.
        label: a few words for it.
        kind: a `slider`, a `number` that may be left out, `one` or `several` of the option's choices, a `switch`, a
            `color`, the upload of a `file`, of a `hole` that can also be painted on the picture, or `amounts`, a slider
            for each of `names`.
        span: least, most, and step of numbers.
        names: of amounts.
        default: in place of the option's own.
        unless: an option in whose presence this one is left out.
    """

    option: str
    label: str
    kind: Literal["slider", "number", "one", "several", "switch", "color", "file", "hole", "amounts"]
    span: tuple[float, float, float] = (0, 1, 1)
    names: Sequence[str] = ()
    default: object = None
    unless: str = ""

    @property
    def field(self) -> str:
        """The name of its form field."""
        return self.option.removeprefix("--")


class Page(NamedTuple):
    """What the page shows of a family.

    Attributes:
        about: a sentence.
        controls: of its own options.
        networks: which networks can be chosen, the usual one first; none where all are used together.
    """

    about: str
    controls: Sequence[Control] = ()
    networks: Callable[[Trained], Sequence[str]] = lambda _: ()


class Shown(NamedTuple):
    """A control with what the command line says of its option: choices, default, explanation."""

    control: Control
    choices: Sequence[str]
    default: object
    help: str


def describe(controls: Sequence[Control], parser: argparse.ArgumentParser) -> list[Shown]:
    """Return the controls of options of a parser, and what it says of them."""
    actions = {option: action for action in parser._actions for option in action.option_strings}
    return [
        Shown(one, [*(action.choices or ())], action.default if one.default is None else one.default, action.help or "")
        for one in controls
        for action in (actions[one.option],)
    ]


def words_of(shown: Sequence[Shown], values: Mapping[str, Sequence[str]], files: Mapping[str, Path]) -> list[str]:
    """Return the words of a command line that a form stands for.

    Args:
        shown: the controls of the form.
        values: field -> what was sent of it.
        files: field -> the file that was uploaded.

    Raises:
        UserError: a value is none that its control can have.
    """
    words = {one.control.option: _words(one, values, files) for one in shown}
    kept = [one.control for one in shown if not words.get(one.control.unless)]
    return [word for control in kept for word in words[control.option]]


def labelled(text: str, shown: Sequence[Shown]) -> str:
    """Return a message of the command in which options have the names that they have on the page."""
    for one in sorted(shown, key=lambda one: -len(one.control.option)):
        text = re.sub(rf"{one.control.option}(?![\w-])", f"“{one.control.label}”", text)
    return text


def _words(shown: Shown, values: Mapping[str, Sequence[str]], files: Mapping[str, Path]) -> list[str]:
    control = shown.control
    given = [text for text in values.get(control.field, ()) if text]
    if control.kind in ("file", "hole"):
        return [f"{control.option}={files[control.field]}"] if control.field in files else []
    if control.kind == "amounts":
        amounts = {name: _numbers(control, values.get(f"{control.field}-{name}", ())) for name in control.names}
        moved = [f"{name}={amount[0]}" for name, amount in amounts.items() if amount and float(amount[0])]
        return [control.option, *moved] if moved else []
    if control.kind in ("slider", "number"):
        return [f"{control.option}={number}" for number in _numbers(control, given)[:1]]
    if control.kind == "switch":
        return [control.option] if given else []
    for text in given:
        if not (COLOR.fullmatch(text) if control.kind == "color" else text in shown.choices):
            raise UserError(f"“{control.label}” cannot be {text!r}")
    if control.kind == "several":
        return [control.option, *given] if given else []
    return [f"{control.option}={given[0]}"] if given else []


def _numbers(control: Control, texts: Sequence[str]) -> list[str]:
    least, most, step = control.span
    for text in texts:
        try:
            fits = least <= (int if step == int(step) else float)(text) <= most
        except ValueError:
            fits = False
        if not fits:
            raise UserError(f"“{control.label}” is a number from {least:g} to {most:g}, and not {text!r}")
    return [*texts]
