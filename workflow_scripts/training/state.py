"""Resume states: all that a training needs to go on as if it had never stopped.

They lie outside the declared outputs, which a workflow manager deletes when a job fails; where results lie in a bucket,
they are copied to it. One safetensors file holds
everything: tensors, and in its header the rest as JSON. A second file of the kind, where it is wanted, is the last good
state, to which a training goes back.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from workflow_scripts.core import bucket
from workflow_scripts.core.files import atomic_path
from workflow_scripts.training.learned import learned, load_learned

FILE, GOOD = "state.safetensors", "good.safetensors"
DIGITS = 64  # of a SHA-256


def stamp(*parts: str) -> str:
    """Return a digest of all that must be the same for a state to be of use."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def save_state(folder: Path, header: dict, tensors: dict[str, Tensor], is_good: bool) -> None:
    """Write a state atomically; `header` is anything JSON can hold.

    A good one is written as such first. A training that is killed between the two goes on from the state before, and
    comes to write the same good one again before it can be asked for.
    """
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(header)
    metadata = {"state": _digest(text, whole) + text}  # one text, because several would be written in any order
    content = save(whole, metadata=metadata)
    for name in (GOOD, FILE) if is_good else (FILE,):
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)  # an OSError names a full disk
        bucket.store(folder / name)


def read_state(path: Path) -> tuple[dict, dict[str, Tensor]] | None:
    """Return the header and the tensors of a state; None when there is none, or a damaged one."""
    bucket.bring(path)
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            state = file.metadata()["state"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, KeyError, OSError):
        return None
    digest, text = state[:DIGITS], state[DIGITS:]
    return (json.loads(text), tensors) if digest == _digest(text, tensors) else None


def _digest(header: str, tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of all that a state holds."""
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Return the moments and step counts of an optimiser as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}.{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned; what has a parameter's shape gets its memory layout too."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in below(prefix, tensors).items():
        index, key = name.split(".")
        like = parameters[int(index)]
        same = value.shape == like.shape
        state.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(value) if same else value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def module_tensors(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Return the tensors that a module learns, as named tensors."""
    return {f"{prefix}.{name}": value for name, value in learned(module).items()}


def restore_module(module: nn.Module, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Put back what `module_tensors` returned."""
    load_learned(module, below(prefix, tensors))


def below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix` and a dot, by the rest of their names."""
    return {name.removeprefix(f"{prefix}."): x for name, x in tensors.items() if name.startswith(f"{prefix}.")}
