"""Charts of one source: its items, pictures, faces, and where their landmarks lie."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workflow_scripts.reporting.flow import Reason
from workflow_scripts.reporting.style import TRAIN, save_chart

WIDTH = 5.4  # inches; two charts stand side by side on the page
STAGE_COLOURS = {"index_source": "#7a4b94", "find_landmarks": "#d1702a", "crop_faces": "#8b929c"}
MOST_REASONS = 12
MOST_FACES = 5  # pictures with more are counted together
SIZE_CELLS = 28  # on each axis; sizes in one cell are drawn as one circle
ANGLE_STEP = 3  # degrees


def draw_items(remaining: Mapping[str, int], path: Path) -> None:
    """Draw how many items are left after each stage.

    Args:
        remaining: stage -> items, in the order of the stages, beginning with what was found.
        path: the SVG file.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 0.45 * len(remaining) + 0.7))
    _draw_bars(axis, list(remaining), list(remaining.values()), [TRAIN] * len(remaining))
    axis.set(title="Items that are left", xlabel="items")
    save_chart(figure, path)


def draw_reasons(reasons: Sequence[Reason], path: Path) -> None:
    """Draw how many items were quarantined for which reason, coloured by stage; the most frequent reasons alone.

    Args:
        reasons: at least one, most frequent first.
        path: the SVG file.
    """
    shown = list(reasons[:MOST_REASONS])
    figure, axis = plt.subplots(figsize=(WIDTH, 0.3 * len(shown) + 1.2))
    colours = [STAGE_COLOURS.get(row.stage, TRAIN) for row in shown]
    _draw_bars(axis, [row.reason for row in shown], [row.items for row in shown], colours)
    more = len(reasons) - len(shown)
    axis.set(title="Quarantined, by reason" + (f" ({more} rarer ones not shown)" if more else ""), xlabel="items")
    stages = dict(zip([row.stage for row in shown], colours, strict=True))
    handles = [Patch(color=colour, label=stage) for stage, colour in stages.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    save_chart(figure, path)


def draw_sizes(width: np.ndarray, height: np.ndarray, path: Path) -> None:
    """Draw the sizes of pictures on logarithmic axes: the area of a circle is the number of pictures.

    Args:
        width: pixels, (n,), n > 0.
        height: pixels, (n,).
        path: the SVG file.
    """
    sizes = np.stack([width, height], axis=1).astype(np.float64)
    low, high = sizes.min() / 1.25, sizes.max() * 1.25
    cells = np.rint(np.log(sizes / low) / np.log(high / low) * SIZE_CELLS).astype(int)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    places = [np.bincount(cell.ravel(), sizes[:, side]) / counts for side in range(2)]
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2))
    axis.plot([low, high], [low, high], color="#c3c8ce", linestyle="--", linewidth=1, zorder=1)
    axis.scatter(*places, s=8 + 500 * counts / counts.sum(), color=TRAIN, alpha=0.55, linewidths=0, zorder=2)
    axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal", title="Picture sizes")
    axis.set(xlabel="width, pixels", ylabel="height, pixels")
    ticks = _size_ticks(low, high)
    for side in (axis.xaxis, axis.yaxis):
        side.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
        side.set_ticks([], minor=True)
    save_chart(figure, path)


def draw_faces(per_picture: Counter, detectors: Mapping[str, int], path: Path) -> None:
    """Draw how many faces the pictures show, and which step of the detection found the chosen ones.

    Args:
        per_picture: number of faces -> pictures, not empty.
        detectors: name -> faces; may be empty.
        path: the SVG file.
    """
    figure, axes = plt.subplots(
        1 + bool(detectors), 1, figsize=(WIDTH, 2.1 + 0.9 + 0.3 * len(detectors)), squeeze=False
    )
    upper = axes[0, 0]
    numbers = range(max(2, min(MOST_FACES, max(per_picture))) + 1)
    pictures = [per_picture[number] for number in numbers]
    pictures[-1] += sum(count for number, count in per_picture.items() if number > numbers[-1])
    bars = upper.bar(numbers, pictures, color=TRAIN, width=0.7)
    upper.bar_label(bars, [f"{count:,}" for count in pictures], padding=2, fontsize=8, color="#4a5058")
    labels = [str(number) for number in numbers]
    labels[-1] += " or more" if numbers[-1] == MOST_FACES else ""
    upper.set_xticks(numbers, labels)
    upper.grid(axis="x", visible=False)
    upper.margins(y=0.14)
    _count_on(upper.yaxis)
    upper.set(title="Faces per picture", xlabel="faces found", ylabel="pictures")
    if detectors:
        _draw_bars(axes[1, 0], list(detectors), list(detectors.values()), [TRAIN] * len(detectors))
        axes[1, 0].set(title="Chosen faces, by what found them", xlabel="faces")
    save_chart(figure, path)


def draw_detector_scores(scores: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw the distribution of each detector's scores in its own panel: they are not comparable between detectors.

    Args:
        scores: detector -> scores (n,), n > 0; at least one detector.
        path: the SVG file.
    """
    columns = min(2, len(scores))
    rows = -(-len(scores) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 2.0 * rows + 0.2), squeeze=False)
    for axis, (name, values) in zip(axes.flat, scores.items(), strict=False):
        axis.hist(values, min(40, max(8, round(len(values) ** 0.5))), color=TRAIN)
        axis.set_title(f"{name} ({len(values):,})", fontsize=9)
        _count_on(axis.yaxis)
    for axis in axes.flat[len(scores) :]:
        axis.axis("off")
    figure.supxlabel("score of the chosen face", fontsize=9, color="#4a5058")
    figure.supylabel("faces", fontsize=9, color="#4a5058")
    save_chart(figure, path)


def draw_pose(roll: np.ndarray, yaw: np.ndarray, path: Path) -> None:
    """Draw how heads are turned.

    Args:
        roll: degrees, (n,), n > 0.
        yaw: degrees, (n,).
        path: the SVG file.
    """
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 4.2))
    titles = ("Roll: angle of the line between the eyes", "Yaw: estimated with a generic 3D head")
    ends = ("tilted clockwise, as seen", "looks to the right, as seen")
    for axis, angles, title, positive in zip(axes, (roll, yaw), titles, ends, strict=True):
        reach = ANGLE_STEP * max(15, int(np.ceil(np.abs(angles).max() / ANGLE_STEP + 0.5)))
        edges = np.arange(-reach - ANGLE_STEP / 2, reach + ANGLE_STEP, ANGLE_STEP)  # a bin has zero in its middle
        axis.hist(angles, edges, color=TRAIN)
        axis.axvline(np.median(angles), color="#14181d", linewidth=1.2)
        axis.set(title=title, xlabel=f"degrees; above 0: {positive}", ylabel="faces", xlim=(-reach, reach))
        axis.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 1.5, 3, 6, 10]))
        _count_on(axis.yaxis)
    save_chart(figure, path)


def draw_landmark_density(density: np.ndarray, mean: np.ndarray, path: Path) -> None:
    """Draw where the 68 landmarks lie in the crops, over the mean crop.

    Args:
        density: points per pixel of the crop, float (S, S), not all 0.
        mean: the mean crop, uint8 (S, S, 3).
        path: the SVG file.
    """
    size = len(density)
    smooth = cv2.GaussianBlur(density.astype(np.float32), (0, 0), max(0.8, size / 110))
    strength = np.sqrt(smooth / smooth.max())  # else a few points that never move outshine all others
    heat = plt.get_cmap("plasma")(strength)
    heat[..., 3] = np.clip(strength * 1.8, 0, 0.95)  # nothing, where nothing is
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    axis.imshow(cv2.cvtColor(cv2.cvtColor(mean, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), alpha=0.75)
    axis.imshow(heat, interpolation="none")
    scale = plt.cm.ScalarMappable(plt.Normalize(0, 1), "plasma")
    bar = figure.colorbar(scale, ax=axis, shrink=0.8)
    bar.set_ticks([0, 0.5, 1], labels=["0", "¼ of the peak", "peak"])
    bar.outline.set_visible(False)
    bar.set_label("density of landmarks (square-root scale)")
    axis.grid(visible=False)
    axis.set(title="Landmarks in the crop, over the mean crop", xlabel="x, pixels", ylabel="y, pixels")
    save_chart(figure, path)


def _draw_bars(axis: Axes, names: list[str], counts: list[int], colours: list[str]) -> None:
    """Draw horizontal bars from top to bottom, each with its number."""
    bars = axis.barh(range(len(names)), counts, color=colours, height=0.65)
    axis.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=8, color="#4a5058")
    axis.set_yticks(range(len(names)), names)
    edge = 0.5 if len(names) > 1 else 0.9
    axis.set_ylim(len(names) - 1 + edge, -edge)
    axis.grid(axis="y", visible=False)
    axis.margins(x=0.12)
    _count_on(axis.xaxis)


def _count_on(axis: Axis) -> None:
    """Mark whole numbers, with separators, on the axis that counts."""
    axis.set_major_locator(MaxNLocator(4, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _size_ticks(low: float, high: float) -> list[int]:
    """Return round numbers of pixels between two sizes, some four to eight."""
    for steps in ((1, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [round(step * 10**power) for power in range(1, 6) for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 8:
            break
    return ticks
