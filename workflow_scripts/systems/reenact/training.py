"""How the network of `reenact` learns: pix2pix (Isola et al. 2017, equations 1 to 4) from drawings to faces."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.config.training import Training
from workflow_scripts.faces.drawings import MIRRORED_CHANNELS
from workflow_scripts.models.perceptual import load_perceptual
from workflow_scripts.models.pix2pix import ConditionalDiscriminator
from workflow_scripts.systems.reenact.config import Experiment, RenderNetwork
from workflow_scripts.systems.reenact.networks import build_network, choose_references
from workflow_scripts.training.data import Items, Key
from workflow_scripts.training.losses import discriminator_loss, generator_loss, perceptual_loss, psnr, ssim_map
from workflow_scripts.training.system import Batch, Score, System, Update, detached, frozen

# Of the steps of a temporal training, those that show the network its own output in place of the frame before;
# of the items of all steps, those that show it nothing, as at the start of a shot.
OWN, NOTHING = 0.4, 0.2
CANDIDATES = 1000  # training frames at most, at equal distances in time, from which references are chosen
SHIFT, NOISE, TINT = 0.02, 0.05, 0.1  # largest shift (of the side), noise and change of colour of a frame before


def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> System:
    """Return what the training loop needs to train `network`.

    Args:
        network: `render`.
        experiment: its configuration.
        weights: name -> file of the pretrained networks that `experiment.weights_of(network)` names.

    Raises:
        UserError: weights are absent or damaged.
    """
    module = build_network(network, experiment)
    return RenderTraining(experiment.render, module, load_perceptual(experiment.weights_of(network), weights))


class RenderTraining(System):
    """L_D = (BCE(D(x, y), 1) + BCE(D(x, G(x)), 0)) / 2, not halved in TensorFlow's variant;
    L_G = w_adv BCE(D(x, G(x)), 1) + w_1 L_1 + w_perc L_perc.

    x is the drawing, y the face.
    """

    saved = "render"
    judged_by = Score("psnr", higher_is_better=True)  # of the person's own later frames, the only ones with a truth

    def __init__(self, config: RenderNetwork, module: nn.Module, perceptual: nn.Module | None):
        self.config = config
        self.perceptual = perceptual
        self.columns = {"input": "drawings", "target": "drawings"}
        if config.temporal:
            self.columns["previous"] = "drawings"
        if config.references:
            self.columns["landmarks"] = "drawings"
        self.networks = nn.ModuleDict({"render": module})
        if config.adversarial:
            self.networks["discriminator"] = ConditionalDiscriminator(config.discriminator_channels, config.variant)

    def begin(self, items: Items) -> None:
        """Choose the network's references among the training frames."""
        if not self.config.references:
            return
        candidates = np.unique(np.linspace(0, len(items) - 1, CANDIDATES).round().astype(int))
        frames = self.to_tensors(items.gather(candidates, torch.device("cpu")))
        chosen = choose_references(frames["landmarks"], self.config.references)
        self.networks["render"].references.hold(frames["target"][chosen], frames["landmarks"][chosen])

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return `recalled`, the references on each item's landmarks, where there are any."""
        if not self.config.references:
            return {}
        return {"recalled": self.networks["render"].recall(batch["landmarks"])}

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Change pictures at random; landmarks have served."""
        pictures = {name: x for name, x in batch.items() if name != "landmarks"}
        return super().augment(pictures, keys, seed, epoch, settings)

    def mirror(self, batch: Batch) -> dict[str, Tensor]:
        """Flip all columns; a drawing's left parts have the colours of the right ones with red and green exchanged."""
        flipped = super().mirror(batch)
        return flipped | {"input": flipped["input"][:, MIRRORED_CHANNELS]}

    def course(self, step: int, progress: float) -> bool:
        """Return whether a temporal network is shown its own output as the frame before."""
        return self.config.temporal and np.random.default_rng(step).random() < OWN

    def training_step(self, batch: Batch, course: bool) -> Iterator[Update]:
        """Yield the discriminator's update, where there is one, then the generator's."""
        drawing, target = batch["input"], batch["target"]
        before = self._frame_before(batch, course) if self.config.temporal else None
        painted = self.networks["render"](drawing, before, batch.get("recalled"))
        if self.config.adversarial:
            judge = self.networks["discriminator"]
            share = 0.5 if self.config.variant == "original" else 1.0
            loss = discriminator_loss(judge(drawing, target), judge(drawing, painted.detach()))
            yield Update("discriminator", share * loss)

        values = {"l1": F.l1_loss(painted, target)}
        loss = self.config.l1 * values["l1"]
        if self.perceptual is not None:
            values["perceptual"] = perceptual_loss(self.perceptual, painted, target)
            loss = loss + self.config.perceptual_weight * values["perceptual"]
        if self.config.adversarial:
            with frozen(self.networks["discriminator"]) as judge:
                values["adversarial"] = generator_loss(judge(drawing, painted), "non_saturating")
            loss = loss + self.config.adversarial * values["adversarial"]
        yield Update("render", loss, detached(values))

    @torch.no_grad()
    def _frame_before(self, batch: Batch, own: bool) -> Tensor:
        """Return what the network is shown as the frame before.

        Applied, it sees its own output. Trained on true frames alone, it would copy them and, applied, its own faults
        on and on. So the true ones are spoilt, some are left out, and some steps show what it paints itself.
        """
        shown = spoil(batch["previous"])
        nothing = torch.rand(len(shown), 1, 1, 1, device=shown.device) < NOTHING
        shown = shown.masked_fill(nothing, -1)
        if own:
            shown = self.networks["render"](batch["input"], shown, batch.get("recalled"))
        return shown

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return L1, PSNR in dB and SSIM of each output."""
        painted, target = _settled(network, batch), batch["target"]
        return {
            "l1": (painted - target).abs().mean(dim=(1, 2, 3)),
            "psnr": psnr(painted, target),
            "ssim": ssim_map(painted, target).mean(dim=(1, 2, 3)),
        }

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return drawing, output, truth."""
        return [batch["input"], _settled(network, batch), batch["target"]]


def spoil(pictures: Tensor) -> Tensor:
    """Return pictures (N, 3, S, S) in -1..1 shifted, blurred, tinted and noisy, each by chance; black stays black."""
    count, device = len(pictures), pictures.device

    def chance(*shape: int) -> Tensor:
        return torch.rand(count, *shape, device=device)

    black = (pictures <= -1).all(dim=1, keepdim=True).all(dim=2, keepdim=True).all(dim=3, keepdim=True)
    shifts = torch.eye(2, 3, device=device).repeat(count, 1, 1)
    shifts[:, :, 2] = (2 * chance(2) - 1) * 2 * SHIFT  # the grid's side is 2
    grid = F.affine_grid(shifts, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    coarse = F.interpolate(F.avg_pool2d(moved, 4), size=moved.shape[-2:], mode="bilinear", align_corners=False)
    soft = torch.lerp(moved, coarse, chance(1, 1, 1))
    tinted = (soft + 1) * (1 + TINT * (2 * chance(3, 1, 1) - 1)) - 1
    noisy = tinted + NOISE * chance(1, 1, 1) * torch.randn_like(tinted)
    return noisy.clamp(-1, 1).masked_fill(black, -1)


def _settled(network: nn.Module, batch: Batch) -> Tensor:
    """Return outputs as in a video that stands still; a temporal network has seen its own output twice."""
    drawings, recalled = batch["input"], batch.get("recalled")
    painted = network(drawings, None, recalled)
    if network.temporal:
        for _ in range(2):
            painted = network(drawings, painted, recalled)
    return painted
