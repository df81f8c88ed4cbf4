"""Features and classes of pictures by pretrained networks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workflow_scripts.metrics.frechet import NETWORK_SIDE
from workflow_scripts.models.efficientnet_lite import load_efficientnet_lite0
from workflow_scripts.models.inception import load_inception
from workflow_scripts.training.inference import BATCH

# Network -> length of its features, number of its classes.
SIZES = {"efficientnet_lite0": (1280, 1000), "inception": (2048, 1008)}
Describe = Callable[[Tensor], tuple[Tensor, Tensor]]


def feature_columns(names: Sequence[str]) -> dict[str, tuple]:
    """Return the columns of a shard that hold what `describe` returns."""
    kinds = {"features": 0, "logits": 1}
    return {f"{name}_{kind}": (np.float32, (SIZES[name][place],)) for name in names for kind, place in kinds.items()}


def load_describers(weights: Sequence[Path], device: torch.device) -> dict[str, Describe]:
    """Return network -> function of RGB (N, 3, S, S) in 0..1 to features and logits.

    Args:
        weights: safetensors; a file's stem is the network's name.
        device: where the networks are put.
    """
    return {path.stem: _describer(path, device) for path in weights}


def describe(pictures: Iterable[np.ndarray], describers: Mapping[str, Describe], device: torch.device) -> list[dict]:
    """Return for each picture `{network}_features` and `{network}_logits`, float32.

    Args:
        pictures: RGB uint8 (S, S, 3), a batch of at most `BATCH`.
        describers: as `load_describers` returns them.
        device: where they are.
    """
    stacked = torch.from_numpy(np.stack(list(pictures))).to(device).permute(0, 3, 1, 2).float() / 255
    rows: list[dict] = [{} for _ in range(len(stacked))]
    with torch.inference_mode():
        for name, network in describers.items():
            for kind, values in zip(("features", "logits"), network(stacked), strict=True):
                for row, value in zip(rows, values.float().cpu().numpy(), strict=True):
                    row[f"{name}_{kind}"] = value
    return rows


def batches_of(count: int) -> list[range]:
    """Return the places of `count` rows, `BATCH` at a time."""
    return [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]


def _describer(path: Path, device: torch.device) -> Describe:
    if path.stem == "inception":
        inception = load_inception(path).to(device)

        def by_inception(pictures: Tensor) -> tuple[Tensor, Tensor]:
            features = inception.features(pictures)
            return features, inception.classify(features)

        return by_inception
    network = load_efficientnet_lite0(path).to(device)

    def by_efficientnet(pictures: Tensor) -> tuple[Tensor, Tensor]:
        features = network.features(F.interpolate(pictures, size=(NETWORK_SIDE, NETWORK_SIDE), mode="bilinear"))
        return features, network.classifier(features)

    return by_efficientnet
