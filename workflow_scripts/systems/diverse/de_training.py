"""How DE-GAN learns (Zhang et al. 2022), and with a `style` in the two passes of Valdivia Ramos's report.

As published there is one pass: the encoders see what is left of a picture, and the U-Net paints it. With a style, it
is the extractor's of the true picture in the first pass, and random in the second, whose completions the
discriminators judge and in which the extractor must find the style again.
"""

from collections.abc import Hashable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.systems._completion.training import GuidedTraining, preview_completions, score_completion
from workflow_scripts.systems.diverse.critics import Critic, strided_layers
from workflow_scripts.systems.diverse.de_network import DeCompleter, Embedding
from workflow_scripts.systems.diverse.vae_gan_config import DeNetwork
from workflow_scripts.systems.diverse.variational import Extractor, all_alike, draw_latent, kl_divergence
from workflow_scripts.training.health import Limit
from workflow_scripts.training.losses import discriminator_loss, generator_loss
from workflow_scripts.training.system import Batch, Score, Update, detached, frozen

BACKGROUND = 0.5  # weight of the picture's error where there is no face, in the authors' code
HIDDEN = 128  # features of the layers that judge latents


class DeTraining(GuidedTraining):
    """L = w_image L1 + w_part L1 + w_mask BCE + w_landmarks BCE + adversarial losses of latents, patches and pictures;
    with a style also w_kl KL + w_style |s - E(G(s))|.
    """

    saved = "de"
    judged_by = Score("psnr_hole", higher_is_better=True)

    def __init__(self, config: DeNetwork, module: DeCompleter):
        self.config = config
        self.losses = config.losses
        self.networks = nn.ModuleDict({"de": module, "critics": DeCritics(config)})
        if config.style:
            inputs = 10 if config.guided else 3
            self.networks["extractor"] = Extractor(inputs, config.extractor_channels, config.side, config.style)
        # Nothing asks of the published training that its completions differ.
        alike = [all_alike("style")] if config.style else []
        self.limits = [*alike, *(won(f"critics {name}") for name in ("patch", "whole"))]

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the discriminators' update, then the one of generator and extractor together."""
        given = [batch[name] for name in ("holed", "hole", "guide")]
        mean, log_variance = self.extract(batch["target"], batch)
        embedding, painted = self._complete(given, draw_latent(mean, log_variance))
        random = torch.randn_like(mean)
        if self.config.style:
            embedding_2, painted_2 = self._complete(given, random)
            judged = Embedding(*(torch.cat(pair) for pair in zip(embedding, embedding_2, strict=True)))
        else:
            # As published, the discriminators also see, and only they, what is painted from the prior.
            with torch.no_grad():
                painted_2 = self.networks["de"].paint(*given, torch.randn_like(embedding.both), random)
            judged = embedding
        completed = [torch.lerp(batch["target"], picture, batch["hole"]) for picture in (painted, painted_2)]
        yield self._judge(batch["target"], completed, judged)

        values = reconstruction_losses(batch, painted, self.networks["de"].draw(embedding))
        if self.config.style:
            values["kl"] = kl_divergence(mean, log_variance)
            values["style"] = F.l1_loss(self.extract(completed[1], batch)[0], random)
        with frozen(self.networks["critics"]) as critics:
            seen = torch.cat(completed) if self.config.style else completed[0]
            values["patch"] = generator_loss(critics.patch(seen).float(), "non_saturating")
            values["whole"] = generator_loss(critics.whole(seen).float(), "non_saturating")
            verdicts = critics.judge_latents(judged)
            values["prior"] = sum(generator_loss(verdict, "non_saturating") for verdict in verdicts)
        loss = sum(getattr(self.losses, name) * value for name, value in values.items())
        yield Update("de", loss, detached(values), beside=("extractor",) if self.config.style else ())

    def extract(self, pictures: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (N, style) of the style that the extractor sees; (N, 0) without extractor."""
        if not self.config.style:
            return pictures.new_zeros(len(pictures), 0), pictures.new_zeros(len(pictures), 0)
        shown = [pictures]
        if self.config.guided:
            shown += [batch["drawing"], batch["hole"], batch["part"]]
        return self.networks["extractor"](torch.cat(shown, dim=1))

    def _complete(self, given: list[Tensor], style: Tensor) -> tuple[Embedding, Tensor]:
        network = self.networks["de"]
        noise = torch.randn(len(style), 2 * self.config.latent, device=style.device)
        embedding = network.embed(*given, noise, style)
        return embedding, network.paint(*given, embedding.both, style)

    def _judge(self, target: Tensor, completed: list[Tensor], judged: Embedding) -> Update:
        """Return the update of all discriminators."""
        critics = self.networks["critics"]
        values = {}
        for name, judge in (("patch", critics.patch), ("whole", critics.whole)):
            real, *fakes = judge(torch.cat([target, *(picture.detach() for picture in completed)])).float().chunk(3)
            values[name] = discriminator_loss(real, fakes[0]) + F.softplus(fakes[1]).mean()
        detached_latents = Embedding(*(latent.detach() for latent in judged))
        prior = Embedding(*(torch.randn_like(latent) for latent in judged))
        pairs = zip(critics.judge_latents(prior), critics.judge_latents(detached_latents), strict=True)
        values["prior"] = sum(discriminator_loss(real, fake) for real, fake in pairs)
        return Update("critics", sum(values.values()), detached(values))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return PSNR and diversity in the hole."""
        return score_completion(network, batch)

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is given, the guide, two completions, the one of no noise, the truth."""
        return preview_completions(network, batch)


class DeCritics(nn.Module):
    """Discriminators of patches, of whole pictures, and of the latents: the face's, the landmarks' and both.

    A patch is one of 16x16 in a picture of 256x256. Returned are logits, above 0 for real pictures and for latents of
    the prior.
    """

    def __init__(self, config: DeNetwork):
        super().__init__()
        widths = [3, *(config.critic_channels * 2**level for level in range(5))]
        self.patch = nn.Sequential(strided_layers(widths[:-1], 4), nn.Conv2d(widths[-2], 1, 1))
        self.whole = Critic(widths, 4, config.side)
        numbers = {"face": config.latent, "landmarks": config.latent, "both": 2 * config.latent}
        self.latents = nn.ModuleDict({name: latent_critic(count) for name, count in numbers.items()})

    def judge_latents(self, embedding: Embedding) -> list[Tensor]:
        """Return float32 logits (N, 1) of the face's latent, the landmarks' and both."""
        seen = {"face": embedding.face, "landmarks": embedding.landmarks, "both": embedding.both}
        return [critic(seen[name]).float() for name, critic in self.latents.items()]


def latent_critic(numbers: int) -> nn.Sequential:
    """Return three dense layers that judge latents (N, numbers)."""
    return nn.Sequential(
        nn.Linear(numbers, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
    )


def reconstruction_losses(batch: Batch, painted: Tensor, drawn: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    """Return the losses `image`, `mask`, `part` and `landmarks`, of pictures in 0..1.

    Args:
        batch: `target` and `drawing` are used; the face's mask is where the drawing is not black.
        painted: (N, 3, S, S) in -1..1.
        drawn: logits of mask, face and landmarks, as `DeCompleter.draw` returns them.
    """
    mask, part, landmarks = (logits.float() for logits in drawn)
    target, drawing = (batch["target"] + 1) / 2, (batch["drawing"] + 1) / 2
    face = (drawing.amax(dim=1, keepdim=True) > 0).float()
    weight = face + BACKGROUND * (1 - face)
    return {
        "image": (weight * ((painted + 1) / 2 - target).abs()).mean(),
        "mask": F.binary_cross_entropy_with_logits(mask, face),
        "part": (torch.sigmoid(part) - face * target).abs().mean(),
        "landmarks": F.binary_cross_entropy_with_logits(landmarks, drawing.clamp(0, 1)),
    }


def won(name: str) -> Limit:
    """Return the limit of a discriminator's loss, which is 3 log 2 when it sees no difference."""
    meaning, remedy = "a discriminator tells all completions apart", "lower `learning_rate` or `critic_channels`"
    return Limit(name, meaning, remedy, least=0.02, slows=["critics"])
