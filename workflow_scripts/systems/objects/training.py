"""How generators and discriminators learn, and the network that finds the object."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.config.training import Training
from workflow_scripts.models.gan import class_parameters
from workflow_scripts.systems._generation.config import channels_of
from workflow_scripts.systems.objects.config import Experiment
from workflow_scripts.systems.objects.networks import SegmentModule, build_discriminator, build_network
from workflow_scripts.systems.objects.splitting import inherit, split_classes
from workflow_scripts.training.augmentation import augment
from workflow_scripts.training.data import Items, Key
from workflow_scripts.training.losses import discriminator_loss, generator_loss
from workflow_scripts.training.system import Batch, Score, System, Update, detached, frozen

WATCHED_SIDE = 8  # pixels to which pictures are shrunk before their distributions are compared


def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> System:
    """Return what the training loop needs to train `network`; no pretrained weights are used."""
    module = build_network(network, experiment)
    return SegmentTraining(module) if network == "segment" else GanTraining(network, experiment, module)


class GanTraining(System):
    """A generator against a discriminator, which also tells classes (Odena et al. 2017) where there are several.

    With D the verdict, W the class weights and C the cross entropy of classes:

        wasserstein      L_D = E D(fake) - E D(real)                          L_G = -E D(fake)
        hinge            L_D = E max(0, 1 - D(real)) + E max(0, 1 + D(fake))  L_G = -E D(fake)
        non_saturating   L_D = -E log s(D(real)) - E log(1 - s(D(fake)))      L_G = -E log s(D(fake)), s the sigmoid

    and L_D + w E(|grad D| - 1)² + W_D C(real), L_G + W_G C(fake). Each step of the loop is one of the discriminator;
    every `discriminator_steps`-th is one of the generator too.
    """

    judged_by = Score("kernel distance", higher_is_better=False)

    def __init__(self, network: str, experiment: Experiment, module: nn.Module):
        self.config, self.saved, self.channels = experiment.gan, network, channels_of(network)
        self.differentiated_twice = ("discriminator",) if self.config.gradient_penalty else ()
        self.columns = {"image": "squares"} | ({"mask": "squares"} if self.channels == 4 else {})
        if self.config.labels:
            self.columns = {**self.columns, "label": "squares"}
        self.classes = experiment.classes
        self.networks = nn.ModuleDict(
            {network: module, "discriminator": build_discriminator(experiment, self.channels)}
        )

    def begin(self, items: Items) -> None:
        """Give each training item a class, which changes when classes are split and therefore lies in a buffer."""
        self.places = {key: place for place, key in enumerate(items.keys)}
        self.networks["discriminator"].register_buffer("classes", torch.zeros(len(items), dtype=torch.int64))

    def epoch_begins(
        self,
        epoch: int,
        batches: Iterable[Batch],
        optimizers: Mapping[str, torch.optim.Optimizer],
        average: nn.Module | None,
    ) -> None:
        """Take over the labels before the first epoch, and split classes when it is time to."""
        generator, judge = self.networks[self.saved], self.networks["discriminator"]
        if epoch == 0:
            if self.config.labels:
                judge.classes.copy_(torch.cat([batch["label"][:, 0] for batch in batches]))
            self._count()
        splitting = self.config.splitting
        if splitting is None or epoch == 0 or epoch % splitting.every:
            return
        labels, features = judge.classes.cpu().numpy(), self._features(batches)
        known = int((generator.counts > 0).nonzero().max()) + 1
        labels, parents = split_classes(features, labels, known, splitting.min_items, splitting.max_classes)
        if not parents:
            return
        judge.classes.copy_(torch.from_numpy(labels))
        self._count()
        for name, network in self.networks.items():
            inherit(class_parameters(network), parents, known, optimizers[name])
        if average is not None:
            inherit(class_parameters(average), parents, known, None)

    def _count(self) -> None:
        counts = torch.bincount(self.networks["discriminator"].classes, minlength=self.classes)
        self.networks[self.saved].counts.copy_(counts)

    @torch.no_grad()
    def _features(self, batches: Iterable[Batch]) -> np.ndarray:
        """Return the discriminator's pooled features of all training items, float32 (n, d)."""
        judge = self.networks["discriminator"].eval()
        found = np.concatenate([judge.features(self._real(batch)).float().cpu().numpy() for batch in batches])
        judge.train()
        return found

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return `latent` (N, latent) and `place` (N,): what is generated beside an item that is watched."""
        size, device = self.config.latent, batch["image"].device
        drawn = [np.random.default_rng(seed) for seed in seeds]
        latents = np.stack([rng.standard_normal(size, np.float32) for rng in drawn])
        places = np.array([rng.random() for rng in drawn])
        return {
            "latent": torch.from_numpy(latents).to(device),
            "place": torch.from_numpy(places).to(device),
        }

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Mirror pictures and masks where that is wanted, and add the `class` of each item."""
        pictures = {name: batch[name] for name in ("image", "mask") if name in batch}
        places = torch.tensor([self.places[key] for key in keys], device=batch["image"].device)
        classes = self.networks["discriminator"].classes[places]
        return dict(batch) | augment(pictures, keys, seed, epoch, settings, self.mirror) | {"class": classes}

    def _real(self, batch: Batch) -> Tensor:
        """Return pictures (N, 3, S, S) or pictures with masks (N, 4, S, S), in -1..1."""
        return torch.cat([batch["image"], batch["mask"] * 2 - 1], dim=1) if self.channels == 4 else batch["image"]

    def _draw(self, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return random vectors and classes for so many fakes."""
        latents = torch.randn(count, self.config.latent, device=like.device)
        places = torch.rand(count, device=like.device)
        return latents, self.networks[self.saved].classes_at(places)

    def course(self, step: int, progress: float) -> bool:
        """Return whether the generator learns in this step."""
        return (step + 1) % self.config.discriminator_steps == 0

    def training_step(self, batch: Batch, course: bool) -> Iterator[Update]:
        """Yield the discriminator's update and, every so many steps, the generator's."""
        generator, judge = self.networks[self.saved], self.networks["discriminator"]
        real = self._real(batch)
        with torch.no_grad():
            fake = generator(*self._draw(len(real), real))
        yield Update("discriminator", *self._judge_loss(judge, real, fake, batch["class"]))

        if not course:
            return
        latents, classes = self._draw(len(real), real)
        with frozen(judge):
            verdict, logits = judge(generator(latents, classes))
            loss, parts = self._generator_loss(verdict), {}
            if self._tells_classes():
                parts["class"] = self._class_loss(logits, classes)
                loss = loss + self.config.generator_class_weight * parts["class"]
            yield Update(self.saved, loss, detached(parts))

    def _judge_loss(
        self, judge: nn.Module, real: Tensor, fake: Tensor, classes: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the discriminator's loss and its parts."""
        (verdict, logits), (false_verdict, _) = judge(real), judge(fake)
        parts = {"apart": verdict.mean() - false_verdict.mean()}
        loss = adversarial_loss(verdict, false_verdict, self.config.loss)
        if self.config.gradient_penalty:
            parts["penalty"] = gradient_penalty(judge, real, fake)
            loss = loss + self.config.gradient_penalty * parts["penalty"]
        if self._tells_classes():
            parts["class"] = self._class_loss(logits, classes)
            loss = loss + self.config.class_weight * parts["class"]
        return loss, detached(parts)

    def _generator_loss(self, verdict: Tensor) -> Tensor:
        return generator_loss(verdict, "non_saturating") if self.config.loss == "non_saturating" else -verdict.mean()

    def _tells_classes(self) -> bool:
        """Return whether there is more than one class."""
        return self.classes > 1

    def _class_loss(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the cross entropy among the classes that are used; 0 while there is one."""
        unused = self.networks[self.saved].counts == 0
        return F.cross_entropy(logits.float().masked_fill(unused, -torch.inf), classes)

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return what tells a generator that collapses: distances of colours and layout, not of what is shown.

        `kernel distance` compares the batch with as many fakes, both shrunk to 8x8 pixels: see `kernel_shares`.
        """
        fake = network(batch["latent"], network.classes_at(batch["place"]))
        shrunk = [F.adaptive_avg_pool2d(x[:, :3].float(), WATCHED_SIDE).flatten(1) for x in (batch["image"], fake)]
        scores = {"kernel distance": kernel_shares(*shrunk)}
        if self.channels == 4:
            scores["mask area"] = (fake[:, 3] > 0).float().mean(dim=(1, 2))
        return scores

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return a fake, its mask where there is one, and a real picture (of no relation to the fake)."""
        fake = network(batch["latent"], network.classes_at(batch["place"]))
        masks = [fake[:, 3:].expand(-1, 3, -1, -1)] if self.channels == 4 else []
        return [fake[:, :3], *masks, batch["image"]]


class SegmentTraining(System):
    """Binary cross entropy against the real mask."""

    saved = "segment"
    judged_by = Score("iou", higher_is_better=True)
    columns: Mapping[str, str] = {"image": "squares", "mask": "squares"}

    def __init__(self, module: SegmentModule):
        self.networks = nn.ModuleDict({"segment": module})

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        logits = self.networks["segment"](batch["image"])
        yield Update("segment", F.binary_cross_entropy_with_logits(logits, batch["mask"]))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return cross entropy and intersection over union of each item, binarised at one half."""
        logits = network(batch["image"])
        found, wanted = logits > 0, batch["mask"] > 0.5
        overlap, union = (found & wanted).sum(dim=(1, 2, 3)), (found | wanted).sum(dim=(1, 2, 3))
        entropy = F.binary_cross_entropy_with_logits(logits, batch["mask"], reduction="none").mean((1, 2, 3))
        return {"cross_entropy": entropy, "iou": torch.where(union > 0, overlap / union.clamp(min=1), 1.0)}

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return picture, predicted probability, real mask."""
        found = torch.sigmoid(network(batch["image"]))
        return [batch["image"], *((plane * 2 - 1).expand(-1, 3, -1, -1) for plane in (found, batch["mask"]))]


def adversarial_loss(real: Tensor, fake: Tensor, kind: str) -> Tensor:
    """Return the discriminator's loss of verdicts (N,) on real pictures and fakes; see `GanTraining`."""
    if kind == "non_saturating":
        return discriminator_loss(real, fake)
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return fake.mean() - real.mean()


def gradient_penalty(judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean of (|gradient of the verdict| - 1)² at random places between real pictures and fakes.

    Gulrajani et al. 2017, eq. 3. It is computed in fp32, as its gradient is a second derivative.
    """
    with torch.autocast(real.device.type, enabled=False):
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = torch.lerp(real.float(), fake.float(), share).requires_grad_(True)
        verdict, _ = judge(between)
        (gradient,) = torch.autograd.grad(verdict.sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def kernel_shares(first: Tensor, second: Tensor) -> Tensor:
    """Return the share of each item in the squared maximum mean discrepancy of two sets of vectors (N, d).

    The kernel is (x·y / d + 1)³, that of the kernel distance of Binkowski et al. 2018. The mean of the shares is the
    biased estimate, which is never negative.
    """
    within, other, across = (
        ((a @ b.T) / a.shape[1] + 1) ** 3 for a, b in ((first,) * 2, (second,) * 2, (first, second))
    )
    return within.mean(dim=1) + other.mean(dim=1) - across.mean(dim=1) - across.mean(dim=0)
