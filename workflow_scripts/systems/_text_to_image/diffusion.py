"""Noise on latents: what the network is asked, what it should answer, and how pictures come out of noise."""

from collections.abc import Callable

import torch
from torch import Tensor

from workflow_scripts.core.cli import UserError
from workflow_scripts.systems._text_to_image.base_model import BaseModel

LEVELS = 4  # of noise, at equal distances, at which items are judged
Network = Callable[[Tensor, Tensor, Tensor], Tensor]  # noisy latents, times, embeddings -> what it predicts


class Diffusion:
    """The noise of a base model.

    Args:
        base: its description.
        predicts: `base`, `epsilon` or `v_prediction`, what the network predicts.
        min_snr: gamma of Hang et al. 2023; 0: no weighting.

    Raises:
        UserError: the noise is to be predicted where nothing else is left, which tells nothing of the picture.
    """

    def __init__(self, base: BaseModel, predicts: str, min_snr: float = 0.0):
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        config = base.configs["scheduler"]
        self.predicts = config.get("prediction_type", "epsilon") if predicts == "base" else predicts
        if self.predicts == "epsilon" and config.get("rescale_betas_zero_snr"):
            raise UserError(
                "adapters.predicts: the last noise of the base model leaves nothing of a picture "
                "(`rescale_betas_zero_snr`), out of which the noise is told and no picture; write "
                "`predicts: v_prediction`"
            )
        self._config, self._min_snr = config, min_snr
        self._scheduler = DDPMScheduler.from_config(config, prediction_type=self.predicts)
        self.times = self._scheduler.config.num_train_timesteps

    def errors(self, network: Network, latents: Tensor, embeddings: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Return the mean squared error of the prediction for each item (N,).

        Args:
            network: what predicts.
            latents: (N, c, h, w), scaled.
            embeddings: (N, tokens, d).
            times: int64 (N,).
            noise: as the latents.
        """
        noisy = self._scheduler.add_noise(latents, noise, times)
        velocity = self.predicts == "v_prediction"
        wanted = self._scheduler.get_velocity(latents, noise, times) if velocity else noise
        return (network(noisy, times, embeddings).float() - wanted.float()).square().mean(dim=(1, 2, 3))

    def judge(self, network: Network, latents: Tensor, embeddings: Tensor) -> Tensor:
        """Return the mean error of each item (N,) at `LEVELS` levels of the same noise."""
        errors = []
        for level in range(LEVELS):
            times = torch.full((len(latents),), int(self.times * (level + 0.5) / LEVELS), device=latents.device)
            noise = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(level)).to(latents.device)
            errors.append(self.errors(network, latents, embeddings, times, noise.expand_as(latents)))
        return torch.stack(errors).mean(dim=0)

    def clean(self, network: Network, latents: Tensor, embeddings: Tensor, time: int) -> tuple[Tensor, Tensor]:
        """Return latents with the noise of a time, and what the network takes for them without it."""
        times = torch.full((len(latents),), time, device=latents.device)
        noise = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(0)).to(latents.device)
        noisy = self._scheduler.add_noise(latents, noise.expand_as(latents), times)
        found = network(noisy, times, embeddings).float()
        signal = self._scheduler.alphas_cumprod[time].to(latents.device)
        if self.predicts == "v_prediction":
            return noisy, signal.sqrt() * noisy - (1 - signal).sqrt() * found
        return noisy, (noisy - (1 - signal).sqrt() * found) / signal.sqrt()

    def sample(
        self, network: Network, noise: Tensor, embedding: Tensor, empty: Tensor, steps: int, guidance: float
    ) -> Tensor:
        """Return the latents (c, h, w), scaled, into which DDIM turns noise (c, h, w).

        Args:
            network: what predicts.
            noise: Gaussian.
            embedding: of the words, (tokens, d).
            empty: of no words.
            steps: how many.
            guidance: how many times the difference that the words make counts; 1: no guidance.
        """
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler

        scheduler = DDIMScheduler.from_config(self._config, prediction_type=self.predicts)
        scheduler.set_timesteps(steps)
        latents = noise[None]
        words = torch.stack([empty, embedding]) if guidance > 1 else embedding[None]
        with torch.inference_mode():
            for time in scheduler.timesteps:
                found = network(
                    latents.expand(len(words), *noise.shape), time.expand(len(words)).to(noise.device), words
                )
                without, with_words = (found[:1], found[1:]) if guidance > 1 else (found, found)
                predicted = without + guidance * (with_words - without) if guidance > 1 else found
                latents = scheduler.step(predicted, time, latents).prev_sample
        return latents[0]

    def weights(self, times: Tensor) -> Tensor:
        """Return the weights of errors at these times (N,): by their signal-to-noise ratio, at most gamma (min-SNR)."""
        if not self._min_snr:
            return torch.ones_like(times, dtype=torch.float32)
        signal = self._scheduler.alphas_cumprod.to(times.device)[times]
        ratio = signal / (1 - signal)
        if self.predicts == "v_prediction":
            return ratio.clamp(max=self._min_snr) / (ratio + 1)
        return (self._min_snr / ratio).clamp(max=1)
