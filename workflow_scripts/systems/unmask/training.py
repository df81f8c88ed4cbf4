"""How the two networks of `unmask` learn."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn

from workflow_scripts.models.patch_discriminator import PatchDiscriminator
from workflow_scripts.systems._removal.training import EditTraining, build_removal, composite, score_edit
from workflow_scripts.systems.unmask.config import EditNetwork, Experiment
from workflow_scripts.systems.unmask.networks import build_network
from workflow_scripts.training.losses import (
    discriminator_loss,
    generator_loss,
    inner,
    perceptual_loss,
    ssim_map,
    weighted_mean,
)
from workflow_scripts.training.system import Batch, System, Update, detached, frozen


def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> System:
    """Return what the training loop needs to train `network`, see `build_removal`."""
    return build_removal(network, experiment, weights, build_network(network, experiment), UnmaskTraining)


class UnmaskTraining(EditTraining):
    """L = w_rc (L_ssim + L_1 + L_perc) + w_whole (L_D + L_adv) + w_mask (L_D + L_adv), Din et al. 2020.

    The maps are predicted ones. The whole discriminator's real sample is the bare face; the mask discriminator's
    pictures are the input outside the map, and the output or the bare face inside it.
    """

    def __init__(self, config: EditNetwork, module: nn.Module, perceptual: nn.Module | None):
        self.config = config
        self.losses = config.losses
        self.perceptual = perceptual
        self.networks = nn.ModuleDict({"edit": module})
        for name, weight in (("whole", self.losses.whole), ("mask", self.losses.mask)):
            if weight:
                self.networks[name] = PatchDiscriminator(channels=config.discriminator_channels)

    def course(self, step: int, progress: float) -> tuple[str, ...]:
        """Return the names of the discriminators that have joined; that of the mask joins late."""
        late = set() if progress >= self.config.mask_start else {"mask"}
        return tuple(name for name in ("whole", "mask") if name in self.networks and name not in late)

    def training_step(self, batch: Batch, course: tuple[str, ...]) -> Iterator[Update]:
        """Yield an update of each discriminator that has joined, then the editor's."""
        edited = self.networks["edit"](batch["filled"], batch["map"])
        pasted = composite(edited, batch)
        fakes = {"whole": pasted if self.losses.composite else edited, "mask": pasted}
        reals = {"whole": batch["target"], "mask": composite(batch["target"], batch)}
        for name in course:
            judge = self.networks[name]
            loss = discriminator_loss(judge(reals[name]), judge(fakes[name].detach()))
            yield Update(name, getattr(self.losses, name) * loss, {"loss": loss.detach()})

        values = self._reconstruction(edited, fakes["whole"], batch)
        loss = self.losses.reconstruction * sum(getattr(self.losses, name) * value for name, value in values.items())
        for name in course:
            with frozen(self.networks[name]) as judge:
                values[name] = generator_loss(judge(fakes[name]), self.losses.adversarial)
            loss = loss + getattr(self.losses, name) * values[name]
        yield Update("edit", loss, detached(values))

    def _reconstruction(self, edited: Tensor, seen: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the parts of the reconstruction loss; `seen` is what the perceptual network is shown."""
        target, weight = batch["target"], 1 + (self.losses.hole - 1) * batch["replaced"]
        values = {}
        if self.losses.l1:
            values["l1"] = weighted_mean((edited - target).abs(), weight)
        if self.losses.ssim:
            values["ssim"] = 1 - weighted_mean(ssim_map(edited, target), inner(weight))
        if self.perceptual is not None:
            values["perceptual"] = perceptual_loss(self.perceptual, seen, target)
        return values

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the scores of `score_edit`."""
        return score_edit(network(batch["filled"], batch["map"]), batch)

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return input, map, output, composite, truth."""
        edited = network(batch["filled"], batch["map"])
        plane = (batch["map"] * 2 - 1).expand(-1, 3, -1, -1)
        return [batch["input"], plane, edited, composite(edited, batch), batch["target"]]
