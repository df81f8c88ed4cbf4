"""Is a generated picture a copy? The nearest training picture by its pixels, mirrored or not."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table

# Columns that say which training picture is the nearest.
NEAREST = {
    "nearest_source": pa.string(),
    "nearest_item": pa.string(),
    "nearest_variant": pa.int32(),
    "nearest_distance": pa.float64(),
}
SIDE = 16  # pixels to which pictures are shrunk before they are compared
BLOCK = 256  # pictures that are searched for at once


class TrainingPictures:
    """The pictures of a training, to be searched.

    Args:
        keys: (source, item, variant) of each.
        pictures: RGB uint8 (S, S, 3) each, at least one.
        device: where they are searched.
    """

    def __init__(self, keys: Sequence[tuple[str, str, int]], pictures: Sequence[np.ndarray], device: torch.device):
        self._keys = list(keys)
        plain = np.stack([shrunk(picture) for picture in pictures])
        mirrored = plain.reshape(-1, SIDE, SIDE, 3)[:, :, ::-1].reshape(len(plain), -1)
        self._vectors = torch.from_numpy(np.concatenate([plain, mirrored])).to(device)
        self._squares = self._vectors.square().sum(dim=1)

    def nearest(self, pictures: Sequence[np.ndarray]) -> list[dict]:
        """Return `nearest_source`, `nearest_item`, `nearest_variant` and `nearest_distance` of each picture.

        The distance is the root of the mean squared difference of 16x16 pixels, of 255.
        """
        found = []
        for start in range(0, len(pictures), BLOCK):
            vectors = torch.from_numpy(np.stack([shrunk(picture) for picture in pictures[start : start + BLOCK]]))
            vectors = vectors.to(self._vectors.device)
            places = (self._squares - 2 * vectors @ self._vectors.T).argmin(dim=1)
            distances = (vectors - self._vectors[places]).square().mean(dim=1).sqrt()
            for place, distance in zip(places.tolist(), distances.tolist(), strict=True):
                source, item, variant = self._keys[place % len(self._keys)]
                names = {"nearest_source": source, "nearest_item": item, "nearest_variant": variant}
                found.append(names | {"nearest_distance": distance})
        return found


def training_pictures(
    training: Path, shards: Iterable[Path], device: torch.device, mirrored: bool = False
) -> TrainingPictures:
    """Return the pictures that networks were trained on.

    Args:
        training: an experiment's training table.
        shards: `…/{source}/{shard}.arrow` with a column `image`, of the sources that it is trained on.
        device: where they are searched.
        mirrored: whether variants are mirror images of variant 0, which the search itself looks for.
    """
    table = read_table(training, ["source", "item", "split"])
    table = table[table["split"] == "train"]
    items = set(zip(table["source"], table["item"], strict=True))
    return TrainingPictures(*find_pictures(shards, items, mirrored), device)


def find_pictures(
    shards: Iterable[Path], items: Collection[tuple[str, str]], mirrored: bool
) -> tuple[list[tuple[str, str, int]], list[np.ndarray]]:
    """Return (source, item, variant) and `image` of the rows of these (source, item); see `training_pictures`."""
    keys, pictures = [], []
    for path in shards:
        shard = Shard(path)
        for (item, variant), row in shard.row_numbers().items():
            if (path.parent.name, item) in items and not (mirrored and variant):
                keys.append((path.parent.name, item, variant))
                pictures.append(shard.tensor("image", row))
    return keys, pictures


def tell_copies(distances: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
    """Return how near generated pictures are to training pictures, beside held-out ones.

    Args:
        distances: of generated pictures from the nearest training picture, (n,).
        held_out: of held-out pictures, (m,).

    Returns:
        `nearest` and `test`, their medians, and `fraction`, that of generated pictures which are nearer than 99 % of
        the held-out ones.
    """
    return {
        "nearest": float(np.median(distances)),
        "test": float(np.median(held_out)),
        "fraction": float((distances < np.quantile(held_out, 0.01)).mean()),
    }


def shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture RGB uint8 (S, S, 3) as a vector of its 16x16 mean colours, float32 (768,)."""
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).reshape(-1)
