"""Is a generated picture a copy? The nearest training picture by its pixels, mirrored or not."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

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


def shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture RGB uint8 (S, S, 3) as a vector of its 16x16 mean colours, float32 (768,)."""
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).reshape(-1)
