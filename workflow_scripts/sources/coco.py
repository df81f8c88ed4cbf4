"""Source `coco`: one set of pictures in COCO's layout, as `val2017`, whose annotations the stages of objects read.

The item is the picture's path below the set's folder, as `000000000139.jpg`. A picture that no annotation file lists is
an item like any other. Here the annotation files are only looked for and never opened.
"""

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.config.sources import CocoSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.provenance.runs import input_problem
from workflow_scripts.sources._listing import File, Listing, walk

KINDS = ("instances", "person_keypoints", "captions")  # COCO's files of one set, `val2017` or `images/val2017`


def annotation_files(source: CocoSource) -> list[Path]:
    """Return the annotation files: those that are configured, or else those of COCO's own for the set that exist.

    Raises:
        UserError: a configured file is missing, there is no annotation file, or Snakemake cannot take its name.
    """
    files = _find_annotations(source)
    for file in files:
        if problem := input_problem(file):
            raise UserError(f"annotations: {file}: {problem}")
    return files


def _find_annotations(source: CocoSource) -> list[Path]:
    root = Path(source.path)
    if source.annotations:
        files = [root / name for name in source.annotations]
        for file in files:
            if not file.is_file():
                raise UserError(f"annotations: {file} is no file; write its path below {root}")
        return files
    expected = [root / "annotations" / f"{kind}_{Path(source.set).name}.json" for kind in KINDS]
    found = [file for file in expected if file.is_file()]
    if not found:
        raise UserError(
            f"path: none of {', '.join(file.name for file in expected)} in {root / 'annotations'}; unpack COCO's "
            "annotations there, or name the files in `annotations: […]`"
        )
    return found


def list_files(source: CocoSource) -> Listing:
    """List the pictures of the set; annotation files among them are not reported as problems.

    Raises:
        UserError: there are no pictures, or no annotation files.
    """
    root = Path(source.path)
    if not root.is_dir():
        raise UserError(f"path: {root} does not exist; write COCO's folder in the configuration")
    annotations = set(annotation_files(source))
    pictures = root / source.set
    listing = walk(pictures, "set")
    listing.problems = [problem for problem in listing.problems if pictures / problem.path not in annotations]
    return listing


def describe(source: CocoSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each file."""
    return [{"item": file.path, "file": file.path} for file in files]


def open_store(source: CocoSource):
    """Return the store that reads the set's pictures."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(Path(source.path) / source.set)
