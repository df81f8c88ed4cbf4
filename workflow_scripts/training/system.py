"""What a system tells the training loop; everything else about training is the loop's."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Update:
    """One optimiser step that a system asks for.

    Attributes:
        network: which of `System.networks` learns.
        loss: what it minimises, a scalar.
        parts: parts of the loss to be logged, scalars without gradient.
    """

    network: str
    loss: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class System(ABC):
    """The networks of one training, what they minimise and how they are judged.

    Attributes:
        networks: all that is trained, by name; each has its own Adam.
        saved: the name of the one that the checkpoint holds; the others only help to train it.
        perceptual: a frozen network whose features a loss compares, if there is one.
        columns: tensor column -> kind of shard that it is read from (`pairs`, `maps`, `drawings`).
    """

    networks: nn.ModuleDict
    saved: str
    columns: Mapping[str, str]
    perceptual: nn.Module | None = None

    def to(self, device: torch.device, layout: torch.memory_format) -> None:
        """Move all networks, the frozen ones too."""
        for network in (self.networks, self.perceptual):
            if network is not None:
                network.to(device=device, memory_format=layout)

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return more columns, made of each item before its augmentation; most systems need none.

        Args:
            batch: as networks see it, see `training_step`.
            seeds: an integer for each item, which depends on its name and the configuration's seed alone.
        """
        return {}

    def mirror(self, batch: Batch) -> dict[str, Tensor]:
        """Return the columns of mirrored items; more than a flip where colours tell left from right."""
        return {name: x.flip(-1) for name, x in batch.items()}

    @abstractmethod
    def training_step(self, batch: Batch, progress: float) -> Iterator[Update]:
        """Yield the updates of one step, in order; each is carried out before the next is asked for.

        Args:
            batch: column -> float32 on the device: pictures (N, 3, S, S) in -1..1, maps (N, 1, S, S) in 0..1.
            progress: the fraction of the training that is done, from 0 to 1.
        """

    @abstractmethod
    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return name -> score of each item (N,), of the saved network in evaluation mode."""

    @abstractmethod
    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return the pictures of each item, side by side in this order: (N, 3, S, S) in -1..1 each."""


def detached(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return values without their gradients."""
    return {name: value.detach() for name, value in values.items()}


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the network without gradients of its weights: it judges, it does not learn."""
    network.requires_grad_(False)
    try:
        yield network
    finally:
        network.requires_grad_(True)
