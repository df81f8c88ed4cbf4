"""Stage: make the index of one shard of a source: which items there are, how large, whose, and in which split."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource, Split
from workflow_scripts.core import cli
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.tables import INDEX, Quarantine, write_table
from workflow_scripts.provenance.stage import Output, Unrecorded, stage_command
from workflow_scripts.sources import adapter, in_subset, list_files, shard_listings, shard_of
from workflow_scripts.sources._contents import write_contents
from workflow_scripts.sources._given_faces import GivenFaces
from workflow_scripts.sources._listing import Problem
from workflow_scripts.sources._pictures import BadPicture
from workflow_scripts.sources._reader import PictureReader


def index_source(
    source: BaseSource,
    seed: int,
    shard: int,
    shards: int,
    output: Output,
    quarantine: Output,
    listing: Unrecorded = "",
    contents: Path | None = None,
) -> None:
    """Write the `index` table of one shard; its columns are described in `docs/data.md`.

    Only the header of a picture is read; a picture that is damaged further on is found by the stage that decodes it.
    An item's split depends on the seed, its group and the fractions alone, so adding pictures does not move any other.

    Args:
        source: where the items are, and the keys `subset`, `split`, `identity`, `max_pixels` and `given_faces`; with
            that also `faces`.
        seed: of the configuration.
        shard: number of this shard.
        shards: how many shards the source has.
        output: the table, sorted by item.
        quarantine: the files of this shard that gave no item.
        listing: digest of the listing for which the index is made; used with `contents`.
        contents: where to note what the files of that listing contain, see `sources/_contents.py`.

    Raises:
        UserError: the source is missing or malformed, or it has one shard and no file of it can be used.
    """
    if contents is not None:
        write_contents(contents, listing, shard_listings(source, shards)[shard])
    rejected = Quarantine("index_source")
    listing = list_files(source)
    for problem in listing.problems:
        if shard_of(problem.path, shards) == shard:
            rejected.add(*problem)
    files = [file for file in listing.files if shard_of(file.key, shards) == shard]
    given = GivenFaces(source, [file.path for file in listing.files]) if source.given_faces else None
    rows = []
    with PictureReader(source) as reader:
        for row in tqdm(adapter(source).describe(source, files), "index_source", mininterval=2, unit=" items"):
            if isinstance(row, Problem):
                rejected.add(*row)
                continue
            if not in_subset(source, row["item"]):
                continue
            try:
                row = _complete(row, source, seed, reader)
                rows.append(row | given.of(row) if given else row)
            except BadPicture as bad:
                rejected.add(row["item"], bad.reason, bad.detail)
    if files and not rows and not rejected.rows and shards == 1:
        raise cli.UserError(f"subset {source.subset} leaves no item of {_where(source)}; write a larger `subset:`")
    if not rows and shards == 1:
        counts = Counter(row["reason"] for row in rejected.rows)
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
        raise cli.UserError(
            f"no usable picture in {_where(source)}: {reasons}; for example {rejected.rows[0]['detail']}"
        )
    write_table(output, sorted(rows, key=lambda row: row["item"]), INDEX)
    rejected.write(quarantine)
    if given:
        given.report()
    print(f"{len(rows)} items, {len(rejected.rows)} quarantined", file=sys.stderr)
    if listing.ignored:
        print(f"{listing.ignored} hidden files or folders of the source are ignored", file=sys.stderr)


def draw_split(split: Split, seed: int, group: str) -> str:
    """Return `train`, `val` or `test` for a group by its hash, with the fractions of `split` in the long run."""
    position = stable_hash(seed, "split", group) / 2**64
    for name, end in (("train", split.train), ("val", split.train + split.val)):
        if position < end:
            return name
    return "test" if split.test else "val" if split.val else "train"


def _complete(row: dict, source: BaseSource, seed: int, reader: PictureReader) -> dict:
    """Return a row of the index: what the adapter knew and, if it has not read the file, what its bytes tell."""
    if "sha256" not in row:
        row["sha256"], row["width"], row["height"] = reader.inspect(row["file"], row.get("frame"))
    if "occluded_file" in row:
        occluded, *other = reader.inspect(row["occluded_file"])
        row["occluded_sha256"] = occluded
        if other != [row["width"], row["height"]]:
            sizes = f"{row['file']} is {row['width']}x{row['height']}, {row['occluded_file']} is {other[0]}x{other[1]}"
            raise BadPicture("sizes differ", f"{sizes}; make them equal")
    group = row.get("identity") or row.get("group") or row["item"]
    split = row.get("split") or draw_split(source.split, seed, group)
    return {**row, "group": group, "split": split}


def _where(source: BaseSource) -> str:
    return (
        " and ".join(str(getattr(source, key)) for key in ("path", "clean", "occluded") if hasattr(source, key))
        or "the sample"
    )


main = stage_command(index_source)


if __name__ == "__main__":
    cli.run(main)
