"""Files of annotations in COCO's format, written entry by entry."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from workflow_scripts.core.files import atomic_path


def write_coco(path: Path, images: Iterable[dict], categories: Iterable[dict], annotations: Iterable[dict]) -> None:
    """Write a file in UTF-8, atomically; no more than one entry is held."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"images": ')
        _write_list(file, images)
        file.write(',\n"categories": ')
        _write_list(file, categories)
        file.write(',\n"annotations": ')
        _write_list(file, annotations)
        file.write("}\n")


def _write_list(file: TextIO, entries: Iterable[dict]) -> None:
    """Write a list, a line for each entry."""
    file.write("[")
    for number, entry in enumerate(entries):
        file.write(("," if number else "") + "\n" + json.dumps(entry, ensure_ascii=False, allow_nan=False))
    file.write("]")
