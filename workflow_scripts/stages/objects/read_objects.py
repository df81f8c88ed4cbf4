"""Stage: read the objects (masks, boxes, keypoints) and captions of one shard of a COCO source."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli, guard
from workflow_scripts.core.files import read_json
from workflow_scripts.core.tables import CAPTIONS, OBJECTS, Quarantine, read_table, write_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources import in_subset
from workflow_scripts.sources._coco_objects import (
    MEND,
    BadEntry,
    CaptionEntry,
    ObjectEntry,
    PictureEntry,
    object_row,
    parse_entry,
)
from workflow_scripts.stages.objects.split_annotations import CATEGORIES

STAGE = "read_objects"
SAME_BOX = 1  # pixels by which the box of one object may differ between two files


def read_objects(
    source: BaseSource,
    annotations: Input,
    shard: str,
    index: Input,
    rejected_pictures: Input,
    output: Output,
    captions: Output,
    quarantine: Output,
) -> None:
    """Write the `objects` and `captions` tables of one shard, sorted by item and annotation.

    Every entry of `annotations` is a row of one of them or of the quarantine, except that what another file says of the
    same object is joined to its row. An entry of `images` leaves no row, unless it is quarantined. A quarantined entry
    is named by its place in its file, for example `instances_val2017.json#/annotations/12`, and a field that is left
    out of an object that is kept by its own, `instances_val2017.json#/annotations/12/keypoints`.

    Args:
        source: its key `subset`: entries about pictures that are not in it are passed over.
        annotations: the folder that `split_annotations` made.
        shard: the shard's name, five digits.
        index: the shard's part of the index.
        rejected_pictures: the pictures that could not be indexed.
        output: the table of objects.
        captions: the table of captions.
        quarantine: the entries that cannot be used.
    """
    categories = read_json(annotations / CATEGORIES)
    entries = read_table(annotations / f"{shard}.parquet")
    used = [item is None or in_subset(source, item) for item in entries["item"]]
    entries = entries[np.array(used, bool)]
    sizes = {row.item: (row.height, row.width) for row in read_table(index, ["item", "height", "width"]).itertuples()}
    rejected = read_table(rejected_pictures, ["item", "reason"]).set_index("item")["reason"].to_dict()
    reader = _Reader(categories, sizes, rejected)
    for section, read in (("images", reader.read_picture), ("annotations", reader.read_annotation)):
        rows = entries[entries["section"] == section]
        for row in tqdm(rows.itertuples(), f"{STAGE}, {section}", len(rows), mininterval=2):
            reader.keep(row, read)
    write_table(output, [reader.objects[key] for key in sorted(reader.objects)], OBJECTS)
    write_table(captions, sorted(reader.captions, key=lambda row: (row["item"], row["annotation"])), CAPTIONS)
    reader.rejected.write(quarantine)
    print(
        f"{len(reader.objects)} objects, {len(reader.captions)} captions, {len(reader.rejected.rows)} quarantined",
        file=sys.stderr,
    )


class _Reader:
    """Collects the rows of one shard.

    Attributes:
        objects: (item, annotation) -> row.
        captions: rows.
        rejected: entries that cannot be used.
    """

    def __init__(self, categories: dict, sizes: dict[str, tuple[int, int]], unusable: dict[str, str]):
        self.objects: dict[tuple[str, int], dict] = {}
        self.captions: list[dict] = []
        self.rejected = Quarantine(STAGE)
        self._categories = categories
        self._sizes = sizes
        self._unusable = unusable
        self._resized: set[tuple[str, str]] = set()  # file and item, where the file states another size

    def keep(self, row, read: Callable) -> None:
        """Read one entry; one that cannot be used goes to quarantine."""
        try:
            if row.repeated:
                raise BadEntry("id used twice", f"an earlier entry of {row.section} has this id; {MEND}")
            with guard.reading(f"{row.file}#/{row.section}/{row.number}"):
                read(row)
        except cli.BadItem as bad:
            self._reject(row, bad.reason, bad.detail)

    def read_picture(self, row) -> None:
        """Check an entry of `images` against the picture."""
        entry = parse_entry(PictureEntry, row.text)
        height, width = self._size(row.item)
        if (entry.height or height, entry.width or width) != (height, width):
            self._resized.add((row.file, row.item))
            sizes = f"the file says {entry.width}x{entry.height}, the picture is {width}x{height} when upright"
            remedy = "bring back the original picture"
            if (entry.height, entry.width) == (width, height):
                remedy = (
                    "if its EXIF data turn it and its annotators did not, take the orientation out of its EXIF data"
                )
            raise BadEntry("sizes differ", f"{sizes}; {remedy}")

    def read_annotation(self, row) -> None:
        """Make an entry of `annotations` a row."""
        is_caption = not self._categories[row.file]
        entry = parse_entry(CaptionEntry if is_caption else ObjectEntry, row.text)
        if row.item is None:
            raise BadEntry(
                "unknown picture", f"image_id {entry.image_id} is no image with a file_name, or several; {MEND}"
            )
        height, width = self._size(row.item)
        if is_caption:
            self.captions.append({"item": row.item, "annotation": entry.id, "caption": entry.caption})
            return
        if (row.file, row.item) in self._resized:
            raise BadEntry("sizes differ", "its picture has another size than the file says; see its entry of images")
        found, left_out = object_row(entry, self._categories[row.file], height, width)
        self._add_object(row.item, found)
        for field, reason, detail in left_out:
            self._reject(row, reason, detail, f"/{field}")

    def _reject(self, row, reason: str, detail: str, field: str = "") -> None:
        place = f"{row.file}#/{row.section}/{row.number}{field}"
        about = f" ({row.item})" if row.item else ""
        self.rejected.add(place, reason, f"{place}{about}: {detail}")

    def _add_object(self, item: str, row: dict) -> None:
        """Add an object, or what is new of one that an earlier file has given."""
        known = self.objects.setdefault((item, row["annotation"]), {"item": item} | row)
        apart = max(abs(known[side] - row[side]) for side in ("left", "top", "right", "bottom"))
        other = row["keypoints"] is not None and known["keypoints"] not in (None, row["keypoints"])
        if other or known["category"] != row["category"] or apart > SAME_BOX:
            raise BadEntry("id used twice", f"another file has an object {row['annotation']} in this picture; {MEND}")
        self.objects[item, row["annotation"]] = known | {
            name: row[name] for name in ("area", "counts", "keypoints") if known[name] is None
        }

    def _size(self, item: str) -> tuple[int, int]:
        """Return height and width of a picture."""
        if item in self._sizes:
            return self._sizes[item]
        if item in self._unusable:
            raise BadEntry("picture not usable", f"{self._unusable[item]}; mend the picture")
        others = f", whose pictures are called as {next(iter(self._sizes))!r}" if self._sizes else ""
        raise BadEntry(
            "picture missing",
            f"no {item!r} in the folder{others}; add it or correct its file_name, where capitals count, or pass over "
            "this if you have a part of the data set",
        )


main = stage_command(read_objects)


if __name__ == "__main__":
    cli.run(main)
