"""The summary of a driven face: what all systems have (`stages/experiments/summarize_scores.py`).

`test` are the target's held-out frames, painted from their own drawings; `apply` are frames of another person.
`psnr_nearest` and the like are the baseline: the target's nearest training frame. Only pictures were published, no
numbers.
"""

from workflow_scripts.systems._reenactment.columns import FRAME_METRICS as METRICS
from workflow_scripts.systems._reenactment.columns import FRAME_SCORES as SCORES

__all__ = ["METRICS", "PUBLISHED", "SCORES", "SORTED_BY", "SPLITS", "summarize"]
SORTED_BY = ("source", "item")
SPLITS = ("test", "train", "apply")
PUBLISHED: dict = {}


def summarize(*_args) -> dict:
    """Return nothing, since the summary has only what that of every system has."""
    return {}
