"""Charts of trainings."""

from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from workflow_scripts.reporting.style import LEFT, TRAIN, VAL, save_chart

LOG_RATIO = 20  # a quantity that spans more is drawn on a logarithmic scale
SMOOTHING = 0.05  # of the training steps, the width of the moving mean


def draw_curves(curves: pd.DataFrame, network: str, path: Path) -> None:
    """Draw each logged quantity of one training against the step, training and validation in one panel.

    Args:
        curves: columns `step`, `split` (`train`, `val`, or `rewound train` and `rewound val` of stretches that the
            training went back from), `name`, `value`.
        network: the one that is trained; in training its quantities have its name in front, in validation not.
        path: the SVG or PNG file.
    """
    curves = curves.assign(name=curves["name"].str.removeprefix(f"{network} "))
    names = list(dict.fromkeys(curves["name"]))
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(11 / 3 * columns, 2.5 * lines), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        _draw_curve(axis, curves[curves["name"] == name])
        axis.set_title(name.replace("_", " "))
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    save_chart(figure, path)


def _draw_curve(axis: Axes, rows: pd.DataFrame) -> None:
    train, val = (rows[rows["split"] == split].sort_values("step") for split in ("train", "val"))
    if len(train):
        window = max(1, round(SMOOTHING * len(train)))
        smooth = train["value"].rolling(window, min_periods=1, center=True).mean()
        axis.plot(train["step"], train["value"], color=TRAIN, alpha=0.25, linewidth=0.8)
        axis.plot(train["step"], smooth, color=TRAIN, linewidth=1.6, label="training")
    if len(val):
        axis.plot(val["step"], val["value"], color=VAL, linewidth=1.4, marker="o", markersize=3, label="validation")
    left = rows[rows["split"].str.startswith("rewound")]
    if len(left):
        axis.plot(left["step"], left["value"], ".", color=LEFT, markersize=3, zorder=1, label="rewound")
    low, high = rows["value"].min(), rows["value"].max()
    if low > 0 and high / low > LOG_RATIO:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")  # the default writes powers as formulas, which SVG text cannot show
    axis.legend(fontsize=8)
