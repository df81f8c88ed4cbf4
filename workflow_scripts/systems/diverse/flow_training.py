"""How the network of `flow` learns."""

from collections.abc import Hashable, Iterator, Mapping

import torch
from torch import Tensor, nn

from workflow_scripts.models.flow_matching import draw_times, loss_weight
from workflow_scripts.systems._completion.training import (
    GuidedTraining,
    draw_normal,
    preview_completions,
)
from workflow_scripts.systems.diverse.config import FlowNetwork
from workflow_scripts.systems.diverse.flow_network import SIGMA, FlowCompleter
from workflow_scripts.training.losses import weighted_mean
from workflow_scripts.training.system import Batch, Score, Update, detached

WATCHED_TIMES = (0.1, 0.35, 0.6, 0.85)


class FlowTraining(GuidedTraining):
    """Inside the hole, mean squared errors in units of `SIGMA` or of the spread s:

    L_mean   = ((x - m) / SIGMA)²                 m learns to be the mean of all completions
    L_spread = (x - m)² / 2 s² + log s            s learns its error, which does not change m (Seitzer et al. 2022)
    L_flow   = w(t) (F(t v + (1 - t) e) - v)²     v = (x - m) / s, noise e, `loss_weight` w; m and s do not learn
    """

    saved = "flow"
    judged_by = Score("flow", higher_is_better=False)

    def __init__(self, config: FlowNetwork, module: FlowCompleter):
        self.config = config
        self.networks = nn.ModuleDict({"flow": module})

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        network, target, hole = self.networks["flow"], batch["target"], batch["hole"]
        times = draw_times(len(target), target.device)[:, None, None, None]
        dropped = torch.rand(len(target), 1, 1, 1, device=target.device) < self.config.drop_keypoints
        shown = dict(batch) | {"guide": batch["guide"].masked_fill(dropped, 0)}
        mean, spread = network.begin(shown["holed"], hole, shown["guide"])
        error = ((target - mean) / SIGMA).square()
        likelihood = network.to_values(target, mean.detach(), spread).square() / 2 + spread.log()
        values = {"mean": weighted_mean(error, hole), "spread": weighted_mean(likelihood, hole)}
        noise = torch.randn_like(target)
        flow = _squared_error(network, shown, mean.detach(), spread.detach(), noise, times)
        values["flow"] = weighted_mean(flow, hole)
        yield Update("flow", sum(values.values()), detached(values))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the flow's loss in units of `SIGMA`, at fixed times with fixed noise, and that of the mean."""
        shape = tuple(batch["target"].shape[1:])
        mean, spread = network.begin(batch["holed"], batch["hole"], batch["guide"])
        losses = []
        for number, time in enumerate(WATCHED_TIMES):
            times = torch.full_like(batch["uncertainty"], time)
            noise = draw_normal(batch["seed"], shape, 2 + number)
            error = _squared_error(network, batch, mean, spread, noise, times) * (spread / SIGMA).square()
            losses.append(_mean_in_hole(error, batch["hole"]))
        beside = _mean_in_hole(((batch["target"] - mean) / SIGMA).square(), batch["hole"])
        return {"flow": torch.stack(losses).mean(dim=0), "mean": beside}

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is given, the guide, two completions, the mean, the truth."""
        return preview_completions(network, batch)


def _squared_error(
    network: FlowCompleter, batch: Batch, mean: Tensor, spread: Tensor, noise: Tensor, times: Tensor
) -> Tensor:
    """Return the weighted squared error of the values that are predicted for places at `times`, (N, 3, S, S).

    Args:
        network: the completer.
        batch: as `GuidedTraining` makes it.
        mean: as `FlowCompleter.begin` returns it.
        spread: as `FlowCompleter.begin` returns it.
        noise: (N, 3, S, S), where the paths begin.
        times: (N, 1, 1, 1) in 0..1.
    """
    values = network.to_values(batch["target"], mean, spread)
    place = times * values + (1 - times) * noise
    found = network(place, times, mean, spread, batch["hole"], batch["guide"], batch["uncertainty"])
    return loss_weight(times) * (found - values).square()


def _mean_in_hole(error: Tensor, hole: Tensor) -> Tensor:
    """Return the mean of (N, C, S, S) in the hole of each item, (N,)."""
    return (error * hole).mean(dim=1).sum(dim=(1, 2)) / hole.sum(dim=(1, 2, 3)).clamp(min=1)
