"""Source `folder`: any pictures, searched recursively. The item is the path below the folder."""

import re
from collections.abc import Sequence

from workflow_scripts.config import FolderSource
from workflow_scripts.sources.listing import File, Listing, walk


def list_files(source: FolderSource) -> Listing:
    """List the pictures below the folder."""
    return walk(source.path, "path")


def describe(source: FolderSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each file, with the person where the configured expression finds one."""
    pattern = re.compile(source.identity) if source.identity is not None else None
    rows = []
    for file in files:
        match = pattern.search(file.path) if pattern else None
        rows.append({"item": file.path, "file": file.path, "identity": match[1] if match else None})
    return rows


def open_store(source: FolderSource):
    """Return what reads the folder's files."""
    from workflow_scripts.sources.stores import FolderStore

    return FolderStore(source.path)
