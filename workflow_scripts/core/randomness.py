"""Randomness that depends on the item: the same item draws the same numbers in any order, shard or process."""

import hashlib
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def stable_hash(*parts: object) -> int:
    """Return a 64-bit integer that depends on the text of `parts` alone (unlike `hash`, the same in every process)."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "little")


def item_rng(seed: int, item: str, purpose: str) -> np.random.Generator:
    """Return the random generator of one item for one purpose."""
    return np.random.default_rng(stable_hash(seed, item, purpose))


def draw_weighted(rng: np.random.Generator, choices: Sequence[tuple[float, T]]) -> T:
    """Draw a value from (weight, value) pairs. `Generator.choice` draws the same, and takes ten times as long."""
    bounds = list(accumulate(weight for weight, _ in choices))
    return choices[bisect(bounds, rng.random() * bounds[-1], hi=len(bounds) - 1)][1]
