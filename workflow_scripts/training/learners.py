"""All that learns in a training: networks, their optimisers, a moving average."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workflow_scripts.config.training import Training
from workflow_scripts.training import state
from workflow_scripts.training.compiling import compile_network, compiles
from workflow_scripts.training.learned import learned, twin
from workflow_scripts.training.system import System, Update
from workflow_scripts.training.world import World


class Learners:
    """The networks of a system with an optimiser each.

    Attributes:
        networks: by name, in training mode.
        saved: the one that the checkpoint holds.
        average: its moving average in evaluation mode, if the configuration wants one.
        is_compiled: whether the networks are compiled at their first use.

    Args:
        system: its networks are on the device already.
        config: the keys of the loop.
        device: where the networks are.
        world: the processes that train together.
    """

    def __init__(self, system: System, config: Training, device: torch.device, world: World | None = None):
        self._config, self._device, self._world = config, device, world or World()
        self._saved_name = system.saved
        self.networks = system.networks.train()
        self.saved = self.networks[system.saved]
        self.average = twin(self.saved).eval() if config.ema else None
        self.is_compiled = compiles(config.compile, device)
        if self.is_compiled:
            for name, network in self.networks.items():
                if name not in system.differentiated_twice:
                    compile_network(network, config.threads)
        self.optimizers = {
            name: system.optimizer(name, [x for x in network.parameters() if x.requires_grad], config)
            for name, network in self.networks.items()
        }
        self._rates = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in self.optimizers.items()
        }
        if device.type == "cuda":
            for optimizer in self.optimizers.values():
                _make_recordable(optimizer, device)
        pairs = self._pairs()
        self._followed = [
            list(side) for side in zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        ]
        self._counted = [pair for pair in pairs if not pair[0].is_floating_point()]

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Return each tensor of the average with the one that it follows."""
        if self.average is None:
            return []
        return list(zip(learned(self.average).values(), learned(self.saved).values(), strict=True))

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and kept, in evaluation mode."""
        return (self.average or self.saved).eval()

    def set_rates(self, factor: float, slower: Mapping[str, float]) -> None:
        """Set all learning rates to what they were at first, times `factor`, times that of the network in `slower`."""
        for name, optimizer in self.optimizers.items():
            # The groups are looked up each time, because an optimiser that loads a state makes them anew.
            for group, rate in zip(optimizer.param_groups, self._rates[name], strict=True):
                _set_rate(group, rate * factor * slower.get(name, 1.0))

    def learn(self, update: Update, share: float, goes_on: bool) -> None:
        """Compute the gradients of an update's loss.

        Args:
            update: of a batch or of a part of it.
            share: of the part in the batch.
            goes_on: whether the gradients are added to those of the parts before.
        """
        if not goes_on:
            for optimizer in self._optimizers_of(update):
                optimizer.zero_grad()
        (update.loss * share).backward()

    def finish(self, update: Update) -> Tensor:
        """Take one step with the optimisers of an update's networks.

        Returns:
            The norm of the gradient of `update.network`, before it was clipped.
        """
        network = self.networks[update.network]
        learning = [self.networks[name] for name in (update.network, *update.beside)]
        self._world.average([x.grad for one in learning for x in one.parameters() if x.grad is not None])
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self._config.clip and update.network == self._saved_name:
            torch.nn.utils.clip_grads_with_norm_(network.parameters(), self._config.clip, norm)
        for optimizer in self._optimizers_of(update):
            optimizer.step()
        return norm

    def _optimizers_of(self, update: Update) -> list[torch.optim.Optimizer]:
        return [self.optimizers[name] for name in (update.network, *update.beside)]

    def follow(self, step: int) -> None:
        """Move the average; young averages follow faster, so that they soon forget the initial weights."""
        if self.average is None:
            return
        decay = min(self._config.ema, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._followed, 1 - decay)
        for mean, value in self._counted:
            mean.copy_(value)

    def settle(self) -> None:
        """Average what the processes do not learn by gradients: the running statistics of their normalisations."""
        if self._world.size > 1:
            self._world.average([x for x in self.networks.buffers() if x.is_floating_point()])

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of everything, and of torch's random numbers, as named tensors."""
        states = {"rng": torch.get_rng_state()}
        if self._device.type == "cuda":
            states["rng_cuda"] = torch.cuda.get_rng_state(self._device)
        tensors = {
            f"{name}.{rank}": value
            for name, own in states.items()
            for rank, value in enumerate(self._world.gather(own))
        }
        for name, network in self.networks.items():
            tensors |= state.module_tensors(network, f"network.{name}")
            tensors |= state.optimizer_tensors(self.optimizers[name], f"optimizer.{name}")
        if self.average is not None:
            tensors |= state.module_tensors(self.average, "average")
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` returned."""
        for name, network in self.networks.items():
            state.restore_module(network, f"network.{name}", tensors)
            state.restore_optimizer(self.optimizers[name], f"optimizer.{name}", tensors)
        if self.average is not None:
            state.restore_module(self.average, "average", tensors)
        rank = self._world.rank
        if f"rng.{rank}" in tensors:  # with more processes than before, new ones keep what they began with
            torch.set_rng_state(tensors[f"rng.{rank}"])
        if self._device.type == "cuda" and f"rng_cuda.{rank}" in tensors:
            torch.cuda.set_rng_state(tensors[f"rng_cuda.{rank}"], self._device)


def _make_recordable(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Let what changes from step to step lie on the GPU, where a recorded step finds it."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
            group["lr"] = torch.tensor(group["lr"], device=device)


def _set_rate(group: dict, rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
