"""Pretrained networks whose features a perceptual loss compares."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from workflow_scripts.models.efficientnet_lite import load_efficientnet_lite0
from workflow_scripts.models.vgg19 import load_vgg19

LOADERS = {"efficientnet_lite0": load_efficientnet_lite0, "vgg19": load_vgg19}


def load_perceptual(names: Sequence[str], weights: Mapping[str, Path]) -> nn.Module | None:
    """Return the frozen network that a training compares features of; None where it names none.

    Args:
        names: `weights_of` a network: none or one.
        weights: name -> file.

    Raises:
        UserError: weights are absent or damaged.
    """
    return LOADERS[names[0]](weights[names[0]]) if names else None
