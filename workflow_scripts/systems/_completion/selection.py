"""Which items are completed, and in which ways."""

from typing import NamedTuple

import pandas as pd

from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.systems._completion.config import Evaluation

MOVED_KINDS = ("parts", "40-50")  # of holes, in which keypoints are moved


class Way(NamedTuple):
    """One way in which a hole is completed: with a value of the diversity knob, and a movement of the keypoints."""

    knob: float
    move: str


PLAIN = Way(1.0, "")


def completed_items(splits: pd.DataFrame, evaluation: Evaluation) -> dict[tuple[str, str], bool]:
    """Return (source, item) of all that are completed -> whether it is one of those for the whole curve.

    Args:
        splits: the experiment's table of splits.
        evaluation: its keys `items` and `curve_items` are used.
    """
    chosen = {}
    scored = splits[splits["scored"]]
    for split, rows in scored.groupby("split"):
        keys = sorted(zip(rows["source"], rows["item"], strict=True), key=lambda key: stable_hash("completed", *key))
        keys = keys if split == "train" else keys[: evaluation.items]
        chosen |= {key: split == "test" and rank < evaluation.curve_items for rank, key in enumerate(keys)}
    return chosen


def ways_of(kind: str, on_curve: bool, guided: bool, evaluation: Evaluation) -> list[Way]:
    """Return the ways in which one hole is completed, the plain one first.

    Args:
        kind: of the hole.
        on_curve: as `completed_items` returns it for the item.
        guided: whether the completer looks at keypoints.
        evaluation: its keys `knobs` and `moves` are used.
    """
    if not on_curve:
        return [PLAIN]
    knobs = [Way(knob, "") for knob in evaluation.knobs if knob != PLAIN.knob]
    moves = [Way(PLAIN.knob, move) for move in evaluation.moves] if guided and kind in MOVED_KINDS else []
    return [PLAIN, *knobs, *moves]
