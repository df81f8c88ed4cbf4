"""How the two networks of `moustache` learn."""

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn

from workflow_scripts.models.pix2pix import ConditionalDiscriminator
from workflow_scripts.systems._removal.training import EditTraining, build_removal, composite, score_edit
from workflow_scripts.systems.moustache.config import Experiment, PaintNetwork
from workflow_scripts.systems.moustache.networks import build_network
from workflow_scripts.training.losses import discriminator_loss, generator_loss, perceptual_loss, psnr, weighted_mean
from workflow_scripts.training.system import Batch, System, Update, detached, frozen


def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> System:
    """Return what the training loop needs to train `network`, see `build_removal`."""
    return build_removal(network, experiment, weights, build_network(network, experiment), PaintTraining)


class PaintTraining(EditTraining):
    """pix2pix: L_D = BCE(D(x, y), 1) + BCE(D(x, G(x)), 0), not halved; L_G = w_adv BCE(D(x, G(x)), 1) + w_1 L_1.

    x is the picture with a moustache, the region of its predicted map filled; y the bare face. The perceptual network
    sees what the result will be: the output inside the map, the input outside it.
    """

    def __init__(self, config: PaintNetwork, module: nn.Module, perceptual: nn.Module | None):
        self.config = config
        self.losses = config.losses
        self.perceptual = perceptual
        self.networks = nn.ModuleDict({"edit": module})
        if self.losses.adversarial:
            self.networks["discriminator"] = ConditionalDiscriminator(config.discriminator_channels)

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the discriminator's update, where there is one, then the editor's."""
        shown, target = batch["filled"], batch["target"]
        edited = self.networks["edit"](shown, batch["map"])
        if self.losses.adversarial:
            judge = self.networks["discriminator"]
            loss = discriminator_loss(judge(shown, target), judge(shown, edited.detach()))
            yield Update("discriminator", loss)

        weight = 1 + (self.losses.hole - 1) * batch["replaced"]
        values = {"l1": weighted_mean((edited - target).abs(), weight)}
        if self.perceptual is not None:
            values["perceptual"] = perceptual_loss(self.perceptual, composite(edited, batch), target)
        if self.losses.adversarial:
            with frozen(self.networks["discriminator"]) as judge:
                values["adversarial"] = generator_loss(judge(shown, edited), "non_saturating")
        loss = sum(getattr(self.losses, name) * value for name, value in values.items())
        yield Update("edit", loss, detached(values))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the scores of `score_edit` and PSNR of the filled input."""
        edited = network(batch["filled"], batch["map"])
        return score_edit(edited, batch) | {"psnr_filled": psnr(batch["filled"], batch["target"])}

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return input, filled input, output, composite, truth."""
        edited = network(batch["filled"], batch["map"])
        return [batch["input"], batch["filled"], edited, composite(edited, batch), batch["target"]]
