"""The base model: a folder in diffusers' layout, its description, and its parts, of which only one is loaded at a time.

The description is a file of safetensors: the tensor `empty`, the embedding of no words, float32 (tokens, d), and as
metadata a JSON text with

    folder   of the model
    sha256   of the model: of the text `{file} {SHA-256}` on a line for each of its files
    files    file -> SHA-256
    configs  `unet`, `vae`, `text_encoder` and `scheduler`, as their JSON files hold them
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import sha256_of
from workflow_scripts.systems._text_to_image.config import PARTS
from workflow_scripts.training.data import pictures_to_bytes

# Read when these libraries are imported, which the functions below do: nothing is looked for in a network.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
OFFLINE = {"local_files_only": True}
LOCAL = OFFLINE | {"use_safetensors": True}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class BaseModel(NamedTuple):
    """What a description says."""

    folder: Path
    sha256: str
    files: dict[str, str]
    configs: dict[str, dict[str, Any]]
    empty: Tensor

    @property
    def unet(self) -> Path:
        """The weights of the denoising network."""
        return self.folder / "unet/diffusion_pytorch_model.safetensors"

    @property
    def scaling(self) -> float:
        """The factor by which latents are scaled before noise is added to them."""
        return self.configs["vae"].get("scaling_factor", 0.18215)

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """Return the shape (c, h, w) of the latents of a picture of `size` pixels."""
        config = self.configs["vae"]
        side = size // 2 ** (len(config["block_out_channels"]) - 1)
        return config["latent_channels"], side, side


def describe_folder(folder: Path) -> dict[str, Any]:
    """Return what the metadata of a description says of a folder.

    Raises:
        UserError: a JSON file is damaged.
    """
    files = {part: sha256_of(folder / part) for part in PARTS}
    configs = {}
    for part in ("unet", "vae", "text_encoder", "scheduler"):
        path = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
        try:
            configs[part] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is no JSON ({error}); put the model there again") from error
    text = "".join(f"{name} {digest}\n" for name, digest in sorted(files.items()))
    return {
        "folder": str(folder),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "files": files,
        "configs": configs,
    }


def read_base(path: Path) -> BaseModel:
    """Return what a description says."""
    with safe_open(path, "pt") as file:
        found = json.loads(file.metadata()["description"])
        return BaseModel(
            Path(found["folder"]), found["sha256"], found["files"], found["configs"], file.get_tensor("empty")
        )


def base_of_folder(folder: Path) -> BaseModel:
    """Return what a description of a folder would say; the text encoder is loaded for it."""
    found = describe_folder(folder)
    return BaseModel(folder, found["sha256"], found["files"], found["configs"], empty_words(folder))


def empty_words(folder: Path) -> Tensor:
    """Return the embedding of no words, float32 (tokens, d).

    Raises:
        UserError: the text encoder cannot be used.
    """
    with reading_part(f"the text encoder of {folder}", "put the model there again"):
        return TextEncoder(folder, torch.device("cpu")).encode("")


@contextmanager
def reading_part(what: str, remedy: str) -> Iterator[None]:
    """Turn what libraries raise of files that they cannot use, which can be anything, into one line.

    Raises:
        UserError: the files cannot be used.
    """
    try:
        yield
    except Exception as error:  # tokenizers raises nothing more special
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{what} cannot be used ({reason}); {remedy}") from error


def load_unet(folder: Path, kind: str = "fp32"):
    """Return the denoising network (`UNet2DConditionModel`), frozen; `kind` is a key of `TYPES`.

    No more than the network itself and one tensor of the file are in memory at a time.

    Raises:
        UserError: the file has not the weights of the network that the configuration tells of.
    """
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    path = folder / "unet/diffusion_pytorch_model.safetensors"
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet", **OFFLINE))
    with reading_part(str(path), "put the model there again"):
        unet.load_state_dict(dict(_read_tensors(path, TYPES[kind])), assign=True)
    return unet.requires_grad_(False).eval()


def _read_tensors(path: Path, kind: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a file of safetensors, those of convolutions in the layout in which they are fastest."""
    with safe_open(path, "pt") as file:
        names = list(file.keys())
    for name in names:
        # Opened for each, because what was read of a file that is mapped counts as memory until it is closed.
        with safe_open(path, "pt") as file:
            value = file.get_tensor(name)
            layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
            yield name, value.to(kind, copy=True, memory_format=layout)


def load_vae(folder: Path, device: torch.device):
    """Return the network that turns pictures into latents and back (`AutoencoderKL`)."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL.from_pretrained(folder / "vae", **LOCAL).requires_grad_(False).eval().to(device)


class TextEncoder:
    """The tokenizer and the network that turns its tokens into embeddings.

    Args:
        folder: of the base model.
        device: where the network is put.
    """

    def __init__(self, folder: Path, device: torch.device):
        from transformers import CLIPTextModel, CLIPTokenizer

        self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        self._network = CLIPTextModel.from_pretrained(folder / "text_encoder", **LOCAL).requires_grad_(False).eval()
        self._network.to(device)
        self._device = device

    def encode(self, text: str) -> Tensor:
        """Return the embedding of a text, float32 (tokens, d) on the CPU; words beyond the last token are cut off."""
        tokens = self._tokenizer(
            text,
            padding="max_length",
            max_length=self._tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            return self._network(tokens.input_ids.to(self._device))[0][0].float().cpu().clone()


def latents_of(vae, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, float32 (c, h, w) on the CPU, of the latents of a picture (3, S, S) in -1..1."""
    with torch.inference_mode():
        found = vae.encode(picture[None].to(vae.device)).latent_dist
    return found.mean[0].float().cpu(), found.std[0].float().cpu()


def picture_of(vae, latents: Tensor, scaling: float) -> Tensor:
    """Return the picture RGB uint8 (S, S, 3) of scaled latents (c, h, w)."""
    with torch.inference_mode():
        decoded = vae.decode(latents[None].to(vae.device) / scaling).sample
    return pictures_to_bytes(decoded.float())[0].cpu()
