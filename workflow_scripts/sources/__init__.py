"""Adapters of inputs: one file per kind of source, loaded by the name that the configuration gives in `type`.

An adapter has these functions:

- `list_files(source) -> Listing` lists the files and the problems from names and sizes alone.
- `survey(source) -> Listing` is optional: a faster way to see whether files changed, and about how many there are.
- `describe(source, files) -> rows` gives the items of those files as rows of the index. A row may lack `sha256`,
  `width` and `height`, for which the file must be read. A `Problem` among the rows goes to quarantine.
- `open_store(source) -> Store` gives what reads the bytes of a file.

Modules with `_` in front are shared by the adapters: `_listing` (files, sizes and times), `_contents` (whether contents
changed), `_archives` (zips and tars), `_stores` and `_reader` (bytes and pictures of items), `_pictures` (decoding
pictures), `_colours` (their colours and depths), `_decoding` (decoding videos), `_cropping` (what of them is shown),
`_celeba_texts`, `_coco_json`, `_coco_names` and `_coco_objects` (formats of data sets), and `_given_faces` (faces that
the user knows).

Only light modules are imported here, because the Snakefile lists the sources at every start.
"""

import gc
import importlib
from functools import cache
from types import ModuleType

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.sources._listing import Listing


def adapter(source: BaseSource) -> ModuleType:
    """Return the adapter for this kind of source."""
    return importlib.import_module(f"workflow_scripts.sources.{source.type}")


def list_files(source: BaseSource) -> Listing:
    """List a source without opening its pictures.

    Raises:
        UserError: the source is missing, or has no file that could be a picture or video.
    """
    return adapter(source).list_files(source)


def shard_count(source: BaseSource, shard_size: int) -> int:
    """Return the smallest power of two of shards that keeps their mean number of items at or below `shard_size`.

    It is a power of two, because going from n to 2n shards splits each shard and moves nothing else. Files are not
    divided, so a few long videos do not get more shards than there are files, rounded up.
    """
    listing = _listed(source)
    count = listing.count * source.subset
    shards = 1
    while count > shards * shard_size and (shards < len(listing.files) or not listing.files):
        shards *= 2
    return shards


def shard_of(key: str, shards: int) -> int:
    """Return the number of the shard in which the file with this key is."""
    return stable_hash(key) % shards


def in_subset(source: BaseSource, item: str) -> bool:
    """Tell whether an item is in the fraction of the source that is used; any other counts as absent."""
    return stable_hash("subset", item) / 2**64 < source.subset


@cache
def shard_listings(source: BaseSource, shards: int) -> list[Listing]:
    """Return the listing of each shard; files on which all items depend are in all of them."""
    whole = _listed(source)
    parts = [Listing(shared=whole.shared) for _ in range(shards)]
    for file in whole.files:
        parts[shard_of(file.key, shards)].files.append(file)
    for problem in whole.problems:
        parts[shard_of(problem.path, shards)].problems.append(problem)
    return parts


@cache
def _listed(source: BaseSource) -> Listing:
    """Return the listing of a source, made once: the Snakefile asks for it several times at one start.

    It stays in memory until the process ends, so the garbage collector need not look through it. With two hundred
    thousand files, this halves the time of a start.
    """
    module = adapter(source)
    gc.disable()
    try:
        return getattr(module, "survey", module.list_files)(source)
    finally:
        gc.freeze()
        gc.enable()
