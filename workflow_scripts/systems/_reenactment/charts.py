"""Charts of a driven face over time."""

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
NAME_WIDTH = 150  # pixels of a clip's name
BREAK = 3  # usual distances between frames; a longer gap, as a new shot, interrupts a line


def draw_time(rows: pd.DataFrame, path: Path) -> None:
    """Draw landmark error and temporal change of the frames of one source, its clips one after the other.

    Args:
        rows: of `metrics`, with `file`, `time` and `shot` of the index.
        path: the SVG file.
    """
    rows = rows.sort_values(["file", "time"])
    clips = [of_clip for _, of_clip in rows.groupby("file")]
    lengths = [max(float(np.ptp(clip["time"])), 0.1) for clip in clips]
    figure, axes = plt.subplots(
        len(PANELS), len(clips), figsize=(11, 4.8), sharex="col", sharey="row", squeeze=False, width_ratios=lengths
    )
    for column, clip in enumerate(clips):
        clip = _with_breaks(clip)
        for axis, (score, title) in zip(axes[:, column], PANELS, strict=True):
            for name, (label, colour, width) in LINES.items():
                axis.plot(clip["time"], clip[score.format(name)], color=colour, linewidth=width, label=label)
            axis.set_ylim(bottom=0)
            if column == 0:
                axis.set_title(title)
        name = shorten(clip["file"].iloc[0], text_font("DejaVuSans", 9), NAME_WIDTH)
        axes[-1, column].set_xlabel("seconds" if len(clips) == 1 else f"{name}, seconds")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=len(LINES))
    save_chart(figure, path)


def _with_breaks(clip: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with an empty one wherever a shot begins or frames are missing."""
    step, new_shot = clip["time"].diff(), clip["shot"].diff().fillna(0) != 0
    gaps = clip[new_shot | (step > BREAK * step.median())]
    if gaps.empty:
        return clip
    empty = gaps[["file", "time", "shot"]].assign(time=gaps["time"] - 1e-6)
    return pd.concat([empty, clip]).sort_values("time", kind="stable")
