"""How the network of `flow` learns."""

from collections.abc import Hashable, Iterator, Mapping

import torch
from torch import Tensor, nn

from workflow_scripts.models.flow_matching import draw_times, loss_weight
from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.systems._completion.training import (
    GuidedTraining,
    draw_normal,
    preview_completions,
)
from workflow_scripts.systems.diverse.config import FlowNetwork
from workflow_scripts.systems.diverse.flow_network import SIGMA, FlowCompleter
from workflow_scripts.training.losses import weighted_mean
from workflow_scripts.training.system import Batch, Score, Update

WATCHED_TIMES = (0.1, 0.35, 0.6, 0.85)


class FlowTraining(GuidedTraining):
    """The squared error of the predicted values inside the hole, weighted by `loss_weight`."""

    saved = "flow"
    judged_by = Score("flow", higher_is_better=False)

    def __init__(self, config: FlowNetwork, module: FlowCompleter):
        self.config = config
        self.networks = nn.ModuleDict({"flow": module})

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        target = batch["target"]
        times = draw_times(len(target), target.device)[:, None, None, None]
        dropped = torch.rand(len(target), 1, 1, 1, device=target.device) < self.config.drop_keypoints
        shown = dict(batch) | {"guide": batch["guide"].masked_fill(dropped, 0)}
        error = _squared_error(self.networks["flow"], shown, _filled(batch), torch.randn_like(target), times)
        yield Update("flow", weighted_mean(error, batch["hole"]))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the loss at fixed times, with fixed noise."""
        shape = tuple(batch["target"].shape[1:])
        area = batch["hole"].sum(dim=(1, 2, 3)).clamp(min=1)
        filled, losses = _filled(batch), []
        for number, time in enumerate(WATCHED_TIMES):
            times = torch.full_like(batch["uncertainty"], time)
            error = _squared_error(network, batch, filled, draw_normal(batch["seed"], shape, 2 + number), times)
            losses.append((error * batch["hole"]).mean(dim=1).sum(dim=(1, 2)) / area)
        return {"flow": torch.stack(losses).mean(dim=0)}

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is given, the guide, two completions, the one without any noise, the truth."""
        return preview_completions(network, batch)


def _squared_error(network: FlowCompleter, batch: Batch, filled: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """Return the weighted squared error of the values that are predicted for places at `times`, (N, 3, S, S).

    Args:
        network: the completer.
        batch: as `GuidedTraining` makes it.
        filled: the result of `_filled`.
        noise: (N, 3, S, S), where the paths begin.
        times: (N, 1, 1, 1) in 0..1.
    """
    values = (batch["target"] - filled) / SIGMA
    place = times * values + (1 - times) * noise
    found = network(place, times, filled, batch["hole"], batch["guide"], batch["uncertainty"])
    return loss_weight(times) * (found - values).square()


def _filled(batch: Batch) -> Tensor:
    """Return the pictures with the colours around their holes continued into them."""
    return continue_colours(batch["holed"], 1 - batch["hole"])
