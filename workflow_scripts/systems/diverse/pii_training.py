"""How PII-GAN learns (Cai and Wei 2020), in two passes of each batch.

First, the latent is the extractor's of the true picture: the generator learns to paint that picture with it. Second,
the latent is random: the critics judge what is painted, and the extractor must find the latent in it again.
"""

from collections.abc import Hashable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.systems._completion.training import GuidedTraining, preview_completions, score_completion
from workflow_scripts.systems.diverse.critics import Critic, gradient_penalty, wasserstein_loss
from workflow_scripts.systems.diverse.pii_network import PiiCompleter
from workflow_scripts.systems.diverse.vae_gan_config import PiiNetwork
from workflow_scripts.systems.diverse.variational import Extractor, all_alike, draw_latent, kl_divergence
from workflow_scripts.systems.diverse.windows import cut_windows, hole_windows
from workflow_scripts.training.health import Limit
from workflow_scripts.training.losses import weighted_mean
from workflow_scripts.training.system import Batch, Score, Update, detached, frozen


class PiiTraining(GuidedTraining):
    """L = w_adv (local + global) + w_kl KL + w_rec L1_hole + w_context L1_outside + w_latent |z - E(G(z))|."""

    saved = "pii"
    judged_by = Score("psnr_hole", higher_is_better=True)

    def __init__(self, config: PiiNetwork, module: PiiCompleter):
        self.config = config
        self.losses = config.losses
        self.window = config.side // 2
        inputs = 10 if config.guided else 3
        extractor = Extractor(inputs, config.extractor_channels, self.window, config.latent**2)
        self.networks = nn.ModuleDict({"pii": module, "extractor": extractor})
        if self.losses.adversarial:
            self.networks["critics"] = PiiCritics(config.critic_channels, config.side)
        self.limits = [all_alike("latent"), *(steep(f"critics {name} penalty") for name in ("whole", "local"))]

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the critics' updates, then the one of generator and extractor together."""
        windows = hole_windows(batch["hole"])
        mean, log_variance = self.extract(batch["target"], batch, windows)
        latents = [draw_latent(mean, log_variance).view(-1, 1, self.config.latent, self.config.latent)]
        latents.append(torch.randn_like(latents[0]))
        coarse, fine = self._paint(batch, latents)
        completed = torch.lerp(batch["target"], fine[1], batch["hole"])
        if self.losses.adversarial:
            yield from self._judge(batch, windows, completed.detach())

        values = {"kl": kl_divergence(mean, log_variance)}
        differences = [(picture - batch["target"]).abs() for picture in (fine[0], coarse[0], fine[1], coarse[1])]
        inside = [weighted_mean(x, batch["hole"]) for x in differences[:2]]
        outside = [weighted_mean(x, 1 - batch["hole"]) for x in differences]
        values["reconstruction"] = inside[0] + self.losses.coarse * inside[1]
        values["context"] = outside[0] + outside[2] + self.losses.coarse * (outside[1] + outside[3])
        found = self.extract(completed, batch, windows)[0].view_as(latents[1])
        values["latent"] = weighted_mean((found - latents[1]).abs(), self._seen(batch, windows))
        if self.losses.adversarial:
            with frozen(self.networks["critics"]) as critics:
                verdicts = critics(completed, cut_windows(completed, windows, self.window))
            values["adversarial"] = -sum(verdict.float().mean() for verdict in verdicts)
        loss = sum(getattr(self.losses, name) * value for name, value in values.items())
        yield Update("pii", loss, detached(values), beside=("extractor",))

    def extract(self, pictures: Tensor, batch: Batch, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (N, numbers) of the latents that the extractor sees in pictures."""
        shown = [pictures]
        if self.config.guided:
            shown += [batch["drawing"], batch["hole"], batch["part"]]
        return self.networks["extractor"](cut_windows(torch.cat(shown, dim=1), windows, self.window))

    def _paint(self, batch: Batch, latents: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the coarse pictures of all latents, and the fine ones, painted at once."""
        given = [batch[name].repeat(len(latents), 1, 1, 1) for name in ("holed", "hole", "guide")]
        coarse, fine = self.networks["pii"](*given, torch.cat(latents))
        return coarse.chunk(len(latents)), fine.chunk(len(latents))

    def _judge(self, batch: Batch, windows: Tensor, completed: Tensor) -> Iterator[Update]:
        """Yield the critics' updates; each but the first sees completions of its own."""
        critics = self.networks["critics"]
        reals = (batch["target"], cut_windows(batch["target"], windows, self.window))
        holes = (batch["hole"], cut_windows(batch["hole"], windows, self.window))
        for step in range(self.config.critic_steps):
            if step:
                with torch.no_grad():
                    latent = torch.randn(len(completed), 1, *2 * [self.config.latent], device=completed.device)
                    completed = torch.lerp(batch["target"], self._paint(batch, [latent])[1][0], batch["hole"])
            fakes = (completed, cut_windows(completed, windows, self.window))
            loss, parts = 0, {}
            judges = (critics.whole, critics.local)
            for name, judge, real, fake, hole in zip(("whole", "local"), judges, reals, fakes, holes, strict=True):
                parts[name] = wasserstein_loss(judge(real).float(), judge(fake).float())
                parts[f"{name} penalty"] = gradient_penalty(judge, real, fake, hole)
                loss = loss + parts[name] + self.losses.penalty * parts[f"{name} penalty"]
            yield Update("critics", loss, detached(parts))

    def _seen(self, batch: Batch, windows: Tensor) -> Tensor:
        """Return which numbers of the latent maps lie in the holes, (N, 1, L, L) in 0..1: no others can be found."""
        return F.interpolate(cut_windows(batch["hole"], windows, self.window), size=2 * [self.config.latent])

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return PSNR and diversity in the hole."""
        return score_completion(network, batch)

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is given, the guide, two completions, the one of no noise, the truth."""
        return preview_completions(network, batch)


class PiiCritics(nn.Module):
    """Two critics of 5x5 convolutions with stride 2: of the whole picture, and of the square around the hole.

    Args:
        channels: of the first layers; 64 as published.
        side: of the pictures; the square is shown with half as many pixels.
    """

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.whole = Critic([3, channels, 2 * channels, 4 * channels, 4 * channels], 5, side)
        self.local = Critic([3, channels, 2 * channels, 4 * channels, 8 * channels], 5, side // 2)

    def forward(self, pictures: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the verdicts (N, 1) on pictures (N, 3, side, side) and on their squares (N, 3, side / 2, side / 2)."""
        return self.whole(pictures), self.local(windows)


def steep(name: str) -> Limit:
    """Return the limit of a critic's gradient penalty, which is 1 for a flat critic, and below it for a good one."""
    return Limit(name, "a critic runs away", "lower `learning_rate` or raise `losses.penalty`", most=100.0)
