"""Generating pictures of words: three networks one after the other, of which only one is in memory at a time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from workflow_scripts.core.files import read_json
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.systems._text_to_image.base_model import BaseModel, TextEncoder, load_vae, picture_of
from workflow_scripts.systems._text_to_image.config import Generation
from workflow_scripts.systems._text_to_image.diffusion import Diffusion
from workflow_scripts.training.checkpoint import load_network


class Wish(NamedTuple):
    """A picture to be generated."""

    prompt: str
    seed: int


def start_noise(wish: Wish, shape: Sequence[int]) -> torch.Tensor:
    """Return the Gaussian noise (c, h, w), float32, out of which the picture of a wish comes."""
    return torch.from_numpy(item_rng(wish.seed, wish.prompt, "noise").standard_normal(shape, np.float32))


def paint(
    wishes: Sequence[Wish],
    checkpoint: Path,
    base: BaseModel,
    generation: Generation,
    device: torch.device,
    advance: Callable[[], object],
    beside: bool = True,
) -> list[tuple[np.ndarray, ...]]:
    """Return for each wish the picture RGB uint8 (S, S, 3) of the adapters, and that of the base model beside it.

    Args:
        wishes: at least one.
        checkpoint: the adapters.
        base: the model that they stand on.
        generation: its keys `steps` and `guidance`.
        device: where the networks run.
        advance: called after each picture's latents.
        beside: whether the base model's pictures are wanted.

    Raises:
        UserError: the checkpoint is damaged, or stands on another model.
    """
    described = read_json(checkpoint.with_suffix(".json"))
    encoder = TextEncoder(base.folder, device)
    words = {wish.prompt: encoder.encode(wish.prompt) for wish in wishes}
    del encoder
    network = load_network(checkpoint, device, {"unet": base.unet})
    diffusion = Diffusion(base, described["config"]["adapters"]["predicts"])
    shape = described["shapes"]["mean"]
    painted = []
    for wish in wishes:
        start = start_noise(wish, shape).to(device)
        pair = []
        for one in (network, network.base) if beside else (network,):
            embeddings = words[wish.prompt].to(device), base.empty.to(device)
            pair.append(diffusion.sample(one, start, *embeddings, generation.steps, generation.guidance).cpu())
            advance()
        painted.append(pair)
    del network, one
    vae = load_vae(base.folder, device)
    return [tuple(picture_of(vae, latents, base.scaling).numpy() for latents in pair) for pair in painted]
