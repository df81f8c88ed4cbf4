"""The columns of the `metrics` table; `score_completions.py` says what each means. The names of the methods."""

from collections.abc import Iterable

import pyarrow as pa

KEYS = ("source", "item", "variant", "method", "knob", "move")
LIKENESS = tuple(
    f"{metric}_{which}_{region}"
    for metric in ("psnr", "ssim")
    for which in ("best", "mean")
    for region in ("hole", "whole")
)
DIVERSITY = ("diversity_hole", "diversity_whole")
LANDMARKS = ("found", "nme_truth", "nme_asked", "nme_unmoved", "found_truth", "nme_floor")
IDENTITY = ("identity_truth", "identity_spread")
SCORES = (*LIKENESS, *DIVERSITY, *LANDMARKS, *IDENTITY)
KEYPOINT_SCORES = ("nme_in", "nme_out", "spread_in", "z2_in", "z2_out", "dlib_found", "dlib_nme_in", "dlib_nme_out")
PLACE = pa.schema([("source", pa.string()), ("item", pa.string()), ("variant", pa.int32())])
METRICS = pa.schema(
    [
        *PLACE,
        ("split", pa.string()),
        ("seen", pa.bool_()),
        ("kind", pa.string()),
        ("shape", pa.string()),
        ("area", pa.float64()),
        ("method", pa.string()),
        ("knob", pa.float32()),
        ("move", pa.string()),
        ("samples", pa.int32()),
        *[(name, pa.float64()) for name in (*SCORES, *KEYPOINT_SCORES)],
    ]
)

KEYPOINTS = "keypoints"  # the method of the rows that score keypoints and complete nothing
OURS, MEAN = "flow", "regression"
VARIATIONAL = ("pii", "de")
# Method -> what it is called, from the baselines to ours; figures and tables have this order.
NAMES = {
    "nearest": "nearest faces",
    "regression": "mean completion",
    "pii": "PII-GAN",
    "de": "DE-GAN",
    "flow": "flow, ours",
}


def in_order(methods: Iterable[str]) -> list[str]:
    """Return the methods that complete faces, without repetition, in the order of `NAMES`; others come last."""
    order = list(NAMES)
    known = {method for method in methods if method != KEYPOINTS}
    return sorted(known, key=lambda method: (order.index(method) if method in order else len(order), method))
