"""Configuration of `paintings`: adapters of low rank (LoRA, Hu et al. 2021) on the denoising network of a model.

A student project (2023) tried to teach Stable Diffusion its paintings and gave up: it did not fit in memory.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Model
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.config.training import Training
from workflow_scripts.systems._text_to_image.config import TextToImageExperiment


class Adapters(Model):
    """The adapters, and how they learn."""

    rank: int = Field(4, ge=1, le=1024, description="of the adapters' matrices")
    alpha: float | None = Field(None, gt=0, description="adapters count alpha / rank times; null: once")
    targets: list[str] = Field(
        ["to_q", "to_k", "to_v", "to_out.0"],
        min_length=1,
        description="ends of the names of the layers that get adapters; these are all of the attention",
    )
    frozen: Literal["fp32", "bf16"] = Field(
        "fp32", description="type in which the base model is held; adapters are always fp32. bf16 takes half the memory"
    )
    checkpointing: bool = Field(
        True, description="compute activations anew in the backward pass: a third slower, with far less memory"
    )
    predicts: Literal["base", "epsilon", "v_prediction"] = Field(
        "base",
        description="what the network learns to predict: `base`, what that of the base model does; the noise; or the "
        "velocity (Salimans & Ho 2022)",
    )
    min_snr: float = Field(
        0.0, ge=0, description="gamma of the weighting by signal-to-noise ratio (Hang et al. 2023: 5); 0: none"
    )
    caption_dropout: float = Field(
        0.1, ge=0, le=1, description="fraction of training items that are shown the empty caption, for guidance"
    )
    training: Training = Training(
        epochs=100, batch_size=4, accumulate=4, learning_rate=1e-4, betas=(0.9, 0.999), clip=1.0, preview_every=10
    )

    def check_size(self, where: str, size: int) -> None:
        """Accept every size of crops: pictures have their own."""


class Experiment(TextToImageExperiment):
    """Teach a text-to-picture model what is in pictures with captions."""

    system: Literal["paintings"]
    adapters: Adapters = Adapters()

    @property
    def networks(self) -> tuple[str, ...]:
        """The one set of adapters."""
        return ("adapters",)

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Refuse augmentations of pictures, since latents are trained on."""
        super().check(where, sources)
        for key in ("flip", "enlarge", "move", "jitter"):
            if getattr(self.adapters.training, key) != Training.model_fields[key].default:
                raise ValueError(
                    f"{where}.adapters.training.{key}: latents cannot be changed so; leave it out, or write "
                    "`pictures: {flips: true}`"
                )
