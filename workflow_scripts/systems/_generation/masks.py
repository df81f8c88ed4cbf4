"""Scores of masks beside their pictures, real or generated: do they bound what is shown?

A score of a mask that belongs to another picture is the baseline of each.
"""

from collections.abc import Sequence

import numpy as np

from workflow_scripts.metrics.contours import LEVEL, edge_agreement
from workflow_scripts.metrics.overlap import area, iou


def score_masks(
    pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray], found: Sequence[np.ndarray] | None
) -> list[dict[str, float]]:
    """Return the scores of each picture; NaN for what cannot be measured.

    `mask_area` is the fraction of the picture; `edge` the agreement of contour and edges (`metrics/contours.py`);
    `segment_iou` the overlap of the mask with what a network finds in the picture, trained on real pairs. The mask of
    the next picture, of the first for the last, gives `…_shuffled`.

    Args:
        pictures: RGB uint8 (S, S, 3).
        masks: uint8 (S, S), one of each.
        found: what the network finds, uint8 (S, S) of each; None where there is no such network.
    """
    rows = []
    for number, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
        other = masks[(number + 1) % len(masks)]
        row = {"mask_area": area(mask > LEVEL), "edge": edge_agreement(picture, mask)}
        row["edge_shuffled"] = edge_agreement(picture, other) if len(masks) > 1 else float("nan")
        for name, compared in (("segment_iou", mask), ("segment_iou_shuffled", other)):
            known = found is not None and (compared is mask or len(masks) > 1)
            row[name] = iou(found[number] > LEVEL, compared > LEVEL) if known else float("nan")
        rows.append(row)
    return rows
