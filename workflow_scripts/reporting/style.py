"""One look for all charts, and files whose bytes depend on what they show alone."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import ImageFont

from workflow_scripts.core.files import atomic_path
from workflow_scripts.core.names import readable

TRAIN, VAL, WARM, LEFT = "#1f5f99", "#d1702a", "#d1702a", "#9aa3ab"
INK, FAINT, PAPER = (28, 33, 38), (110, 118, 126), (255, 255, 255)  # of what Pillow draws

plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#9aa1aa",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e6e8eb",
        "xtick.color": "#4a5058",
        "ytick.color": "#4a5058",
        "axes.labelcolor": "#4a5058",
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        "svg.hashsalt": "workflow",
        "text.parse_math": False,  # a dollar sign in a name is no formula
    }
)


def save_chart(figure: Figure, path: Path) -> None:
    """Write a chart as the file's name says, an SVG without date, and close it."""
    kind = path.suffix.removeprefix(".")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)
    plt.close(figure)


def text_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return one of matplotlib's fonts, as `DejaVuSans`, for Pillow; `size` in pixels."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / f"{name}.ttf"), size)


def shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return the text as it can be drawn (`readable`), its middle left out where it is wider than `width` pixels."""
    text = readable(text)
    if font.getlength(text) <= width:
        return text
    keep = min(len(text), int(width))  # no letter that is worth showing is narrower than a pixel
    while keep and font.getlength(f"{text[: keep // 2]}…{text[len(text) - (keep - keep // 2) :]}") > width:
        keep -= 1
    return f"{text[: keep // 2]}…{text[len(text) - (keep - keep // 2) :]}"
