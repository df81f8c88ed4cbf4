"""Source `celeba`: CelebA's aligned pictures, unpacked or in the official zip, with the text files beside them.

These layouts are tried below `path`, in this order: Kaggle's (`img_align_celeba/img_align_celeba/`), a flat one
(`img_align_celeba/`), the official one (`Img/img_align_celeba/`, with text files in `Anno/` and `Eval/`), that of
torchvision (`celeba/img_align_celeba/`), the pictures' folder itself, the same with `img_align_celeba.zip`, and last
the pictures in the wild, `img_celeba/`, which have other points, and boxes.

The item is the picture's path below its folder, as `000001.jpg`. In an archive it is the name alone, because folders
differ between copies of the archive.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workflow_scripts.config.sources import CelebaSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources import _celeba_texts as celeba_texts
from workflow_scripts.sources._archives.zips import ZipStore, list_members, survey_archive
from workflow_scripts.sources._listing import PICTURE_SUFFIXES, File, Listing, Problem, file_entry, walk

FOLDERS = (
    "img_align_celeba/img_align_celeba",
    "img_align_celeba",
    "Img/img_align_celeba",
    "celeba/img_align_celeba",
    ".",
)
WILD_FOLDER = "img_celeba"
ARCHIVES = ("img_align_celeba.zip", "Img/img_align_celeba.zip", "celeba/img_align_celeba.zip")


@dataclass(frozen=True)
class Layout:
    """Where the pictures and their text files are.

    Attributes:
        pictures: the pictures' folder, or the archive.
        prefix: the text in front of an item in its path below the source's root; empty for an archive.
        archive: the archive, or None for a folder.
        texts: the text files beside the pictures or the archive.
    """

    pictures: Path
    prefix: str
    archive: Path | None
    texts: list[celeba_texts.Text]

    def item(self, file: str) -> str:
        """Return the item of a file."""
        return PurePosixPath(file).name if self.archive else file.removeprefix(self.prefix)


def find_layout(path: str) -> Layout:
    """Find the pictures and text files below `path`.

    Raises:
        UserError: there are no pictures.
    """
    root = Path(path)
    if root.is_file():
        return _layout(root, root, archive=True)
    if not root.is_dir():
        raise UserError(
            f"path: {path} does not exist; write CelebA's folder, or its img_align_celeba.zip, in the configuration"
        )
    for name in FOLDERS:
        if _has_picture(root / name):
            return _layout(root, root / name, archive=False)
    for name in ARCHIVES:
        if (root / name).is_file():
            return _layout(root, root / name, archive=True)
    for name in (WILD_FOLDER, f"Img/{WILD_FOLDER}"):
        if _has_picture(root / name):
            return _layout(root, root / name, archive=False)
    expected = "img_align_celeba/, Img/img_align_celeba/ or img_align_celeba.zip"
    raise UserError(f"path: no CelebA pictures in {path}; expected {expected} in it")


def list_files(source: CelebaSource) -> Listing:
    """List the pictures, and the text files as files on which all items depend."""
    layout = find_layout(source.path)
    if layout.archive:
        listing = list_members(layout.archive)
        _set_repeated_items_aside(layout, listing)
        if not listing.files:
            raise UserError(f"path: no picture in {layout.archive}; pictures end in {' '.join(PICTURE_SUFFIXES)}")
    else:
        listing = walk(layout.pictures, "path", layout.prefix)
    listing.problems = [p for p in listing.problems if PurePosixPath(p.path).name not in celeba_texts.FILE_NAMES]
    listing.shared = [file_entry(text.path, text.path.name) for text in layout.texts]
    return listing


def survey(source: CelebaSource) -> Listing:
    """Return a listing that changes whenever the source does, without reading the directory of an archive."""
    layout = find_layout(source.path)
    if not layout.archive:
        return list_files(source)
    count, archive = survey_archive(layout.archive)
    return Listing(shared=[archive, *(file_entry(text.path, text.path.name) for text in layout.texts)], more=count)


def describe(source: CelebaSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each file, with what CelebA's text files say about it; what they do not say is absent.

    Raises:
        UserError: a text file is malformed.
    """
    layout = find_layout(source.path)
    names = {file.path: PurePosixPath(file.path).stem for file in files}
    members = celeba_texts.find_members(layout.archive) if layout.archive else []
    inside = [text for text in members if text.stem not in celeba_texts.OF_WILD_PICTURES]
    said = celeba_texts.read([*inside, *layout.texts], set(names.values()))
    return [{"item": layout.item(file.path), "file": file.path, **said[names[file.path]]} for file in files]


def open_store(source: CelebaSource):
    """Return the store that reads the pictures from the folder or the archive."""
    from workflow_scripts.sources._stores import FolderStore

    layout = find_layout(source.path)
    return ZipStore(layout.archive) if layout.archive else FolderStore(source.path)


def _layout(root: Path, pictures: Path, *, archive: bool) -> Layout:
    """Return the layout with the text files that lie in or beside the pictures' folder, in `Anno/` or in `Eval/`.

    Nothing above the source's root is looked at, unless the root is the pictures' folder or the archive itself.
    """
    own = root == pictures
    bases = [folder for folder in (pictures, *pictures.parents[:2]) if own or folder.is_relative_to(root)]
    places = [base / name for base in bases for name in (".", "Anno", "Eval")]
    prefix = "" if own or archive else f"{pictures.relative_to(root).as_posix()}/"
    other = celeba_texts.OF_ALIGNED_PICTURES if pictures.name == WILD_FOLDER else celeba_texts.OF_WILD_PICTURES
    texts = [text for text in celeba_texts.find(places) if text.stem not in other]
    return Layout(pictures, prefix, pictures if archive else None, texts)


def _has_picture(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(PICTURE_SUFFIXES) for entry in entries)


def _set_repeated_items_aside(layout: Layout, listing: Listing) -> None:
    """Keep the first of several files that would be the same item; the others become problems."""
    first: dict[str, str] = {}
    for file in listing.files:
        kept = first.setdefault(layout.item(file.path), file.path)
        if kept != file.path:
            detail = f"{file.path}: {kept} has the same name; remove one from the archive"
            listing.problems.append(Problem(file.path, "name used twice", detail))
    listing.files = [file for file in listing.files if first[layout.item(file.path)] == file.path]
