"""Checkpoints: the weights as safetensors, and a JSON sidecar that says what made them."""

import json
from importlib import import_module, metadata
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import atomic_path, write_json

LIBRARIES = ("torch", "numpy", "safetensors", "pyarrow", "opencv-python-headless")


def save_checkpoint(path: Path, sidecar: Path, network: nn.Module, description: dict) -> None:
    """Write a network and its sidecar.

    Args:
        path: `….safetensors`.
        sidecar: `….json`, of the same name beside it.
        network: the network whose weights are saved.
        description: `system`, `network` and `config` (the experiment), by which `load_network` builds the network, and
            what made the weights: seed, digests, steps.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors))
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    write_json(sidecar, description | {"libraries": libraries})


def load_network(path: Path, device: torch.device) -> nn.Module:
    """Return the network of a checkpoint in evaluation mode.

    Raises:
        UserError: the checkpoint or its sidecar is damaged, or they do not belong together.
    """
    sidecar = path.with_suffix(".json")
    try:
        description = json.loads(sidecar.read_text(encoding="utf-8"))
        system = description["system"]
        experiment = import_module(f"workflow_scripts.systems.{system}.config").Experiment(**description["config"])
        build_network = import_module(f"workflow_scripts.systems.{system}.networks").build_network
        network = build_network(description["network"], experiment)
        network.load_state_dict(load_file(path))
    except (ValueError, KeyError, RuntimeError, ModuleNotFoundError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} and {sidecar.name} do not make a network ({reason}); delete both and train again"
        ) from error
    return network.to(device, memory_format=torch.channels_last).eval()
