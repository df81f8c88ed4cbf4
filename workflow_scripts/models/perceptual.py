"""Pretrained networks whose features a perceptual loss compares."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from workflow_scripts.models.efficientnet_lite import load_efficientnet_lite0
from workflow_scripts.models.vgg19 import load_vgg19

LOADERS = {"efficientnet_lite0": load_efficientnet_lite0, "vgg19": load_vgg19}


def load_perceptual(names: Sequence[str], weights: Mapping[str, Path]) -> nn.Module | None:
    """Return the frozen network whose features a training compares, or None where it compares none.

    Args:
        names: the result of an experiment's `weights_of`, none or one name.
        weights: name -> file of the weights.

    Raises:
        UserError: the weights are absent or damaged.
    """
    return LOADERS[names[0]](weights[names[0]]) if names else None
