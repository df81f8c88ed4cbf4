"""Item-keyed randomness: the same item draws the same numbers in any order, shard or process."""

import hashlib

import numpy as np


def stable_hash(*parts: object) -> int:
    """Return a 64-bit integer that depends on the text of `parts` alone (unlike `hash`, the same in every process)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def item_rng(seed: int, item: str, purpose: str) -> np.random.Generator:
    """Return the random generator of one item for one purpose."""
    return np.random.default_rng(stable_hash(seed, item, purpose))
