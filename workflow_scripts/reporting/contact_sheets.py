"""Contact sheets: many small pictures in rows, each with a few words below it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from workflow_scripts.core.files import atomic_path
from workflow_scripts.reporting.style import FAINT, INK, PAPER, shorten, text_font

COLUMNS = 8
SIDE, GAP, LINE = 126, 10, 15  # pixels; a full row is as wide as the page
EMPTY, EDGE, GROUND = (238, 240, 243), (201, 207, 213), (247, 248, 249)


class Tile(NamedTuple):
    """One picture of a sheet.

    Attributes:
        picture: RGB uint8 (H, W, 3), shown whole; None: an empty tile that says so.
        words: the lines below it; what is too long loses its middle.
    """

    picture: np.ndarray | None
    words: Sequence[str]


def draw_contact_sheet(tiles: Sequence[Tile], path: Path) -> None:
    """Write a PNG of all tiles, `COLUMNS` in a row.

    Args:
        tiles: at least one, in the order of reading.
        path: the file.
    """
    lines = max(len(tile.words) for tile in tiles)
    columns, rows = min(COLUMNS, len(tiles)), -(-len(tiles) // COLUMNS)
    pitch = SIDE + lines * LINE + 2 * GAP
    canvas = Image.new("RGB", (columns * (SIDE + GAP) - GAP, rows * pitch), PAPER)
    draw = ImageDraw.Draw(canvas)
    bold, plain = text_font("DejaVuSans-Bold", 11), text_font("DejaVuSans", 11)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        left, top = column * (SIDE + GAP), row * pitch
        _draw_picture(canvas, draw, tile.picture, (left, top))
        for line, text in enumerate(tile.words):
            font, ink = (plain, FAINT) if line else (bold, INK)
            draw.text((left, top + SIDE + 4 + line * LINE), shorten(text, font, SIDE), ink, font)
    with atomic_path(path) as temporary:
        canvas.save(temporary, "PNG", optimize=True)


def _draw_picture(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, picture: np.ndarray | None, corner: tuple[int, int]
) -> None:
    box = (*corner, corner[0] + SIDE - 1, corner[1] + SIDE - 1)
    if picture is None:
        draw.rectangle(box, EMPTY, EDGE)
        middle = (corner[0] + SIDE / 2, corner[1] + SIDE / 2)
        draw.text(middle, "cannot be shown", FAINT, text_font("DejaVuSans", 11), anchor="mm")
        return
    draw.rectangle(box, GROUND)
    shown = Image.fromarray(picture)
    scale = SIDE / max(shown.size)
    shown = shown.resize([max(1, round(side * scale)) for side in shown.size], Image.Resampling.LANCZOS, reducing_gap=3)
    canvas.paste(shown, (corner[0] + (SIDE - shown.width) // 2, corner[1] + (SIDE - shown.height) // 2))
