"""What stages share that apply a trained network."""

from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.training.data import Key

BATCH = 32  # items per forward pass; fixed, so that results do not depend on a setting


def item_seed(seed: int, key: Key) -> int:
    """Return the integer from which noise for an item is drawn, the same in training and when a network is applied.

    Args:
        seed: of the configuration.
        key: of the item; of one that is applied its variant is 0.
    """
    return stable_hash(seed, key, "prepare")
