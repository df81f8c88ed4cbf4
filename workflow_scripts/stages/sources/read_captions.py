"""Stage: read the captions that lie beside the pictures of one shard, in tables or text files."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from pathlib import Path

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.tables import CAPTIONS, Quarantine, read_table, write_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources import adapter, in_subset, shard_of
from workflow_scripts.sources._captions import Entry, read_captions_of

STAGE = "read_captions"


def read_captions(
    source: BaseSource,
    shard: str,
    shards: int,
    listing: str,
    index: Input,
    rejected_pictures: Input,
    output: Output,
    quarantine: Output,
) -> None:
    """Write the `captions` table of one shard, sorted by item; `annotation` numbers the captions of an item from 0.

    Every picture of the index is in it or in quarantine, with what is wrong with its caption, and so is every row of a
    table that is about no picture; such a row is named by its place, as `metadata.csv#/12`.

    Args:
        source: where its pictures are, and its key `subset`.
        shard: the shard's name, five digits.
        shards: how many there are.
        listing: a digest of the files of captions, which are found by their names.
        index: the shard's part of the index.
        rejected_pictures: the pictures that could not be indexed.
        output: the table.
        quarantine: pictures without a caption, and rows about no picture.
    """
    items = {row.file: row.item for row in read_table(index, ["item", "file"]).itertuples()}
    unusable = set(read_table(rejected_pictures, ["item"])["item"])
    root = Path(adapter(source).captions_folder(source))
    rejected, captions, reasons = Quarantine(STAGE), {item: [] for item in items.values()}, {}
    for entry in read_captions_of(root, sorted(items)):
        item = items.get(entry.picture)
        if not entry.picture:
            if shard_of(entry.place, shards) == int(shard):
                rejected.add(entry.place, entry.bad.reason, f"{entry.place}: {entry.bad.detail}")
        elif item is not None:
            captions[item] = list(dict.fromkeys([*captions[item], *entry.captions]))
            reasons[item] = entry
        elif _is_lost(source, entry.picture, shard, shards) and entry.picture not in unusable:
            _add_missing(rejected, entry)
    for item in sorted(captions):
        if not captions[item]:
            reason, detail = _why(reasons.get(item))
            rejected.add(item, reason, f"{item}: {detail}")
    rows = [
        {"item": item, "annotation": number, "caption": text}
        for item in sorted(captions)
        for number, text in enumerate(captions[item])
    ]
    write_table(output, rows, CAPTIONS)
    rejected.write(quarantine)
    print(f"{len(rows)} captions of {len(items)} pictures, {len(rejected.rows)} quarantined", file=sys.stderr)


def _is_lost(source: BaseSource, picture: str, shard: str, shards: int) -> bool:
    """Tell whether a picture that is not there would be one of this shard, which alone reports it."""
    return shard_of(picture, shards) == int(shard) and in_subset(source, picture)


def _add_missing(rejected: Quarantine, entry: Entry) -> None:
    remedy = "add the picture, or correct `file_name`, which is a path from where the table lies"
    rejected.add(entry.place, "picture missing", f"{entry.place}: there is no picture {entry.picture!r}; {remedy}")


def _why(entry: Entry | None) -> tuple[str, str]:
    """Return why an item has no caption, and what to do."""
    if entry is not None and entry.bad is not None:
        return entry.bad.reason, entry.bad.detail
    return "no caption", "write its words into a text file of its name beside it, or into a row of metadata.csv"


main = stage_command(read_captions)


if __name__ == "__main__":
    cli.run(main)
