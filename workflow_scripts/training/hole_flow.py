"""How flows that fill holes learn, and the random numbers by which they are watched."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workflow_scripts.models.flow_matching import draw_times, loss_weight
from workflow_scripts.models.hole_flow import SIGMA, HoleFlow, Start
from workflow_scripts.training.losses import perceptual_loss, weighted_mean
from workflow_scripts.training.system import Update, detached

WATCHED_TIMES = (0.1, 0.35, 0.6, 0.85)
ROUGH = 0.3  # of the spread


def flow_update(
    name: str,
    network: HoleFlow,
    learning: Start,
    target: Tensor,
    perceptual: nn.Module | None,
    weight: float,
    *numbers: Tensor,
) -> Update:
    """Return the update of a flow.

    Inside the hole, mean squared errors in units of `SIGMA` or of the spread s; C(x) are the cells of the true face:

    L_mean   = ((C(x) - m) / SIGMA)²              m learns to be the mean of all completions
    L_spread = (C(x) - m)² / 2 s² + log s         s learns its error, which does not change m (Seitzer et al. 2022)
    L_flow   = w(t) (F(t v + (1 - t) e) - v)²     v = (C(x) - m) / s, noise e, `loss_weight` w; m and s do not learn
    L_detail = |P(v + r e') - x| / SIGMA + w_perc |difference of features|     r of 0..`ROUGH`; m and s do not learn

    What a flow gives are not quite cells of true faces. The noise e' keeps the painter of details P from trusting them.

    Args:
        name: of the network.
        network: the flow.
        learning: as `network.begin` returns it.
        target: the true faces, (N, 3, S, S) in -1..1.
        perceptual: has `taps`; None: no features are compared.
        weight: w_perc.
        numbers: as in `HoleFlow.forward`.
    """
    start, hole = learning.detach(), learning.hole
    cells, truth = network.touched(hole), network.to_values(target, start)
    times = draw_times(len(target), target.device)[:, None, None, None]
    noise = torch.randn(2, *truth.shape, device=target.device)
    roughness = ROUGH * torch.rand(len(target), 1, 1, 1, device=target.device)
    error = ((network.to_cells(target, start) - learning.mean) / SIGMA).square()
    likelihood = (truth * start.spread / learning.spread).square() / 2 + learning.spread.log()
    painted = network.paint(truth + roughness * noise[1], start)
    values = {
        "mean": weighted_mean(error, cells),
        "spread": weighted_mean(likelihood, cells),
        "flow": weighted_mean(_squared_error(network, start, truth, noise[0], times, *numbers), cells),
        "detail": weighted_mean((painted - target).abs() / SIGMA, hole),
    }
    loss = sum(values.values())
    if perceptual is not None:
        values["detail_features"] = perceptual_loss(perceptual, torch.where(hole > 0, painted, target), target)
        loss = loss + weight * values["detail_features"]
    return Update(name, loss, detached(values))


def watch_flow(network: HoleFlow, start: Start, target: Tensor, seeds: Tensor, *numbers: Tensor) -> dict[str, Tensor]:
    """Return of each item (N,), in units of `SIGMA`: the flow's loss at fixed times, the errors of mean and details.

    Args:
        network: the flow.
        start: as `network.begin` returns it.
        target: the true faces, (N, 3, S, S) in -1..1.
        seeds: of the items, (N, 1, 1, 1); the noise depends on them alone.
        numbers: as in `HoleFlow.forward`.
    """
    hole, truth = start.hole, network.to_values(target, start)
    cells, losses = network.touched(hole), []
    for number, time in enumerate(WATCHED_TIMES):
        times = torch.full((len(target), 1, 1, 1), time, device=target.device)
        noise = draw_normal(seeds, tuple(truth.shape[1:]), 2 + number)
        error = _squared_error(network, start, truth, noise, times, *numbers) * (start.spread / SIGMA).square()
        losses.append(_mean_in_hole(error, cells))
    painted = network.paint(truth, start)
    return {
        "flow": torch.stack(losses).mean(dim=0),
        "mean": _mean_in_hole((truth * start.spread / SIGMA).square(), cells),
        "detail": _mean_in_hole(((target - painted) / SIGMA).square(), hole),
    }


def as_column(seeds: Sequence[int], device: torch.device) -> Tensor:
    """Return the seeds of items as a column of a batch, integers (N, 1, 1, 1)."""
    return torch.tensor([seed % 2**62 for seed in seeds], device=device)[:, None, None, None]


def draw_normal(seeds: Tensor, shape: tuple[int, ...], purpose: int) -> Tensor:
    """Return standard normal numbers (N, *shape) that depend on the items' seeds and `purpose` alone.

    Args:
        seeds: as `as_column` returns them.
        shape: of one draw.
        purpose: which of several draws of an item.
    """
    draws = []
    for seed in seeds.flatten().tolist():
        generator = torch.Generator().manual_seed((seed + purpose * 0x9E3779B97F4A7C15) % 2**63)
        draws.append(torch.randn(shape, generator=generator))
    return torch.stack(draws).to(seeds.device)


def _squared_error(
    network: HoleFlow, start: Start, values: Tensor, noise: Tensor, times: Tensor, *numbers: Tensor
) -> Tensor:
    """Return the weighted squared error of the values that are predicted for places at `times`, (N, 3, C, C).

    Args:
        network: the flow.
        start: where it begins.
        values: of the true faces, (N, 3, C, C).
        noise: (N, 3, C, C), where the paths begin.
        times: (N, 1, 1, 1) in 0..1.
        numbers: as in `HoleFlow.forward`.
    """
    place = times * values + (1 - times) * noise
    found = network(place, times, start, *numbers)
    return loss_weight(times) * (found - values).square()


def _mean_in_hole(error: Tensor, hole: Tensor) -> Tensor:
    """Return the mean of (N, C, S, S) in the hole of each item, (N,)."""
    return (error * hole).mean(dim=1).sum(dim=(1, 2)) / hole.sum(dim=(1, 2, 3)).clamp(min=1)
