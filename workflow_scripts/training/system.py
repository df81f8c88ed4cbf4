"""What a system tells the training loop; everything else about training is the loop's.

A system is a subclass of `System`, made by `build_system(network, experiment, weights)` in its module `training.py`.
The base class trains on pictures and maps; a system that trains on something else, float latents for example, overrides
`augment`, and `to_tensors` where its columns are not yet what networks see. In the order in which the loop asks:

    columns        which columns of which shards make an item
    begin          once, told of the training items
    optimizer      once for each network
    to_tensors     shard columns (uint8, or whatever the shard holds) to what networks see
    epoch_begins   before each epoch, with all training items; most systems have nothing to do then
    prepare        more columns, made of each item
    augment        what is done at random to training items
    course         which of several kinds of steps is due
    training_step  the losses of one step
    validate       the scores of watched items; `judged_by` names the one that decides which state is kept
    preview        pictures of watched items
    limits         what tells that the training has failed

What a checkpoint holds follows from the saved network (see `learned.py`): every tensor, or, where the system has frozen
a pretrained model, the adapters alone; `bases` then names the files that the adapters stand on.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from workflow_scripts.config.training import Training
from workflow_scripts.training.adam import Adam
from workflow_scripts.training.augmentation import augment, sample_moved
from workflow_scripts.training.data import Batch, Items, Key, to_float
from workflow_scripts.training.health import Limit


@dataclass(frozen=True)
class Score:
    """The validation score that decides which state of a training is the best.

    Attributes:
        name: one of those that `System.validate` returns.
        higher_is_better: whether a state with a larger value is better.
    """

    name: str
    higher_is_better: bool

    def best(self, values: Mapping[int, float]) -> int | None:
        """Return the step with the best value, the first of equal ones; None where no value is a number."""
        sign = 1 if self.higher_is_better else -1
        finite = [step for step, value in values.items() if abs(value) < float("inf")]
        return max(finite, key=lambda step: sign * values[step], default=None)


@dataclass(frozen=True)
class Update:
    """One optimiser step that a system asks for.

    Attributes:
        network: which of `System.networks` learns.
        loss: what it minimises, a scalar.
        parts: parts of the loss to be logged, scalars without gradient.
        beside: further ones that learn by the same gradients, each with its own optimiser, such as an encoder beside
            the saved generator.
    """

    network: str
    loss: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    beside: Sequence[str] = ()


class System(ABC):
    """The networks of one training, what they minimise and how they are judged.

    Attributes:
        networks: all that is trained, by name; each has its own optimiser.
        saved: the name of the one that the checkpoint holds; the others only help to train it.
        judged_by: the validation score by which the best state of the saved network is chosen.
        perceptual: a frozen network whose features a loss compares, if there is one.
        columns: tensor column -> kind of shard that it is read from (`pairs`, `maps`, `drawings`).
        bases: name -> file of the pretrained models that the saved network adapts and that its checkpoint therefore
            does not repeat; their parameters are frozen (`requires_grad_(False)`). Most systems have none.
        limits: of logged values; a training that breaks one has failed, and does what `on_collapse` says.
        differentiated_twice: names of networks whose gradients are part of a loss, which cannot be compiled.
        keeps_items: whether all items lie on a GPU where they fit, which is as fast as small networks need it.
    """

    networks: nn.ModuleDict
    saved: str
    judged_by: Score
    columns: Mapping[str, str]
    perceptual: nn.Module | None = None
    bases: Mapping[str, Path] = {}
    limits: Sequence[Limit] = ()
    differentiated_twice: Sequence[str] = ()
    keeps_items: bool = True

    def to(self, device: torch.device, layout: torch.memory_format) -> None:
        """Move all networks, the frozen ones too."""
        for network in (self.networks, self.perceptual):
            if network is not None:
                network.to(device=device, memory_format=layout)

    def begin(self, items: Items) -> None:  # noqa: B027 (most systems have nothing to do here)
        """Learn of the training items, before the networks move to their device and a resume state is read."""

    def epoch_begins(  # noqa: B027 (most systems have nothing to do here)
        self,
        epoch: int,
        batches: Iterable[Batch],
        optimizers: Mapping[str, torch.optim.Optimizer],
        average: nn.Module | None,
    ) -> None:
        """Do what is due before an epoch, as with labels that grow with the training.

        A training that goes on from a state within the epoch is past this. What changes here must lie in the networks,
        buffers included, because resume states hold nothing else.

        Args:
            epoch: from 0.
            batches: all training items in the order of their keys, without augmentation; made when they are asked for.
            optimizers: by network.
            average: the moving average of the saved network, if there is one.
        """

    def optimizer(self, name: str, parameters: Sequence[nn.Parameter], settings: Training) -> torch.optim.Optimizer:
        """Return the optimiser of one network.

        Args:
            name: of the network.
            parameters: those that are not frozen.
            settings: `learning_rate` and `betas` are meant for it. The loop lets the learning rate of each of its
                groups fall as `schedule` says, from what it is here.
        """
        return Adam(parameters, settings.learning_rate, settings.betas)

    def to_tensors(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Turn the columns of shards, (N, ...) of the shards' types, into what networks see.

        Here uint8 pictures (N, S, S, 3) become float32 (N, 3, S, S) in -1..1, uint8 maps (N, S, S) become float32
        (N, 1, S, S) in 0..1, and what is no uint8 is left as it is.
        """
        return to_float(columns)

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return more columns, made of each item before its augmentation; most systems need none.

        Args:
            batch: as `to_tensors` returns it.
            seeds: an integer for each item, which depends on its name and the configuration's seed alone.
        """
        return {}

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Return training items changed at random; here the pictures' augmentation, see `augmentation.py`.

        Args:
            batch: all columns, those of `prepare` too.
            keys: of the items. With `seed` and `epoch` they alone may decide what is done, so that an item's fate does
                not depend on the items beside it (`core.randomness.item_rng`).
            seed: of the configuration.
            epoch: from 0.
            settings: of the training.
        """
        return augment(batch, keys, seed, epoch, settings, self.mirror, self.move)

    def mirror(self, batch: Batch) -> dict[str, Tensor]:
        """Return the columns of mirrored items; more than a flip where colours tell left from right."""
        return {name: x.flip(-1) for name, x in batch.items()}

    def move(self, batch: Batch, places: Tensor) -> dict[str, Tensor]:
        """Return the columns of moved items, see `augmentation.sample_moved`; more where points move along."""
        return sample_moved(batch, places)

    def course(self, step: int, progress: float) -> Hashable:
        """Return which course a step takes, where not all steps of a training are alike.

        Args:
            step: from 0.
            progress: the fraction of the training that is done, from 0 to 1.
        """
        return None

    @abstractmethod
    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the updates of one step, in order; each is carried out before the next is asked for.

        On a GPU the first steps of a course are recorded, and later ones are replayed without any Python. So what is
        computed may depend on nothing but `course` and tensors, and random numbers are drawn on the batch's device.

        Args:
            batch: column -> tensor on the device, as `augment` returns it.
            course: as `course` returned it for this step.
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
