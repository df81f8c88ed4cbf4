"""Charts of completed faces."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from workflow_scripts.reporting.style import TRAIN, WARM, save_chart
from workflow_scripts.systems._completion.columns import NAMES, in_order

COLOURS = {"nearest": "#8b929c", "regression": "#14181d", "pii": WARM, "de": "#4f9a5b", "flow": TRAIN}
MARKERS = {"nearest": "s", "regression": "D"}
PANELS = (
    ("psnr_best_hole", "Best of all samples: PSNR in the hole, dB", 1.0),
    ("psnr_mean_hole", "Mean of all samples: PSNR in the hole, dB", 1.0),
    ("nme_truth", "Landmark error in the hole, % of the eyes’ distance", 100.0),
)


def draw_tradeoff(curve: Sequence[dict], distance: str, path: Path) -> None:
    """Draw quality against diversity in the hole, a line for each method along its knob; up and right is better.

    Args:
        curve: the entry of the summary, see `scores.py`.
        distance: the name of the distance that diversity is measured by.
        path: the SVG file.
    """
    figure, axes = plt.subplots(1, len(PANELS), figsize=(12, 4))
    for axis, (score, title, factor) in zip(axes, PANELS, strict=True):
        for method in in_order(entry["method"] for entry in curve):
            _draw_line(axis, [entry for entry in curve if entry["method"] == method], score, factor)
        axis.set_title(title)
        axis.set_xlabel(f"diversity in the hole, {distance}")
    axes[-1].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(NAMES))
    save_chart(figure, path)


def _draw_line(axis: Axes, entries: Sequence[dict], score: str, factor: float) -> None:
    method = entries[0]["method"]
    points = [
        (entry["mean"]["diversity_hole"], factor * entry["mean"][score], entry["knob"])
        for entry in entries
        if entry["mean"][score] is not None and entry["mean"]["diversity_hole"] is not None
    ]
    if not points:
        return
    x, y, _ = zip(*points, strict=True)
    colour, marker = COLOURS.get(method, WARM), MARKERS.get(method, "o")
    axis.plot(x, y, color=colour, marker=marker, markersize=5, linewidth=1.6, label=NAMES.get(method, method))
    for across, up, knob in points if len(points) > 1 else []:
        size = 9 if knob == 1 else 7
        axis.annotate(f"{knob:g}", (across, up), (4, 4), textcoords="offset points", fontsize=size, color=colour)
