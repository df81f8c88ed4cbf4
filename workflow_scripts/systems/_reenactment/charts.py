"""Charts of a driven face over time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from workflow_scripts.reporting.style import TRAIN, WARM, save_chart, shorten, text_font

PANELS = (
    ("nme_{}", "Landmark error (NME); “driver” is two searches in one picture"),
    ("change_{}", "Change from the frame before, grey levels"),
)
LINES = {
    "driver": ("driver", "#9aa1aa", 2.2),
    "nearest": ("nearest training frame", WARM, 1.0),
    "output": ("output", TRAIN, 1.4),
}
ROOM, LEAST_ROOM = 680, 20  # points for the names of all clips, and of one below which it has none
SHORTEST, SPACE = 0.1, 0.06  # seconds of a clip's part, and of its length what is left empty behind it
BREAK = 3  # usual distances between frames; a longer gap, as a new shot, interrupts a line


def draw_time(rows: pd.DataFrame, path: Path) -> None:
    """Draw landmark error and temporal change of the frames of one source, its clips one after the other.

    Args:
        rows: of `metrics`, with `file`, `time` and `shot` of the index.
        path: the SVG file.
    """
    clips = [clip for _, clip in rows.sort_values(["file", "time"]).groupby("file")]
    lengths = np.array([max(float(np.ptp(clip["time"])), SHORTEST) for clip in clips])
    starts = np.cumsum(lengths * (1 + SPACE)) - lengths * (1 + SPACE)
    if len(clips) == 1:
        starts += clips[0]["time"].iloc[0]
    figure, axes = plt.subplots(len(PANELS), 1, figsize=(11, 4.8), sharex=True)
    for clip, start in zip(clips, starts, strict=True):
        time = _with_breaks(clip.assign(time=clip["time"] - clip["time"].iloc[0] + start))
        for axis, (score, _) in zip(axes, PANELS, strict=True):
            for name, (_, colour, width) in LINES.items():
                marker = "." if len(clip) == 1 else None
                axis.plot(time["time"], time[score.format(name)], color=colour, linewidth=width, marker=marker)
    for axis, (_, title) in zip(axes, PANELS, strict=True):
        axis.set_title(title)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("seconds")
    if len(clips) > 1:
        _name_clips(axes, [clip["file"].iloc[0] for clip in clips], starts, lengths)
    figure.legend(axes[0].lines[: len(LINES)], [line[0] for line in LINES.values()], loc="outside lower right", ncols=3)
    save_chart(figure, path)


def _name_clips(axes: Sequence[plt.Axes], names: Sequence[str], starts: np.ndarray, lengths: np.ndarray) -> None:
    """Write the names of the clips below their parts of the axes, as far as there is room, and set the parts apart."""
    room = ROOM * lengths / (starts[-1] + lengths[-1])
    font = text_font("DejaVuSans", 9)
    named = zip(names, room, strict=True)
    shown = [shorten(name, font, width) if width > LEAST_ROOM else "" for name, width in named]
    axes[-1].set_xticks(starts + lengths / 2, shown)
    axes[-1].set_xlabel(f"{len(names)} clips of {lengths.sum():.1f} seconds together, one after the other")
    for axis in axes:
        axis.grid(visible=False, axis="x")
        for start, length in zip(starts[1:], lengths[:-1], strict=True):
            axis.axvline(start - SPACE * length / 2, color="#d5d9df", linewidth=0.8)


def _with_breaks(clip: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with an empty one wherever a shot begins or frames are missing."""
    step, new_shot = clip["time"].diff(), clip["shot"].diff().fillna(0) != 0
    gaps = clip[new_shot | (step > BREAK * step.median())]
    if gaps.empty:
        return clip
    empty = gaps[["file", "time", "shot"]].assign(time=gaps["time"] - 1e-6)
    return pd.concat([empty, clip]).sort_values("time", kind="stable")
