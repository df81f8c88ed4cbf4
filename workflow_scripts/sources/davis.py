"""Source `davis`: sequences of frames in the layout of DAVIS, whose objects are annotated in each frame.

The item is the frame's path below the folder of its resolution, as `bear/00000.jpg`; the group is the sequence. A
sequence lies in one shard. Its annotation, `Annotations/{resolution}/bear/00000.png`, is read when it is compared with.
"""

from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.config.sources import DavisSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._listing import File, Listing, Problem, file_entry, walk

FRAMES, ANNOTATIONS = "JPEGImages", "Annotations"


def list_files(source: DavisSource) -> Listing:
    """List the frames of the sequences that are used.

    Raises:
        UserError: there are no frames, or the list of sequences is missing or names one that is not there.
    """
    return _listed(source, FRAMES)


def list_annotations(source: DavisSource) -> Listing:
    """List the annotations of the sequences that are used.

    Raises:
        UserError: there are none.
    """
    return _listed(source, ANNOTATIONS)


def _listed(source: DavisSource, folder: str) -> Listing:
    listing = walk(Path(source.path, folder, source.resolution), "resolution")
    if source.set is not None:
        chosen = _chosen_sequences(source, {_sequence(file.path) for file in listing.files}, folder)
        listing.files = [file for file in listing.files if _sequence(file.path) in chosen]
        listing.problems = [problem for problem in listing.problems if _sequence(problem.path) in chosen]
        listing.shared.append(file_entry(_list_of(source), _list_of(source).name))
    listing.files = [file._replace(key=_sequence(file.path)) for file in listing.files]
    return listing


def describe(source: DavisSource, files: Sequence[File]) -> list[dict | Problem]:
    """Return a row for each frame; a picture that is in no sequence's folder is a problem."""
    return [
        {"item": file.path, "file": file.path, "group": _sequence(file.path), "shot": 0}
        if "/" in file.path
        else Problem(file.path, "in no sequence", f"{file.path}: frames lie in a folder for each sequence; move it")
        for file in files
    ]


def open_store(source: DavisSource):
    """Return the store that reads the frames."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(Path(source.path, FRAMES, source.resolution))


def open_annotations(source: DavisSource):
    """Return the store that reads the annotations."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(Path(source.path, ANNOTATIONS, source.resolution))


def _sequence(path: str) -> str:
    return path.rpartition("/")[0] or path


def _list_of(source: DavisSource) -> Path:
    return Path(source.path, "ImageSets", f"{source.set}.txt")


def _chosen_sequences(source: DavisSource, present: set[str], folder: str) -> set[str]:
    """Return the sequences that the list names, by name or by the paths of their frames."""
    path = _list_of(source)
    if not path.is_file():
        raise UserError(f"set: there is no file {path}; write the list below ImageSets/, as `set: 480p/val`")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    words = [line.split()[0] for line in lines if line.strip()]
    named = {_sequence(word.partition(f"/{source.resolution}/")[2]) if "/" in word else word for word in words}
    if missing := sorted(named - present):
        raise UserError(
            f"set: {path} names {len(missing)} sequences that are not in {folder}/{source.resolution}, as "
            f"{missing[0]!r}; bring them back or use another list"
        )
    return named
