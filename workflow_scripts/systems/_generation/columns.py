"""The columns of the `metrics` table: scores of the masks of real squares."""

import pyarrow as pa

MASK_SCORES = ("mask_area", "edge", "edge_shuffled", "segment_iou", "segment_iou_shuffled")
METRICS = pa.schema(
    [
        ("source", pa.string()),
        ("item", pa.string()),
        ("variant", pa.int32()),
        ("split", pa.string()),
        ("kind", pa.string()),
        *((name, pa.float64()) for name in MASK_SCORES),
    ]
)
