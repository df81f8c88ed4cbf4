"""Charts of scores and detection."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from workflow_scripts.metrics.roc import roc_area, roc_curve
from workflow_scripts.reporting.style import TRAIN, WARM, save_chart
from workflow_scripts.systems._removal.columns import PICTURES

COLOURS = {"copy": "#8b929c", "raw": "#7eb0d5", "composite": "#1f5f99"}
NAMES = {"copy": "copy of the input", "raw": "raw output", "composite": "composite"}
PANELS = (
    ("psnr_{}_hole", "PSNR in the hole, dB"),
    ("ssim_{}_hole", "SSIM in the hole"),
    ("psnr_{}_whole", "PSNR of the whole picture, dB"),
    ("ssim_{}_whole", "SSIM of the whole picture"),
    ("identity_{}", "identity: cosine of face descriptors"),
)


def draw_score_boxes(rows: pd.DataFrame, path: Path) -> None:
    """Draw the spread of the test items' scores by kind of occluder: boxes of quartiles, whiskers from 5 to 95 %."""
    groups = {"all": rows} | {kind: rows[rows["kind"] == kind] for kind in sorted(rows["kind"].dropna().unique())}
    panels = [(column, title) for column, title in PANELS if rows[column.format("composite")].notna().any()]
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.2))
    for axis, (column, title) in zip(axes.flat, panels, strict=False):
        _draw_boxes(axis, {name: [group[column.format(p)] for p in PICTURES] for name, group in groups.items()})
        axis.set_title(title)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    handles = [Patch(color=COLOURS[name], label=NAMES[name]) for name in PICTURES]
    axes.flat[-1].legend(handles=handles, loc="center", fontsize=11)
    save_chart(figure, path)


def draw_presence(occluded: np.ndarray, bare: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draw how well the predicted area tells occluded from bare faces: both distributions and the ROC curve.

    Args:
        occluded: predicted areas in 0..1, (n,).
        bare: predicted areas in 0..1, (m,).
        names: of the two sources, in this order.
        path: the SVG file.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=[1.35, 1])
    bins = np.linspace(0, max(occluded.max(), bare.max(), 1e-6), 31)
    for areas, name, colour in ((bare, names[1], TRAIN), (occluded, names[0], WARM)):
        left.hist(areas, bins, weights=np.full(len(areas), 1 / len(areas)), color=colour, alpha=0.65, label=name)
    left.set(title="Predicted area", xlabel="fraction of the picture", ylabel="fraction of the faces")
    left.legend()
    false_rate, true_rate = roc_curve(occluded, bare)
    right.plot([0, 1], [0, 1], color="#c3c8ce", linestyle="--", linewidth=1)
    right.plot(false_rate, true_rate, color=TRAIN, linewidth=2)
    right.set(title=f"ROC, area {roc_area(occluded, bare):.3f}", xlabel="false positive rate", aspect="equal")
    right.set_ylabel("true positive rate")
    save_chart(figure, path)


def _draw_boxes(axis: Axes, groups: dict[str, list[pd.Series]]) -> None:
    width = 0.8 / len(PICTURES)
    for place, values in enumerate(groups.values()):
        for offset, (picture, series) in enumerate(zip(PICTURES, values, strict=True)):
            parts = axis.boxplot(
                series.dropna(),
                positions=[place + (offset - 1) * width],
                widths=width * 0.8,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                medianprops={"color": "#14181d", "linewidth": 1.4},
                whiskerprops={"color": "#9aa1aa"},
                capprops={"color": "#9aa1aa"},
            )
            parts["boxes"][0].set(facecolor=COLOURS[picture], edgecolor="none")
    axis.set_xticks(range(len(groups)), [f"{name}\n({len(values[0])})" for name, values in groups.items()])
    axis.grid(axis="x", visible=False)
