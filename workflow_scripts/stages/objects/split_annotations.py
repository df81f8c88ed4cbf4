"""Stage: divide the annotation files of a COCO source among its shards, so that no other job reads them whole.

The entries are passed on as they are written; whether they can be used is decided by `read_objects`.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli, guard
from workflow_scripts.core.files import atomic_path, write_json
from workflow_scripts.core.names import is_utf8
from workflow_scripts.core.tables import ANNOTATION_ENTRIES
from workflow_scripts.provenance.stage import Inputs, OutputFolder, Unrecorded, stage_command
from workflow_scripts.sources import list_files, shard_of
from workflow_scripts.sources._coco_json import Entry, read_entries, read_id
from workflow_scripts.sources._coco_names import items_of, picture_folders

OPEN_FILES = 256  # shards written in one pass over the annotation files; a job may open some 1,000 files
BUFFER = 1 << 25  # characters held before they are written
CATEGORIES = "categories.json"


class Contents(NamedTuple):
    """What a file says beside its annotations.

    Attributes:
        names: the file names of all pictures, as they are written.
        pictures: image id -> file name, without ids that two pictures have.
        categories: category id as text -> `name`, `supercategory` and number of `keypoints`; none in a file of
            captions.
    """

    names: set[str]
    pictures: dict[int | str, str]
    categories: dict[str, dict]


def split_annotations(
    source: BaseSource, annotations: Inputs, shards: int, output: OutputFolder, folders: Unrecorded = ""
) -> None:
    """Write the entries of all annotation files, by the shard of their picture.

    An entry whose picture the file does not list goes to the shard that belongs to its place in the file.

    Args:
        source: where its pictures are.
        annotations: COCO's JSON files: instances, person keypoints, captions, in any number.
        shards: how many shards the source has.
        output: the folder: a table `annotation entries` for each shard, its rows in the files' order, and
            `categories.json`: file name -> category id -> `name`, `supercategory`, `keypoints`.
        folders: digest of the folders that hold pictures, and of how those are spelled; when it changes, the entries
            are divided anew.

    Raises:
        UserError: a file is damaged or is no annotation file of COCO.
    """
    contents = {}
    for path in annotations:
        with guard.reading_whole(path):
            contents[path.name] = read_contents(path)
    if len(contents) < len(annotations):
        raise cli.UserError(f"two of {', '.join(map(str, annotations))} have one name; rename one")
    write_json(output / CATEGORIES, {name: content.categories for name, content in contents.items()})
    known = picture_folders(list_files(source).files)
    items = {name: items_of(content.names, source.set, known) for name, content in contents.items()}
    for first in range(0, shards, OPEN_FILES):
        with ExitStack() as stack:
            group = range(first, min(first + OPEN_FILES, shards))
            writers = {shard: _open_writer(stack, output / f"{shard:05d}.parquet") for shard in group}
            for path in annotations:
                with guard.reading_whole(path):
                    _pass_on(_located(path, contents[path.name].pictures, items[path.name]), shards, writers)


def read_contents(path: Path) -> Contents:
    """Read pictures and categories of a file, and see whether it is one of instances, keypoints or captions.

    Raises:
        UserError: it is damaged, or of another kind.
    """
    names: set[str] = set()
    pictures: dict[int | str, str] = {}
    categories: dict[str, dict] = {}
    doubtful: set[int | str | None] = {None}  # of no entry, or of several pictures
    captions = annotations = 0
    for section, position, _, value in tqdm(read_entries(path), f"read {path.name}", mininterval=2, unit=" entries"):
        if section == "images" and (name := _file_name(value)) is not None:
            names.add(name)
            number = read_id(value.get("id"))
            if pictures.setdefault(number, name) != name:
                doubtful.add(number)
        elif section == "categories":
            _add_category(categories, value, f"{path}, categories[{position}]")
        elif section == "annotations":
            if isinstance(value, dict) and "segments_info" in value:
                raise cli.UserError(f"{path} holds panoptic segments; write the instances_….json of the set instead")
            annotations += 1
            captions += isinstance(value, dict) and "caption" in value and "category_id" not in value
    if captions and captions == annotations:
        categories = {}  # some tools list categories beside captions too
    if annotations and not categories and not captions:
        raise cli.UserError(
            f"{path} has neither categories nor captions, so its annotations mean nothing; "
            "write an instances_…, person_keypoints_… or captions_….json of COCO"
        )
    print(f"{path}: {len(pictures)} pictures, {annotations} annotations", file=sys.stderr)
    clear = {number: name for number, name in pictures.items() if number not in doubtful}
    return Contents(names, clear, categories)


def _file_name(value: object) -> str | None:
    """Return the file name that an entry of `images` gives, None where it gives none that a table can hold."""
    name = value.get("file_name") if isinstance(value, dict) else None
    return name if isinstance(name, str) and is_utf8(name) else None


def _add_category(categories: dict[str, dict], value: object, where: str) -> None:
    """Add a category. A meaningless one is an error of the whole file, because all its objects depend on it."""
    given, name = (value.get("id"), value.get("name")) if isinstance(value, dict) else (None, None)
    number = str(read_id(given))
    if read_id(given) is None or not isinstance(name, str) or not is_utf8(name):
        raise cli.UserError(f"{where}: needs `id`, a whole number, and `name`, a text; mend the file")
    if number in categories:
        raise cli.UserError(f"{where}: the id {number} is that of another category too; give it one of its own")
    parent, keypoints = value.get("supercategory"), value.get("keypoints")
    categories[number] = {
        "name": name,
        "supercategory": parent if isinstance(parent, str) and is_utf8(parent) else name,
        "keypoints": len(keypoints) if isinstance(keypoints, list) else 0,
    }


def _located(path: Path, pictures: dict[int | str, str], items: dict[str, str]) -> Iterator[dict]:
    """Yield the entries about pictures and annotations as rows, each with its picture where the file lists it."""
    seen: dict[str, set] = {"images": set(), "annotations": set()}
    for entry in tqdm(read_entries(path), f"divide {path.name}", mininterval=2, unit=" entries"):
        if entry.section not in seen:
            continue
        number = read_id(entry.value.get("id")) if isinstance(entry.value, dict) else None
        repeated = number in seen[entry.section]
        if number is not None:
            seen[entry.section].add(number)
        row = {"file": path.name, "section": entry.section, "number": entry.number, "text": entry.text}
        yield row | {"item": items.get(_picture(entry, pictures)), "repeated": repeated}


def _picture(entry: Entry, pictures: dict[int | str, str]) -> str | None:
    """Return the file name of the picture that an entry is about, None where the file lists no such picture."""
    if not isinstance(entry.value, dict):
        return None
    if entry.section == "images":
        return _file_name(entry.value)
    return pictures.get(read_id(entry.value.get("image_id")))


def _open_writer(stack: ExitStack, path: Path) -> pq.ParquetWriter:
    temporary = stack.enter_context(atomic_path(path))
    return stack.enter_context(pq.ParquetWriter(temporary, ANNOTATION_ENTRIES, compression="zstd"))


def _pass_on(rows: Iterator[dict], shards: int, writers: dict[int, pq.ParquetWriter]) -> None:
    """Write those rows whose shard has a writer, holding at most `BUFFER` characters of them."""
    waiting: dict[int, list[dict]] = {}
    held = 0
    for row in rows:
        shard = shard_of(row["item"] or f"{row['file']}#/{row['section']}/{row['number']}", shards)
        if shard in writers:
            waiting.setdefault(shard, []).append(row)
            held += len(row["text"])
        if held > BUFFER:
            _write(waiting, writers)
            waiting, held = {}, 0
    _write(waiting, writers)


def _write(waiting: dict[int, list[dict]], writers: dict[int, pq.ParquetWriter]) -> None:
    for shard, rows in waiting.items():
        writers[shard].write_table(pa.Table.from_pylist(rows, ANNOTATION_ENTRIES))


main = stage_command(split_annotations)


if __name__ == "__main__":
    cli.run(main)
