"""COCO's JSON files, read entry by entry, because a whole file would need gigabytes of memory.

The parser is that of the standard library, which is given a window of the file. Unlike the streaming parsers of `ijson`
it accepts NaN, which some tools write, so that such an entry does not make the other entries unreadable.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.core import guard
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import open_regular

WINDOW = 1 << 22  # characters read at a time
LARGEST_ENTRY = 1 << 25  # characters; what seems longer is no entry but damage, as a lost bracket
SPACE = " \t\n\r"
_decode = json.JSONDecoder().raw_decode
_decode_any_number = json.JSONDecoder(parse_int=float).raw_decode


def decode_value(text: str, position: int = 0) -> tuple[object, int]:
    """Return the JSON value at a place of a text, and where it ends.

    A whole number of more digits than Python reads becomes an infinite one, so that it costs its entry alone.

    Raises:
        ValueError: there is no whole value.
        RecursionError: it is nested too deeply.
    """
    try:
        return _decode(text, position)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _decode_any_number(text, position)


class Entry(NamedTuple):
    """One entry of an array at the top of a COCO file.

    Attributes:
        section: the array's key: `images`, `annotations`, `categories`, …
        number: the position in the array, from 0.
        text: the entry as it stands in the file.
        value: the parsed entry.
    """

    section: str
    number: int
    text: str
    value: object


def read_id(value: object) -> int | str | None:
    """Return an id as ids are compared: a whole number, also one written as `1.0` or `"1"`, or another text.

    What is no id, such as null, a list or 1.5, is None.
    """
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}(\.0+)?", value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return (
        value
        if (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value)
        else None
    )


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of all arrays of a COCO file in the file's order, holding only a window of it in memory.

    Raises:
        UserError: the file is no JSON, is cut off, or is no object with the arrays `images` and `annotations`.
    """
    with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig") as file:
        window = _Window(path, file)
        sections = set()
        if window.peek() != "{":
            raise _not_coco(path, "does not begin with `{`; a list is how detection results are stored")
        window.take("{")
        while window.peek() != "}":
            if sections:
                window.take(",")
            _, key = window.value()
            if not isinstance(key, str):
                raise window.damage("a key is expected")
            sections.add(key)
            window.take(":")
            if window.peek() == "[":
                yield from _read_array(window, key)
            elif key in ("images", "annotations"):
                raise _not_coco(path, f"`{key}` is no list")
            else:
                window.value()
        for key in ("images", "annotations"):
            if key not in sections:
                raise _not_coco(path, f"has no `{key}`")


def _read_array(window: "_Window", section: str) -> Iterator[Entry]:
    window.take("[")
    number = 0
    while window.peek() != "]":
        if number:
            window.take(",")
        yield Entry(section, number, *window.value())
        number += 1
    window.take("]")


class _Window:
    """A stretch of a text file that moves on as values are taken from its front."""

    def __init__(self, path: Path, file):
        self._path = path
        self._file = file
        self._text = ""
        self._position = 0
        self._before = 0  # characters of the file that the window has left behind

    def peek(self) -> str:
        """Return the next character that is not white space."""
        while True:
            while self._position < len(self._text) and self._text[self._position] in SPACE:
                self._position += 1
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read_on():
                raise self.damage("the file ends early")

    def take(self, character: str) -> None:
        """Move past the next character that is not white space, which must be this one."""
        if self.peek() != character:
            raise self.damage(f"`{character}` is expected, not `{self.peek()}`")
        self._position += 1

    def value(self) -> tuple[str, object]:
        """Return the next JSON value as text and parsed, and move past it."""
        guard.go_on()
        self.peek()
        while True:
            try:
                value, end = decode_value(self._text, self._position)
            except json.JSONDecodeError as error:
                # If the window's end cuts a value in two, parsing fails there, or where the string begins that is cut.
                cut = error.pos >= len(self._text) - 16 or error.msg.startswith("Unterminated string")
                if not cut or len(self._text) - self._position > LARGEST_ENTRY or not self._read_on():
                    raise self.damage(error.msg, error.pos) from None
                continue
            except (ValueError, RecursionError) as error:
                raise self.damage(str(error)) from None
            if end == len(self._text) and self._read_on():
                continue  # a number may go on in the next stretch
            text = self._text[self._position : end]
            self._position = end
            return text, value

    def damage(self, what: str, position: int | None = None) -> UserError:
        """Return the error that names what is wrong and the place in the file."""
        place = self._before + (self._position if position is None else position)
        return UserError(f"{self._path} is no whole JSON file: {what} at character {place:,}; download it again")

    def _read_on(self) -> bool:
        """Drop what was taken, and read the next stretch; tell whether there was one.

        It is at least as long as the text that is held, so that the time for a long value grows in proportion to it.
        """
        try:
            more = self._file.read(max(WINDOW, len(self._text) - self._position))
        except UnicodeDecodeError:
            raise UserError(
                f"{self._path} is no UTF-8 text; unpack it, save it as UTF-8, or download it again"
            ) from None
        if more:
            self._before += self._position
            self._text = self._text[self._position :] + more
            self._position = 0
        return bool(more)


def _not_coco(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} {what}; it is no COCO annotation file: write an instances_…, person_keypoints_… or captions_….json"
    )
