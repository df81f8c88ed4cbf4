"""The columns of the `metrics` table; `score_outputs.py` says what each means."""

import pyarrow as pa

PICTURES = ("copy", "raw", "composite")
REGIONS = ("whole", "hole")
SCORES = (
    *(f"{metric}_{picture}_{region}" for metric in ("psnr", "ssim") for picture in PICTURES for region in REGIONS),
    *(f"{network}_{picture}" for network in ("identity", "faceres") for picture in PICTURES),
    *("psnr_best_hole", "psnr_mean_hole", "spread"),
    *("map_iou", "map_dice", "coverage_iou", "predicted_area", "true_area"),
)
METRICS = pa.schema(
    [
        ("source", pa.string()),
        ("item", pa.string()),
        ("variant", pa.int32()),
        ("split", pa.string()),
        ("seen", pa.bool_()),
        ("kind", pa.string()),
        *[(name, pa.float64()) for name in SCORES],
    ]
)
