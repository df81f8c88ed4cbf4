"""Source `pairs`: two folders with the same faces, bare and occluded, which are matched by their names.

An occluded picture goes with the bare one that has its name without the occluder's word: `Ann_0001_surgical.jpg` with
`Ann_0001.jpg`, first in the folder of the same name, then in any. Numbers are a fallback: all numbers of the name, then
the longest, without leading zeros. They match only where one name holds all words and numbers of the other, so that
`1_cloth_blue.jpg` goes with `000001.jpg`, and `Bob_0001_cloth.jpg` never with `Ann_0001.jpg`; words that all names of a
folder have in common do not count. Where several bare pictures fit, none is taken.

A bare face can have several occluded ones. Paths begin with `clean/` or `occluded/`, whatever the folders are called,
and the item is the path of the occluded picture.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from workflow_scripts.config.sources import PairsSource
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.sources._listing import File, Listing, Problem, walk

KIND = re.compile(
    r"(?<![a-z])(?:(?P<surgical>surgical)|(?P<cloth>cloth)|(?P<kn95>k?n-?95(?!\d)))(?:[ _-]?mask)?(?![a-z])",
    re.IGNORECASE,
)
# Words beside the kind by which programs and people tell the two pictures of a face apart.
SIDE_WORDS = re.compile(
    r"(?<![a-z])(?:bare|clean|original|unmasked|occluded|covered|(?:(?:with|without|no)[\s_-]?)?"
    r"(?:masked|(?:face)?mask|mou?stache|beard|scarf|(?:sun)?glasses))(?![a-z])",
    re.IGNORECASE,
)
SEPARATORS = re.compile(r"[\s_.-]+")
TOKENS = re.compile(r"\d+|[^\W\d_]+")
GRID, CELL = 8, 8  # cells on each side of the compared pictures, and pixels on each side of a cell
NOISE = 4.0  # grey levels; a cell that varies less in both pictures tells nothing
# Less of the cells are alike in two pictures of which one is no copy of the other. Of 690 CelebA pictures and their
# masked copies, at least .66 were alike (.44 in tight crops), of 690 pairs of different pictures more than this in 5.
MIN_ALIKE = 1 / 3


class Name(NamedTuple):
    """What a picture's path tells for matching, in lower case and without the words for occluders.

    Attributes:
        path: the names of its folders and its own, without the file's ending.
        tokens: all words and numbers in these names, with how often each occurs; numbers as int.
        numbers: the numbers of its own name, in order.
        longest: the longest number of its own name (the first of several), or None.
    """

    path: tuple[str, ...]
    tokens: Counter[str | int]
    numbers: tuple[int, ...]
    longest: int | None


# By what pictures are matched, the surest first. A key that is empty or None matches nothing.
LEVELS: tuple[Callable[[Name], Hashable], ...] = (
    lambda name: name.path,
    lambda name: name.path[-1:],
    lambda name: name.numbers,
    lambda name: name.longest,
)


def list_files(source: PairsSource) -> Listing:
    """List both folders; a picture without a counterpart, or with several that fit, is a problem.

    Raises:
        UserError: a folder is missing or empty, or no picture has a counterpart.
    """
    listing = Listing()
    sides = []
    for folder, side in ((source.clean, "clean"), (source.occluded, "occluded")):
        found = walk(folder, side, f"{side}/")
        listing.problems += found.problems
        listing.ignored += found.ignored
        sides.append({file: _name(file.path) for file in found.files})
    bare, occluded = sides
    fitting = _match(bare, occluded)
    pairs = {file: fits[0] for file, fits in fitting.items() if len(fits) == 1}
    matched = set(pairs.values())
    if not matched:
        example = "0001.jpg goes with 0001_surgical.jpg"
        raise UserError(f"clean, occluded: no name of {source.clean} is in {source.occluded}; {example}, for example")
    listing.files = [*matched, *(file._replace(key=partner.path) for file, partner in pairs.items())]
    listing.files.sort()
    rivals: dict[File, File] = {}
    for file, fits in fitting.items():
        if len(fits) > 1:
            listing.problems.append(_ambiguous(file, fits))
            rivals |= {fit: file for fit in fits}
        elif not fits:
            listing.problems.append(_alone(file, source.clean))
    for file in bare:
        if file not in matched:
            listing.problems.append(
                _ambiguous(file, [rivals[file]]) if file in rivals else _alone(file, source.occluded)
            )
    return listing


def describe(source: PairsSource, files: Sequence[File]) -> list[dict]:
    """Return a row for each occluded picture among `files`, whose key is the path of its bare picture."""
    rows = []
    for file in files:
        if file.path != file.key:
            word = KIND.search(PurePosixPath(file.path).stem)
            kind = word and word.lastgroup
            rows.append(
                {"item": file.path, "file": file.key, "occluded_file": file.path, "kind": kind, "group": file.key}
            )
    return rows


class PairsStore:
    """Reads the files of both folders."""

    def __init__(self, source: PairsSource):
        from workflow_scripts.sources._stores import FolderStore

        self._folders = {"clean": FolderStore(source.clean), "occluded": FolderStore(source.occluded)}

    def read(self, file: str, max_bytes: int) -> bytes:
        """See `Store.read`."""
        side, _, path = file.partition("/")
        return self._folders[side].read(path, max_bytes)

    def close(self) -> None:
        """See `Store.close`."""


def open_store(source: PairsSource) -> PairsStore:
    """Return the store that reads the files of both folders."""
    return PairsStore(source)


def check_pair(item: str, bare: np.ndarray, occluded: np.ndarray) -> None:
    """Check that one picture is a copy of the other with something drawn over it.

    Both are shrunk to 64 x 64 grey pixels and compared in 8 x 8 cells, each without its mean, so that another
    brightness does not matter. Two cells are alike if the energy of their difference is less than half of their own.

    Args:
        item: the item's name, for messages.
        bare: RGB uint8 (H, W, 3).
        occluded: RGB uint8 (H, W, 3).

    Raises:
        BadItem: the sizes differ, or fewer than a third of the cells that show anything are alike.
    """
    if occluded.shape != bare.shape:
        sizes = f"{occluded.shape[1]}x{occluded.shape[0]}, but the bare picture is {bare.shape[1]}x{bare.shape[0]}"
        raise BadItem("sizes of the pair differ", f"{item}: {sizes}; give both pictures the same size")
    cells = [_cells(picture) for picture in (bare, occluded)]
    energy = sum((cell**2).mean(axis=1) for cell in cells)
    shown = energy > 2 * NOISE**2
    alike = ((cells[0] - cells[1]) ** 2).mean(axis=1) < energy / 2
    if shown.any() and alike[shown].mean() < MIN_ALIKE:
        raise BadItem(
            "not the same picture",
            f"{item}: it differs from its bare picture nearly everywhere; a pair is one photograph without and with an "
            "occluder: rename one of them, or remove both",
        )


def _cells(picture: np.ndarray) -> np.ndarray:
    """Return the cells of a picture as grey levels around their means, float32 (GRID * GRID, CELL * CELL)."""
    import cv2  # here, because the Snakefile imports this module

    side = GRID * CELL
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)
    cells = small.reshape(GRID, CELL, GRID, CELL).swapaxes(1, 2).reshape(-1, CELL * CELL).astype(np.float32)
    return cells - cells.mean(axis=1, keepdims=True)


def _name(path: str) -> Name:
    """Return what a listed path, which begins with its side, tells for matching."""
    parts = PurePosixPath(unicodedata.normalize("NFC", path)).with_suffix("").parts[1:]
    bare = [SEPARATORS.sub("_", SIDE_WORDS.sub(" ", KIND.sub(" ", part))).strip("_").casefold() for part in parts]
    runs = re.findall(r"\d+", bare[-1])
    tokens = [int(token) if token.isdecimal() else token for part in bare for token in TOKENS.findall(part)]
    longest = int(max(runs, key=len)) if runs else None
    return Name(tuple(filter(None, bare)), Counter(tokens), tuple(map(int, runs)), longest)


def _match(bare: dict[File, Name], occluded: dict[File, Name]) -> dict[File, list[File]]:
    """Return for each occluded picture the bare ones that fit by the surest key by which any fits."""
    usual = [_usual_words(names.values()) for names in (bare, occluded)]
    fitting: dict[File, list[File]] = {}
    for level in LEVELS:
        left = [file for file in occluded if not fitting.get(file)]
        if not left:
            break
        known = defaultdict(list)
        for file, name in bare.items():
            known[level(name)].append(file)
        for file in left:
            key = level(occluded[file])
            candidates = known.get(key, []) if key not in ((), None) else []
            own = occluded[file].tokens - usual[1]
            fitting[file] = [file for file in candidates if _agree(bare[file].tokens - usual[0], own)]
    return fitting


def _usual_words(names: Iterable[Name]) -> Counter:
    """Return the words that all names of one side have, as `img` and `result`, which tell no picture from another."""
    names = list(names)
    common = names[0].tokens.copy() if len(names) > 1 else Counter()
    for name in names:
        common &= name.tokens
    return Counter({token: count for token, count in common.items() if isinstance(token, str)})


def _agree(one: Counter, other: Counter) -> bool:
    """Tell whether one name holds all words and numbers of the other."""
    return one <= other or other <= one


def _ambiguous(file: File, rivals: Sequence[File]) -> Problem:
    shown = " and ".join(rival.path for rival in rivals[:2])
    detail = f"{file.path}: {shown} may belong to it, but not only to it; name both pictures of a face alike"
    return Problem(file.path, "ambiguous name", detail)


def _alone(file: File, folder: str) -> Problem:
    detail = f"{file.path}: no picture in {folder} has its name or number; add one, or remove it"
    return Problem(file.path, "no counterpart", detail)
