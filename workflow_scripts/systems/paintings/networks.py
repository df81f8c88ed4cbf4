"""The network of `paintings`: the frozen denoising network of the base model, and adapters of low rank on it."""

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workflow_scripts.systems._text_to_image.base_model import load_unet
from workflow_scripts.systems.paintings.config import Adapters, Experiment


class AdaptedUNet(nn.Module):
    """A frozen network whose layers have adapters, which alone are learned.

    Args:
        unet: `UNet2DConditionModel`, frozen.
        config: of the adapters.
    """

    def __init__(self, unet: nn.Module, config: Adapters):
        from peft import LoraConfig

        super().__init__()
        self.unet = unet
        alpha = config.rank if config.alpha is None else config.alpha
        unet.add_adapter(
            LoraConfig(
                r=config.rank, lora_alpha=alpha, target_modules=list(config.targets), init_lora_weights="gaussian"
            )
        )
        for parameter in unet.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if config.checkpointing:
            # Nothing in it is random, so no state of random numbers need be kept, which a recorded step could not.
            unet.enable_gradient_checkpointing(partial(checkpoint, use_reentrant=False, preserve_rng_state=False))

    def forward(self, latents: Tensor, times: Tensor, embeddings: Tensor) -> Tensor:
        """Map noisy latents (N, c, h, w), times (N,) and embeddings (N, tokens, d) to a prediction (N, c, h, w)."""
        kind = self.unet.dtype
        # A network that is held in bf16 computes in it as it is; a GPU's autocast would normalise in fp32.
        plain = torch.autocast("cuda" if latents.is_cuda else "cpu", enabled=False)
        with nullcontext() if kind == torch.float32 else plain:
            return self.unet(latents.to(kind), times, embeddings.to(kind)).sample.float()

    def base(self, latents: Tensor, times: Tensor, embeddings: Tensor) -> Tensor:
        """Return what the network predicts without its adapters."""
        self.unet.disable_adapters()
        try:
            return self(latents, times, embeddings)
        finally:
            self.unet.enable_adapters()


def build_network(network: str, experiment: Experiment, bases: Mapping[str, Path]) -> AdaptedUNet:
    """Return the adapters untrained, on the base model whose denoising network is the file `bases["unet"]`."""
    return AdaptedUNet(load_unet(bases["unet"].parents[1], experiment.adapters.frozen), experiment.adapters)
