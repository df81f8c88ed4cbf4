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
from workflow_scripts.systems.diverse.flow_network import SIGMA, FlowCompleter, Start
from workflow_scripts.training.losses import perceptual_loss, weighted_mean
from workflow_scripts.training.system import Batch, Score, Update, detached

WATCHED_TIMES = (0.1, 0.35, 0.6, 0.85)
ROUGH = 0.3  # of the spread


class FlowTraining(GuidedTraining):
    """Inside the hole, mean squared errors in units of `SIGMA` or of the spread s; C(x) are the cells of the true face:

    L_mean   = ((C(x) - m) / SIGMA)²              m learns to be the mean of all completions
    L_spread = (C(x) - m)² / 2 s² + log s         s learns its error, which does not change m (Seitzer et al. 2022)
    L_flow   = w(t) (F(t v + (1 - t) e) - v)²     v = (C(x) - m) / s, noise e, `loss_weight` w; m and s do not learn
    L_detail = |P(v + r e') - x| / SIGMA + w_perc |difference of features|     r of 0..`ROUGH`; m and s do not learn

    What a flow gives are not quite cells of true faces. The noise e' keeps the painter of details P from trusting them.
    """

    saved = "flow"
    judged_by = Score("flow", higher_is_better=False)

    def __init__(self, config: FlowNetwork, module: FlowCompleter, perceptual: nn.Module | None):
        self.config, self.perceptual = config, perceptual
        self.networks = nn.ModuleDict({"flow": module})

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        network, target, hole = self.networks["flow"], batch["target"], batch["hole"]
        times = draw_times(len(target), target.device)[:, None, None, None]
        roughness, draw = torch.rand(2, len(target), 1, 1, 1, device=target.device)
        shown = dict(batch) | {"guide": batch["guide"].masked_fill(draw < self.config.drop_keypoints, 0)}
        learning = network.begin(shown["holed"], hole, shown["guide"])
        start, cells = learning.detach(), network.touched(hole)
        truth = network.to_values(target, start, hole)
        error = ((network.to_cells(target, start, hole) - learning.mean) / SIGMA).square()
        likelihood = (truth * start.spread / learning.spread).square() / 2 + learning.spread.log()
        noise = torch.randn(2, *truth.shape, device=target.device)
        flow = _squared_error(network, shown, start, truth, noise[0], times)
        painted = network.paint(truth + ROUGH * roughness * noise[1], start, hole, shown["guide"])
        values = {
            "mean": weighted_mean(error, cells),
            "spread": weighted_mean(likelihood, cells),
            "flow": weighted_mean(flow, cells),
            "detail": weighted_mean((painted - target).abs() / SIGMA, hole),
        }
        loss = sum(values.values())
        if self.perceptual is not None:
            values["perceptual"] = perceptual_loss(self.perceptual, torch.where(hole > 0, painted, target), target)
            loss = loss + self.config.perceptual_weight * values["perceptual"]
        yield Update("flow", loss, detached(values))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the flow's loss in units of `SIGMA` at fixed times with fixed noise, and those of mean and details."""
        hole, cells = batch["hole"], network.touched(batch["hole"])
        start = network.begin(batch["holed"], hole, batch["guide"])
        truth = network.to_values(batch["target"], start, hole)
        losses = []
        for number, time in enumerate(WATCHED_TIMES):
            times = torch.full_like(batch["uncertainty"], time)
            noise = draw_normal(batch["seed"], tuple(truth.shape[1:]), 2 + number)
            error = _squared_error(network, batch, start, truth, noise, times) * (start.spread / SIGMA).square()
            losses.append(_mean_in_hole(error, cells))
        painted = network.paint(truth, start, hole, batch["guide"])
        return {
            "flow": torch.stack(losses).mean(dim=0),
            "mean": _mean_in_hole((truth * start.spread / SIGMA).square(), cells),
            "detail": _mean_in_hole(((batch["target"] - painted) / SIGMA).square(), hole),
        }

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is given, the guide, two completions, the mean, the truth."""
        return preview_completions(network, batch)


def _squared_error(
    network: FlowCompleter, batch: Batch, start: Start, values: Tensor, noise: Tensor, times: Tensor
) -> Tensor:
    """Return the weighted squared error of the values that are predicted for places at `times`, (N, 3, C, C).

    Args:
        network: the completer.
        batch: as `GuidedTraining` makes it.
        start: where the flow begins.
        values: of the true faces, (N, 3, C, C).
        noise: (N, 3, C, C), where the paths begin.
        times: (N, 1, 1, 1) in 0..1.
    """
    place = times * values + (1 - times) * noise
    found = network(place, times, start, batch["hole"], batch["guide"], batch["uncertainty"])
    return loss_weight(times) * (found - values).square()


def _mean_in_hole(error: Tensor, hole: Tensor) -> Tensor:
    """Return the mean of (N, C, S, S) in the hole of each item, (N,)."""
    return (error * hole).mean(dim=1).sum(dim=(1, 2)) / hole.sum(dim=(1, 2, 3)).clamp(min=1)
