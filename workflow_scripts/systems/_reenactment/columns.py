"""The columns of the `metrics` table; `score_frames.py` says what each means."""

import pyarrow as pa

CHANGES = ("output", "nearest", "driver")
COMPARED = ("output", "nearest")  # with the driver
FRAME_SCORES = (
    *(f"{metric}_{picture}" for metric in ("psnr", "ssim") for picture in COMPARED),
    *(f"{metric}_{picture}" for metric in ("identity", "found", "nme", "change") for picture in CHANGES),
    *(f"flicker_{picture}" for picture in COMPARED),
    "clamped",
    "eased",
)
FRAME_METRICS = pa.schema(
    [
        *[(name, pa.string()) for name in ("source", "item", "split")],
        ("seen", pa.bool_()),
        ("nearest_item", pa.string()),
        ("nearest_distance", pa.float64()),
        *[(name, pa.float64()) for name in FRAME_SCORES],
    ]
)
