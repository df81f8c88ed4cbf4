"""The landmark model, converted once for all tests, and a recognition network of random weights."""

import json
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from workflow_scripts.faces.landmarks import LandmarkModel
from workflow_scripts.models.faceres import STRIDES
from workflow_scripts.stages.sources.fetch_weights import fetch_weights

_folder = tempfile.TemporaryDirectory()


@cache
def landmark_weights() -> Path:
    """Return its file."""
    path = Path(_folder.name) / "landmarks.safetensors"
    fetch_weights("landmarks", None, path)
    return path


@cache
def landmark_model() -> LandmarkModel:
    """Return the model."""
    return LandmarkModel(landmark_weights())


def random_faceres() -> dict[str, np.ndarray]:
    """Return random tensors of the published names, with four channels in each layer."""
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * (2 / np.prod(shape[:-1])) ** 0.5).astype(np.float32)

    zeros = np.zeros(4, np.float32)
    made = {"conv1/convolution/merged_input": draw(3, 3, 3, 4), "conv1_bn/batchnorm_1/sub": zeros}
    for number in range(1, len(STRIDES) + 1):
        made[f"conv_dw_{number}/depthwise_kernel"] = draw(3, 3, 4, 1)
        made[f"conv_dw_{number}_bn/batchnorm_1/mul"] = zeros + 1
        made[f"conv_dw_{number}_bn/batchnorm_1/sub"] = zeros
        made[f"conv_pw_{number}/convolution/merged_input"] = draw(1, 1, 4, 4)
        made[f"conv_pw_{number}_bn/batchnorm_1/sub"] = zeros
    return made


def write_tfjs(package: Path, model: str, tensors: dict[str, np.ndarray], half: tuple[str, ...] = ()) -> None:
    """Write an npm package with one TensorFlow.js model, some of whose tensors are stored as float16."""
    manifest, raw = [], b""
    for name, value in tensors.items():
        entry = {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        if name in half:
            entry["quantization"] = {"dtype": "float16"}
        manifest.append(entry)
        raw += (value.astype(np.float16) if name in half else value).tobytes()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(package, "w:gz") as archive:
        parts = {"json": json.dumps({"weightsManifest": [{"weights": manifest}]}).encode(), "bin": raw}
        for ending, content in parts.items():
            path = Path(folder) / f"model.{ending}"
            path.write_bytes(content)
            archive.add(path, f"{model}.{ending}")
