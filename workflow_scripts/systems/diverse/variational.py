"""Latents of the published family: normal numbers, the extractor that finds them in a picture, their divergence."""

import torch
from torch import Tensor, nn

from workflow_scripts.systems.diverse.critics import strided_layers
from workflow_scripts.training.health import Limit

SAME = 4e-4  # a twentieth of a grey level: mean difference of completions that are all alike, in -1..1
LOG_VARIANCES = (-10.0, 10.0)  # beyond them, the exponential is of no use


class Extractor(nn.Module):
    """PII-GAN's style extractor: four 5x5 convolutions of stride 2, then mean and log-variance of the latent.

    Args:
        inputs: channels of the input.
        channels: of the first layer; the others have 2, 4 and 4 times as many. 64 as published.
        side: pixels of the input.
        numbers: of the latent. 4096 as published.
    """

    def __init__(self, inputs: int, channels: int, side: int, numbers: int):
        super().__init__()
        self.layers = strided_layers([inputs, channels, 2 * channels, 4 * channels, 4 * channels], 5)
        features = 4 * channels * (side // 16) ** 2
        self.mean = nn.Linear(features, numbers)
        self.log_variance = nn.Linear(features, numbers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, inputs, side, side) to float32 mean and log-variance, (N, numbers) each."""
        features = self.layers(x).flatten(1)
        with torch.autocast(x.device.type, enabled=False):
            mean, log_variance = self.mean(features.float()), self.log_variance(features.float())
        return mean, log_variance.clamp(*LOG_VARIANCES)


def draw_latent(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return one draw of normal numbers, noised once (the released code of PII-GAN adds the noise twice)."""
    return mean + torch.exp(log_variance / 2) * torch.randn_like(mean)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence from standard normal numbers, summed over the latent (N, numbers), averaged over items."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


def all_alike(weight: str) -> Limit:
    """Return the limit of the diversity below which a generator ignores its latents; `weight` is of their own loss."""
    meaning, remedy = "completions of one hole are all alike", f"raise `losses.{weight}` or lower `losses.kl`"
    return Limit("diversity", meaning, remedy, least=SAME, patience=3, warmup=3)
