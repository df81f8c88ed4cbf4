"""Checkpoints: what a training learned as safetensors, and a JSON sidecar that says what made it.

A checkpoint holds a whole network, or adapters alone. Adapters stand on pretrained models, the bases, which the sidecar
names by file name and SHA-256 and which the checkpoint does not repeat; they are verified when it is loaded.
"""

import json
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import atomic_path, sha256_of, write_json
from workflow_scripts.training.learned import learned, load_learned

WRONG_VALUE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)  # what a damaged sidecar raises
LIBRARIES = ("torch", "numpy", "safetensors", "pyarrow", "opencv-python-headless")


def save_checkpoint(path: Path, sidecar: Path, network: nn.Module, description: dict) -> None:
    """Write what a network learned, and its sidecar.

    Args:
        path: `….safetensors`.
        sidecar: `….json`, of the same name beside it.
        network: the trained network.
        description: `system`, `network` and `config` (the experiment), by which `load_network` builds the network;
            `bases`, as `describe_bases` returns them; and what made the weights: seed, digests, steps.
    """
    tensors = {name: value.cpu().contiguous() for name, value in learned(network).items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors))
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    write_json(sidecar, description | {"libraries": libraries})


def load_network(path: Path, device: torch.device, weights: Mapping[str, Path] | None = None) -> nn.Module:
    """Return the network of a checkpoint in evaluation mode.

    The module `networks` of its system builds it: `build_network(network, experiment)`, or, where the checkpoint holds
    adapters, `build_network(network, experiment, bases)` with the verified files of the base models by name.

    Args:
        path: the checkpoint; its sidecar lies beside it.
        device: where the network is put.
        weights: name -> file of pretrained models, among them the bases.

    Raises:
        UserError: the checkpoint or its sidecar is damaged, they do not belong together, or a base model is absent or
            another file than the one that the adapters were trained on.
    """
    sidecar = path.with_suffix(".json")
    try:
        description = json.loads(sidecar.read_text(encoding="utf-8"))
        system = description["system"]
        experiment = import_module(f"workflow_scripts.systems.{system}.config").Experiment(**description["config"])
        build_network = import_module(f"workflow_scripts.systems.{system}.networks").build_network
        bases = _verified_bases(path, description["bases"], weights or {})
        network = build_network(description["network"], experiment, *([bases] if bases else []))
        load_learned(network, _finite_tensors(path))
    except (*WRONG_VALUE, ImportError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} and {sidecar.name} do not make a network ({reason}); delete both and train again"
        ) from error
    return network.to(device, memory_format=torch.channels_last).eval()


def _finite_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint.

    Raises:
        ValueError: one holds values that are not finite; a network of them gives nothing, or black pictures.
    """
    tensors = load_file(path)
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} holds values that are not finite")
    return tensors


def pretrained(description: Mapping) -> list[str]:
    """Return the names of the pretrained models that a network learned with, as its sidecar tells.

    `landmarks` cut out the faces that it learned from; of others it learned features, or stands on them.
    """
    inputs = (Path(name) for name in description["inputs"])
    of_weights = [path.stem for path in inputs if path.parent.name == "weights"]
    return [*(["landmarks"] if description.get("crops") else []), *sorted({*of_weights, *description["bases"]})]


def describe_bases(bases: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Return name -> `file` (its name) and `sha256` of the base models that adapters stand on."""
    return {name: {"file": path.name, "sha256": sha256_of(path)} for name, path in bases.items()}


def _verified_bases(
    checkpoint: Path, wanted: Mapping[str, Mapping[str, str]], weights: Mapping[str, Path]
) -> dict[str, Path]:
    """Return name -> file of the base models that a checkpoint stands on.

    Raises:
        UserError: one is absent, or has another digest.
    """
    found = {}
    for name, base in wanted.items():
        path = weights.get(name)
        wish = f"{checkpoint} adapts the base model {name!r}, a file {base['file']} of SHA-256 {base['sha256']}"
        if path is None or not path.is_file():
            where = f"there is no {path}" if path else "no file was given for it"
            raise UserError(f"{wish}, but {where}; put that file there (`weights: {{{name}: PATH}}`)")
        if (digest := sha256_of(path)) != base["sha256"]:
            raise UserError(f"{wish}, but {path} has {digest}; put the right file there, or train the adapters again")
        found[name] = path
    return found
