"""Source `folder`: any pictures in a folder and the folders in it, or in a zip or tar archive.

The item is the picture's path below the folder or in the archive.
"""

import os
import re
from collections.abc import Sequence
from types import ModuleType

from workflow_scripts.config.sources import FolderSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._archives import tars, zips
from workflow_scripts.sources._captions import is_caption_file, without_suffixes
from workflow_scripts.sources._listing import PICTURE_SUFFIXES, File, Listing, walk


def list_files(source: FolderSource) -> Listing:
    """List the pictures below the folder or in the archive; files of captions among them are no problem."""
    archive = _archive_module(source.path)
    if archive is None:
        listing = walk(source.path, "path")
        pictures = without_suffixes(file.path for file in listing.files)
        listing.problems = [one for one in listing.problems if not is_caption_file(one.path, pictures)]
        return listing
    listing = archive.list_members(source.path)
    if not listing.files:
        raise UserError(f"path: no picture in {source.path}; pictures end in {' '.join(PICTURE_SUFFIXES)}")
    return listing


def survey(source: FolderSource) -> Listing:
    """Return a listing that changes whenever the source does, without reading all of an archive."""
    archive = _archive_module(source.path)
    if archive is None:
        return list_files(source)
    count, changing = archive.survey_archive(source.path)
    return Listing(shared=[changing], more=count)


def describe(source: FolderSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each file, with the person where the key `identity` finds one."""
    return [
        {"item": file.path, "file": file.path, "identity": find_person(source.identity, file.path)} for file in files
    ]


def find_person(pattern: str | None, path: str) -> str | None:
    """Return the first group of a regular expression in a path; None where it is not found, or without expression."""
    match = re.search(pattern, path) if pattern is not None else None
    return match[1] if match else None


def captions_folder(source: FolderSource) -> str:
    """Return the folder in which captions lie beside the pictures.

    Raises:
        UserError: the pictures are in an archive.
    """
    if _archive_module(source.path) is not None:
        raise UserError(f"path: captions are not read from the archive {source.path}; unpack it and name its folder")
    return source.path


def open_store(source: FolderSource):
    """Return the store that reads the files from the folder or the archive."""
    from workflow_scripts.sources._stores import FolderStore

    archive = _archive_module(source.path)
    return archive.open_store(source.path) if archive else FolderStore(source.path)


def _archive_module(path: str) -> ModuleType | None:
    """Return the module that reads an archive of this name, None for a folder."""
    if not os.path.isfile(path):
        return None
    name = path.lower()
    return zips if name.endswith(".zip") else tars if name.endswith(tars.TAR_SUFFIXES) else None
