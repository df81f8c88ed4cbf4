"""How the map network learns, and what trainings of editing networks share."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.config.base import Model
from workflow_scripts.config.training import Training
from workflow_scripts.models.config import compared
from workflow_scripts.models.hole_flow import Start
from workflow_scripts.models.perceptual import load_perceptual
from workflow_scripts.systems._removal.config import MapNetwork, Painter, RemovalExperiment
from workflow_scripts.systems._removal.degradation import degrade, step_back
from workflow_scripts.systems._removal.fill import feathered, fill_holes, widen
from workflow_scripts.systems._removal.networks import SamplingModule
from workflow_scripts.training.data import Key
from workflow_scripts.training.hole_flow import as_column, draw_normal, flow_update, watch_flow
from workflow_scripts.training.losses import dice_loss, psnr, ssim_map
from workflow_scripts.training.system import Batch, Score, System, Update, detached


class MapTraining(System):
    """Binary cross entropy, and Dice if wanted, against the map of the difference."""

    saved = "map"
    judged_by = Score("iou", higher_is_better=True)  # where the occluder is, not how sure the network is of it
    columns: Mapping[str, str] = {"input": "pairs", "target": "pairs", "map": "pairs"}

    def __init__(self, config: MapNetwork, module: nn.Module):
        self.config = config
        self.networks = nn.ModuleDict({"map": module})

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Return the pictures' augmentation, some items seen from far, then pictures made worse, see `degradation.py`.

        The bare face is made worse too: an item that is shown without its occluder shows it.
        """
        columns = super().augment(batch, keys, seed, epoch, settings)
        columns = step_back(columns, keys, seed, epoch, self.config.far)
        if self.config.degrade is None:
            return columns
        pictures = {name: columns[name] for name in ("input", "target")}
        return columns | degrade(pictures, keys, seed, epoch, self.config.degrade)

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        wanted = batch["map"]
        bare = torch.rand(len(wanted), 1, 1, 1, device=wanted.device) < self.config.bare
        wanted = wanted.masked_fill(bare, 0)
        logits = self.networks["map"](torch.where(bare, batch["target"], batch["input"]))
        values = {"cross_entropy": F.binary_cross_entropy_with_logits(logits, wanted)}
        loss = values["cross_entropy"]
        if self.config.dice:
            values["dice"] = dice_loss(logits, wanted)
            loss = loss + self.config.dice * values["dice"]
        yield Update("map", loss, detached(values))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return of each item cross entropy, intersection over union, and the area found on the bare face.

        Binarised at one half; the area is a fraction of the picture, and nothing should be found there.
        """
        logits = network(batch["input"])
        found, wanted = logits > 0, batch["map"] > 0.5
        overlap, union = (found & wanted).sum(dim=(1, 2, 3)), (found | wanted).sum(dim=(1, 2, 3))
        return {
            "cross_entropy": F.binary_cross_entropy_with_logits(logits, batch["map"], reduction="none").mean((1, 2, 3)),
            "iou": torch.where(union > 0, overlap / union.clamp(min=1), 1.0),
            "area_bare": (network(batch["target"]) > 0).float().mean(dim=(1, 2, 3)),
        }

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return input, predicted probability, true map."""
        found = torch.sigmoid(network(batch["input"]))
        return [batch["input"], *((plane * 2 - 1).expand(-1, 3, -1, -1) for plane in (found, batch["map"]))]


class EditTraining(System):
    """What trainings of editing networks share: pictures whose predicted map is filled, judged by the composite.

    Attributes:
        config: of the network; its keys `fill` and `border` are used here.
    """

    saved = "edit"
    # What lies inside the map is the network's work, and what a user sees of it; the rest of its output is not shown.
    judged_by = Score("psnr_composite", higher_is_better=True)
    columns: Mapping[str, str] = {"input": "pairs", "target": "pairs", "map": "maps"}

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Widen the maps by the border's margin, fill their region, and tell how much of each pixel is replaced."""
        border = self.config.border
        holes = widen(batch["map"], border.margin)
        filled = fill_holes(batch["input"], holes, self.config.fill, seeds)
        return {"map": holes, "filled": filled, "replaced": feathered(holes, border.feather)}


class SamplingTraining(EditTraining):
    """The losses of the painter beside those of `flow_update`, whose hole is the predicted map.

    The painter learns by its own losses alone; only `clip` sees the gradients of both. The flow begins at what the
    painter answers when it is applied: in evaluation mode, of its mirror image too where that is wanted.
    """

    judged_by = Score("flow", higher_is_better=False)

    def __init__(self, config: Painter, module: SamplingModule, painting: EditTraining, perceptual: nn.Module | None):
        self.config, self.painting, self.perceptual = config, painting, perceptual
        self.networks = nn.ModuleDict({**painting.networks, "edit": module})

    def to(self, device: torch.device, layout: torch.memory_format) -> None:
        """Move all networks, and the frozen one that the painter's losses compare."""
        super().to(device, layout)
        self.painting.to(device, layout)

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Add the items' seeds as a column (N, 1, 1, 1), for random numbers that stay the same."""
        return super().prepare(batch, seeds) | {"seed": as_column(seeds, batch["map"].device)}

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Return the pictures' augmentation; training draws its noise anew in every step, not from seeds."""
        pictures = {name: x for name, x in batch.items() if name != "seed"}
        return super().augment(pictures, keys, seed, epoch, settings)

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the painter's updates, the last one together with the flow's."""
        network, weight = self.networks["edit"], self.config.sampling.perceptual_weight
        for update in self.painting.training_step(batch, course):
            if update.network == "edit":
                _, start = self._start(network, batch)
                flow = flow_update("edit", network, start, batch["target"], self.perceptual, weight)
                update = Update("edit", update.loss + flow.loss, {**update.parts, **flow.parts})
            yield update

    def course(self, step: int, progress: float) -> Hashable:
        """Return the painter's course."""
        return self.painting.course(step, progress)

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the scores of `watch_flow`, of `score_edit` for the painter, and `psnr_mean` of the flow's mean."""
        painted, start = self._start(network, batch)
        mean = composite(network.finish(painted, start, torch.zeros_like(start.mean)), batch)
        watched = watch_flow(network, start, batch["target"], batch["seed"])
        return watched | score_edit(painted, batch) | {"psnr_mean": psnr(mean, batch["target"])}

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return input, map, the composites of two samples and of the painter, truth."""
        painted, start = self._start(network, batch)
        shape = network.latent_shape(batch["target"].shape[-1])
        made = [network.sample(painted, start, draw_normal(batch["seed"], shape, number)) for number in range(2)]
        plane = (batch["map"] * 2 - 1).expand(-1, 3, -1, -1)
        return [batch["input"], plane, *(composite(picture, batch) for picture in (*made, painted)), batch["target"]]

    def _start(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Start]:
        learning = network.painter.training
        network.painter.eval()
        with torch.no_grad():
            painted = network.painter(batch["filled"], batch["map"])
        network.painter.train(learning)
        return painted, network.start(painted, batch["filled"], batch["map"])


def build_removal(
    network: str,
    experiment: RemovalExperiment,
    weights: Mapping[str, Path],
    module: nn.Module,
    editing: Callable[[Model, nn.Module, nn.Module | None], System],
) -> System:
    """Return what the training loop needs to train `network`.

    Args:
        network: `map` or `edit`.
        experiment: its configuration.
        weights: name -> file of the pretrained networks that `experiment.weights_of(network)` names.
        module: the untrained network.
        editing: makes the training of the network that paints, of its configuration, the module and the perceptual
            network.

    Raises:
        UserError: weights are absent or damaged.
    """
    if network == "map":
        return MapTraining(experiment.map, module)
    config = experiment.edit
    painted = compared(config.perceptual, config.losses.perceptual)
    perceptual = load_perceptual(painted, weights)
    if config.sampling is None:
        return editing(config, module, perceptual)
    features = compared(config.sampling.perceptual, config.sampling.perceptual_weight)
    painting = editing(config, module.painter, perceptual)
    seen = perceptual if features == painted else load_perceptual(features, weights)
    return SamplingTraining(config, module, painting, seen)


def score_edit(edited: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return L1 of the output, PSNR and SSIM of the composite (8-bit range) and PSNR of the untouched input."""
    pasted, target = composite(edited, batch), batch["target"]
    return {
        "l1": (edited - target).abs().mean(dim=(1, 2, 3)),
        "psnr_composite": psnr(pasted, target),
        "psnr_copy": psnr(batch["input"], target),
        "ssim_composite": ssim_map(pasted, target).mean(dim=(1, 2, 3)),
    }


def composite(picture: Tensor, batch: Batch) -> Tensor:
    """Return the picture inside the map and its margin, the input outside it, both mixed along the feather."""
    return batch["input"] + (picture - batch["input"]) * batch["replaced"]
