"""Galleries: pictures of items side by side, chosen by rank and never by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from workflow_scripts.core import marking
from workflow_scripts.core.files import atomic_path
from workflow_scripts.reporting.style import FAINT, INK, PAPER, shorten, text_font

MARGIN, GAP, HEADER, LABEL, LINE = 12, 6, 26, 170, 16  # pixels
BETWEEN_ITEMS = 22  # pixels between the items of a first look
MIN_PANEL = 128  # pixels; smaller pictures are enlarged, each pixel to a square


def choose_by_rank(scores: pd.Series, count: int) -> list:
    """Return the labels of `count` rows at equal distances from the highest score to the lowest, both included."""
    ranked = scores.sort_values(ascending=False, kind="stable").index
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return [ranked[place] for place in dict.fromkeys(places.tolist())]


def choose_of_each(rows: pd.DataFrame, kind: str, score: str, count: int) -> pd.DataFrame:
    """Return about `count` rows, equally many of each kind, by `choose_by_rank`; no kind is a kind too.

    Args:
        rows: a table with the columns `kind` and `score`.
        kind: the column that tells kinds apart.
        score: the column that rows are ranked by.
        count: at least one of each kind is chosen.
    """
    kinds = list(rows.groupby(kind, dropna=False))
    of_each = max(1, count // len(kinds))
    return rows.loc[[label for _, group in kinds for label in choose_by_rank(group[score], of_each)]]


class Row(NamedTuple):
    """One line of a gallery.

    Attributes:
        items: the text at its left: for each item its name and details about it.
        pictures: uint8 (S, S, 3) or a map (S, S) each.
        are_paths: whether the names are paths, of which the last part is shown; of other texts all is.
    """

    items: Sequence[Sequence[str]]
    pictures: Sequence[np.ndarray]
    are_paths: bool = True


def draw_gallery(titles: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    """Write a marked PNG with one line of pictures for each row, its text at the left.

    Args:
        titles: of the columns, one for each picture of a row; a row may have fewer.
        rows: at least one.
        path: the file; its size is `gallery_size`.
    """
    picture_side = rows[0].pictures[0].shape[0]
    side = _panel_side(picture_side)
    canvas = Image.new("RGB", gallery_size(len(rows), len(titles), picture_side), PAPER)
    draw = ImageDraw.Draw(canvas)
    bold, plain = text_font("DejaVuSans-Bold", 12), text_font("DejaVuSans", 12)
    for column, title in enumerate(titles):
        draw.text((_left(column, side) + side / 2, MARGIN + 6), title, INK, bold, anchor="ma")
    for line, row in enumerate(rows):
        top = MARGIN + HEADER + line * (side + GAP)
        baseline = top + 4
        for name, *details in row.items:
            shown = name.rpartition("/")[2] if row.are_paths else name
            draw.text((MARGIN, baseline), shorten(shown, bold, LABEL - 8), INK, bold)
            for number, text in enumerate(details, 1):
                draw.text((MARGIN, baseline + number * LINE), shorten(text, plain, LABEL - 8), FAINT, plain)
            baseline += (len(details) + 1) * LINE + GAP
        for column, picture in enumerate(row.pictures):
            canvas.paste(_panel(picture, side), (_left(column, side), top))
    with atomic_path(path) as temporary:
        marking.save_png(canvas, temporary)


def draw_first_look(groups: Sequence[Mapping[str, np.ndarray]], path: Path) -> None:
    """Write a marked PNG of one line of pictures, which are understood without a number.

    Args:
        groups: for each item title -> picture, uint8 (S, S, 3), from left to right; all have the same titles.
        path: the file.
    """
    pictures = [picture for group in groups for picture in group.values()]
    side = _panel_side(pictures[0].shape[0])
    lefts = [
        MARGIN + (number * len(group) + column) * (side + GAP) + number * BETWEEN_ITEMS
        for number, group in enumerate(groups)
        for column in range(len(group))
    ]
    canvas = Image.new("RGB", (lefts[-1] + side + MARGIN, 2 * MARGIN + HEADER + side), PAPER)
    draw, bold = ImageDraw.Draw(canvas), text_font("DejaVuSans-Bold", 12)
    titles = [title for group in groups for title in group]
    for left, title, picture in zip(lefts, titles, pictures, strict=True):
        draw.text((left + side / 2, MARGIN + 6), shorten(title, bold, side), INK, bold, anchor="ma")
        canvas.paste(_panel(picture, side), (left, MARGIN + HEADER))
    with atomic_path(path) as temporary:
        marking.save_png(canvas, temporary)


def gallery_size(lines: int, columns: int, picture_side: int) -> tuple[int, int]:
    """Return width and height of a gallery in pixels."""
    side = _panel_side(picture_side)
    return _left(columns, side) - GAP + MARGIN, 2 * MARGIN + HEADER + lines * (side + GAP) - GAP


def _panel_side(picture_side: int) -> int:
    return picture_side * max(1, -(-MIN_PANEL // picture_side))


def _left(column: int, side: int) -> int:
    return MARGIN + LABEL + column * (side + GAP)


def _panel(picture: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(picture).convert("RGB").resize((side, side), Image.Resampling.NEAREST)
