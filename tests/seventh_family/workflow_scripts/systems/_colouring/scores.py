"""The scores of a system that colours grey tiles."""

import pyarrow as pa

SCORES = ("psnr_output", "psnr_copy")
METRICS = pa.schema(
    [*((name, pa.string()) for name in ("source", "item", "split")), *((name, pa.float64()) for name in SCORES)]
)
SORTED_BY = ("source", "item")
SPLITS = ("test", "train")
PUBLISHED: dict = {}


def summarize(*_args) -> dict:
    """Return nothing beside what every summary has."""
    return {}
