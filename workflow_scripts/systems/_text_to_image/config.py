"""Keys that are shared by the systems which generate pictures from words."""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from workflow_scripts.config.base import Model, UserPath
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.sources import BaseSource, Digest
from workflow_scripts.core.cli import UserError

PACKAGES = ("diffusers", "peft", "transformers")
TINY = "results/weights/tiny_base"  # where the workflow makes its own base model
# What a base model must have, in the layout in which diffusers saves one.
PARTS = (
    *("unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
    *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
    *("text_encoder/config.json", "text_encoder/model.safetensors"),
    *("tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/tokenizer_config.json"),
    "scheduler/scheduler_config.json",
)
CLIP_PARTS = ("config.json", "model.safetensors", "vocab.json", "merges.txt")


class BaseModelFolder(Model):
    """The text-to-picture model that adapters are trained on. Nothing is downloaded: it is a folder of yours."""

    path: UserPath | None = Field(
        None,
        description="a folder in the layout of diffusers, as Stable Diffusion 1.5 has it: `unet`, `vae`, "
        "`text_encoder`, `tokenizer`, `scheduler`, weights as safetensors; null: a tiny one that the workflow makes",
    )
    sha256: Digest | None = Field(
        None,
        description="SHA-256 of the model, as the sidecar of a checkpoint names it; with it, another model is refused",
    )

    @property
    def folder(self) -> str:
        """The folder of the model."""
        return self.path or TINY

    @property
    def name(self) -> str:
        """The name of its description in `results/weights/`, the same for equal keys."""
        return f"base_{hashlib.sha256(self.canonical().encode()).hexdigest()[:12]}"

    def missing(self) -> list[str]:
        """Return which of `PARTS` the folder lacks."""
        return [part for part in PARTS if not Path(self.folder, part).is_file()]


class Pictures(Model):
    """How pictures and captions become training items."""

    size: int = Field(512, ge=32, le=2048, description="pixels of the square picture; a multiple of 8")
    fit: Literal["crop", "letterbox"] = Field(
        "crop", description="`crop`: the largest square from the middle; `letterbox`: all of it, with black bars"
    )
    flips: bool = Field(False, description="the mirrored picture is an item too, as `variant` 1")
    captions: int = Field(1, ge=1, le=20, description="captions of a picture that are used, the first ones")

    @field_validator("size")
    @classmethod
    def _multiple_of_8(cls, size: int) -> int:
        if size % 8:
            raise ValueError(f"must be a multiple of 8; write `size: {size // 8 * 8}`")
        return size


class Generation(Model):
    """Which pictures are generated when the adapters are trained."""

    prompts: list[str] = Field([], description="what to generate, one text for each; at least one")
    seeds: list[int] = Field([0, 1, 2, 3], min_length=1, description="of each prompt there is a picture for each seed")
    steps: int = Field(50, ge=1, le=1000, description="steps of DDIM (Song et al. 2021)")
    guidance: float = Field(
        7.5, ge=1, description="classifier-free guidance (Ho & Salimans 2022); 1: none, and half the time"
    )


class Limits(Model):
    """The memory that there is. What will not fit, by prediction, is refused before anything runs."""

    ram_gb: float | None = Field(None, gt=0, description="gigabytes (10⁹ bytes) of RAM for a job; null: not checked")
    device_gb: float | None = Field(None, gt=0, description="gigabytes of a GPU's memory; null: not checked")


class PaintedEvaluation(Model):
    """How generated pictures are scored."""

    features: list[Literal["efficientnet_lite0"]] = Field(
        ["efficientnet_lite0"], description="networks by whose features Fréchet distances are named; `[]`: none"
    )
    clip: UserPath | None = Field(
        None,
        description="a CLIP in the layout of transformers (`config.json`, `model.safetensors`, `vocab.json`, "
        "`merges.txt`), which tells how well pictures agree with their prompts; null: not measured",
    )
    min_images: int = Field(2048, ge=2, description="with fewer pictures the Fréchet distance carries a warning")


class TextToImageExperiment(BaseExperiment):
    """Adapt a text-to-picture model, generate pictures of prompts, and score them."""

    family = "text_to_image"
    needs = ("pictures", "captions")
    applied_keys = ("base", "pictures")
    item_kind = "latents"
    item_stage = "encode_images"
    summarized_kinds = ("latents", "samples", "held_out")
    summarized_keys = ("evaluation", "generation", "train")
    drawn_kinds = ("latents", "samples")
    drawn_keys = ("gallery", "generation", "train")

    base: BaseModelFolder = BaseModelFolder()
    pictures: Pictures = Pictures()
    generation: Generation = Generation()
    evaluation: PaintedEvaluation = PaintedEvaluation()
    memory: Limits = Limits()

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kinds of shards that every network is trained on."""
        return ("latents", "captions")

    def weights_of(self, network: str) -> tuple[str, ...]:
        """Return the description of the base model, which a training needs."""
        return (self.base.name,)

    def makers_of(self, kind: str) -> tuple[str, ...] | None:
        """Return the networks that make samples, and compare held-out pictures with those of their training."""
        return self.networks if kind in ("samples", "held_out") else None

    @property
    def summary_weights(self) -> tuple[str, ...]:
        """Return the networks whose features are compared."""
        return tuple(self.evaluation.features)

    @property
    def shown_folders(self) -> tuple[str, ...]:
        """Return the folder of what was predicted and measured of memory."""
        return ("tables/memory",)

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Refuse sources that are only applied, and repeated values."""
        if self.apply:
            raise ValueError(f"{where}.apply: what generates pictures is shown none; leave `apply:` out")
        if not self.generation.prompts:
            raise ValueError(f"{where}.generation.prompts: needs a text; write for example `prompts: [a red house]`")
        for key in ("prompts", "seeds"):
            values = getattr(self.generation, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{where}.generation.{key}: {values} names one twice; write each once")

    def check_files(self) -> None:
        """Refuse a base model that is not whole, and an environment without the packages."""
        lacking = [name for name in PACKAGES if find_spec(name) is None]
        if lacking:
            raise UserError(f"system {self.system}: {', '.join(lacking)} are not installed; run `make paintings` once")
        if self.base.path and (missing := self.base.missing()):
            raise UserError(
                f"base.path: {self.base.path} lacks {', '.join(missing)}; put a whole text-to-picture model there, as "
                "`save_pretrained` of diffusers writes one: weights as safetensors, each in one file"
            )
        clip = self.evaluation.clip
        if clip and (missing := [part for part in CLIP_PARTS if not Path(clip, part).is_file()]):
            raise UserError(
                f"evaluation.clip: {clip} lacks {', '.join(missing)}; put a CLIP there, or leave the key out"
            )
