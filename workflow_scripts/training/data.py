"""Batches from tensor shards: gathered from the memory map, or from the GPU's memory when all of it fits there."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.shards import Shard

GPU_SHARE = 0.5  # of the free GPU memory that training data may take

Batch = Mapping[str, Tensor]  # column -> (N, ...)


class Key(NamedTuple):
    """What identifies a training item: a row of the shards of one source."""

    source: str
    item: str
    variant: int

    def __str__(self) -> str:
        return f"{self.source}/{self.item}/{self.variant}"


class Items:
    """Rows of tensor shards in the order of their keys; rows of several shards that share a key are one item.

    The first column says which items there are. What a further column has of variant 0 alone is of all variants.

    Args:
        columns: tensor column -> the shards that hold it; a shard's source is the name of its folder.
        wanted: (source, item) of the rows to take.

    Raises:
        UserError: a row of one column has no counterpart in another, or a column's rows differ in shape.
    """

    def __init__(self, columns: Mapping[str, Sequence[Path]], wanted: set[tuple[str, str]]):
        opened = {path: Shard(path) for path in dict.fromkeys(path for paths in columns.values() for path in paths)}
        self._rows: dict[str, dict[Key, tuple[Shard, int]]] = {
            column: {
                key: (opened[path], row)
                for path in paths
                for row, key in enumerate(_keys(path, opened[path]))
                if (key.source, key.item) in wanted
            }
            for column, paths in columns.items()
        }
        self.keys = sorted(next(iter(self._rows.values())))
        for column, rows in self._rows.items():
            for key in self.keys if not any(key.variant for key in rows) else ():
                if (first := key._replace(variant=0)) in rows:
                    rows.setdefault(key, rows[first])
            if lacking := next((key for key in self.keys if key not in rows), None):
                raise UserError(f"{lacking} has no {column!r}; delete the shards of {lacking.source} and run again")
        for column, paths in columns.items():
            _check_shapes(column, [opened[path] for path in paths if len(opened[path])])
        self._on_device: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def gather(self, positions: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        """Return column -> tensor (n, ...) of the items at `positions`; shapes and types are those of the shards."""
        if self._on_device is not None:
            index = torch.as_tensor(np.asarray(positions), device=device)
            return {column: values[index] for column, values in self._on_device.items()}
        return {column: self._stack(column, positions).to(device) for column in self._rows}

    def shapes(self) -> dict[str, list[int]]:
        """Return column -> shape of one item; a picture's is height, width, 3. There must be an item."""
        return {column: list(self._stack(column, [0]).shape[1:]) for column in self._rows}

    def keep_on(self, device: torch.device) -> bool:
        """Copy all items to a GPU if they fit into `GPU_SHARE` of its free memory; return whether they did."""
        if device.type != "cuda" or not self.keys:
            return False
        size = len(self) * sum(self._stack(column, [0]).nbytes for column in self._rows)
        if size > GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
            return False
        self._on_device = {column: self._stack(column, range(len(self))).to(device) for column in self._rows}
        return True

    def _stack(self, column: str, positions: Sequence[int]) -> Tensor:
        rows = (self._rows[column][self.keys[position]] for position in positions)
        return torch.from_numpy(np.stack([shard.tensor(column, row) for shard, row in rows]))


def epoch_batches(items: Items, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the positions of each batch of an epoch; the order of two items depends on nothing but them.

    An incomplete last batch is left out, as batch statistics of few items are poor, unless it is the only one.
    """
    order = sorted(range(len(items)), key=lambda position: stable_hash(seed, "order", epoch, items.keys[position]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) < batch_size else batches


def to_float(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn uint8 pictures (N, S, S, C) and maps (N, S, S) into what networks see; other types are left as they are."""

    def convert(x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            return x
        return maps_to_float(x) if x.ndim == 3 else pictures_to_float(x)

    return {name: convert(x) for name, x in columns.items()}


def pictures_to_float(pictures: Tensor) -> Tensor:
    """Turn uint8 (N, S, S, C) into float32 (N, C, S, S) in -1..1; the memory stays channels-last."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def maps_to_float(maps: Tensor) -> Tensor:
    """Turn uint8 (N, S, S) into float32 (N, 1, S, S) in 0..1."""
    return maps[:, None].float() / 255


def pictures_to_bytes(pictures: Tensor) -> Tensor:
    """Turn (N, C, S, S) in -1..1 to uint8 (N, S, S, C)."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1)


def pictures_to_uint8(pictures: Tensor) -> np.ndarray:
    """Turn (N, 3, S, S) in -1..1 to RGB uint8 (N, S, S, 3), as an array."""
    return pictures_to_bytes(pictures).cpu().numpy()


def on_device(network: nn.Module, array: np.ndarray) -> torch.Tensor:
    """Return an array as a tensor where the network is."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(next(network.parameters()).device)


def runs_of(items: Items, batch_size: int) -> Iterator[range]:
    """Yield the positions of all items in the order of their keys, `batch_size` at a time."""
    for start in range(0, len(items), batch_size):
        yield range(start, min(start + batch_size, len(items)))


def _check_shapes(column: str, shards: Sequence[Shard]) -> None:
    """Raise `UserError` where the rows of a column have another shape in one shard than in another."""
    shapes = {shard.tensor(column, 0).shape: shard.path for shard in shards}
    if len(shapes) > 1:
        (first, here), (second, there) = list(shapes.items())[:2]
        raise UserError(
            f"column {column!r} has items of shape {first} in {here} and {second} in {there}; where they are pictures, "
            "give all training sources the same `crop: {size: …}`"
        )


def _keys(path: Path, shard: Shard) -> list[Key]:
    variants = shard.scalars("variant") if "variant" in shard.columns else [0] * len(shard)
    return [Key(path.parent.name, item, variant) for item, variant in zip(shard.items, variants, strict=True)]
