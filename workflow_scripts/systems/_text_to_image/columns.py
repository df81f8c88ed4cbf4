"""The columns of the `metrics` table: how well noise is told from held-out pictures with their captions."""

import pyarrow as pa

SCORES = ("loss", "loss_base")
METRICS = pa.schema(
    [("source", pa.string()), ("item", pa.string()), ("split", pa.string()), *((name, pa.float64()) for name in SCORES)]
)
