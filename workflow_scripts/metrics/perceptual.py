"""How different pictures look: the distance of a network's features, as LPIPS defines it.

The features of each tap are scaled to length 1 at each place. The squared differences of two pictures are summed over
the channels, each with a weight, averaged over the places, and summed over the taps (Zhang et al., CVPR 2018, eq. 1).
With AlexNet or VGG16 and the weights that were learnt from people's judgements this is LPIPS. With EfficientNet-Lite0,
whose channels all have weight 1, it is another distance, which bears that network's name; its values do not compare
with those of LPIPS.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.models.efficientnet_lite import load_efficientnet_lite0
from workflow_scripts.models.lpips import load_lpips

EFFICIENTNET = "efficientnet_lite0"
NAMES = {
    EFFICIENTNET: "efficientnet_lite0 distance",
    "lpips_alex": "LPIPS 0.1 (AlexNet)",
    "lpips_vgg": "LPIPS 0.1 (VGG16)",
}
EPSILON = 1e-10  # added to a length, so that a place without any feature can be divided by it


class Diversity(NamedTuple):
    """Mean distance over all pairs of several pictures: over the whole picture, and in a hole (None where empty)."""

    whole: float
    hole: float | None


class PerceptualDistance:
    """A distance of pictures.

    Args:
        distance: key of `NAMES`.
        weights: name -> file of the networks that it needs.

    Raises:
        UserError: the weights are absent or damaged.
    """

    def __init__(self, distance: str, weights: Mapping[str, Path]):
        self._heads: Sequence[Tensor] | None = None
        if distance == EFFICIENTNET:
            self._network = load_efficientnet_lite0(weights[EFFICIENTNET])
        else:
            self._network, self._heads = load_lpips(distance, weights)

    def diversity(self, pictures: np.ndarray, hole: np.ndarray) -> Diversity:
        """Return the mean distance over all pairs of pictures, 0 where there is only one.

        No pair is looked at: the mean of (a - b)^2 over all pairs of n numbers is twice their variance, with n - 1. So
        each picture goes through the network once, and the time grows with n.

        Args:
            pictures: RGB uint8 (n, H, W, 3), with sides of 64 and more, which are not resized.
            hole: bool (H, W).

        Returns:
            `whole` is the mean over each tap's own places. `hole` is that over the hole's pixels of the taps' maps,
            each resized to the picture (bilinear, as the package `lpips` does for its spatial distance). A tap sees
            beyond its place, so the places around the hole differ too, which `hole` does not count.
        """
        if len(pictures) == 1:
            return Diversity(0.0, 0.0 if hole.any() else None)
        whole, inside = 0.0, 0.0
        for places in self._maps(pictures):
            whole += float(places.mean())
            resized = F.interpolate(places[None, None], hole.shape, mode="bilinear", align_corners=False)
            inside += float(resized[0, 0].numpy()[hole].mean()) if hole.any() else 0.0
        return Diversity(whole, inside if hole.any() else None)

    @torch.inference_mode()
    def _maps(self, pictures: np.ndarray) -> list[Tensor]:
        """Return for each tap the mean distance over all pairs at each of its places, (h, w)."""
        inputs = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        maps = []
        for tap, features in enumerate(self._network.taps(inputs)):
            directions = features / (features.norm(dim=1, keepdim=True) + EPSILON)
            differences = 2 * directions.var(dim=0)
            weighted = differences if self._heads is None else differences * self._heads[tap][:, None, None]
            maps.append(weighted.sum(dim=0))
        return maps
