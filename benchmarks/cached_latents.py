"""The memory of a training on latents and embeddings that were made before, beside one that makes them in each step.

python -m benchmarks.cached_latents [--base FOLDER] [--size 512] [--batch 1 4 16] [--rank 8] [--values] [--device cpu]

Both train the same adapters of one base model: that of a folder, or one of the shapes of Stable Diffusion 1.5. What is
counted is the bytes of the tensors that are alive at once, of networks, gradients and activations, on tensors that have
shapes alone, so that a model of any size is asked in seconds; with `--values` also in a step that is computed.
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.base_shapes import shapes
from workflow_scripts.systems._text_to_image.base_model import TYPES, BaseModel, describe_folder
from workflow_scripts.systems._text_to_image.diffusion import Diffusion
from workflow_scripts.systems._text_to_image.live_memory import LiveMemory, peak_of
from workflow_scripts.systems.paintings.config import Adapters
from workflow_scripts.systems.paintings.networks import AdaptedUNet


class Step:
    """One training step of adapters, with the encoders in memory or without.

    Args:
        base: the base model; its networks are built anew, as their weights do not matter.
        args: `rank`, `frozen`, `checkpointing`, `device`.
        size: of the pictures, in pixels.
        batch: items that are computed at once.
        cached: whether latents and embeddings are given.
    """

    def __init__(self, base: BaseModel, args: argparse.Namespace, size: int, batch: int, cached: bool):
        self._base, self._args, self._size, self._batch, self._cached = base, args, size, batch, cached
        self._diffusion = Diffusion(base, "base")

    def run(self) -> None:
        """Build the networks, and compute a loss and its gradients, on the device of the context."""
        args, base = self._args, self._base
        config = Adapters(rank=args.rank, frozen=args.frozen, checkpointing=args.checkpointing)
        torch.set_default_dtype(TYPES[args.frozen])
        unet = UNet2DConditionModel.from_config(base.configs["unet"]).requires_grad_(False)
        torch.set_default_dtype(torch.float32)
        network = AdaptedUNet(unet, config).train()
        encoders = () if self._cached else self._encoders()
        latents, words = self._given(*encoders)
        times = torch.zeros(self._batch, dtype=torch.int64)
        with torch.autocast(args.device, torch.bfloat16) if args.frozen == "bf16" else nullcontext():
            errors = self._diffusion.errors(network, latents, words, times, torch.randn_like(latents))
        errors.mean().backward()

    def _encoders(self) -> tuple[AutoencoderKL, CLIPTextModel]:
        vae = AutoencoderKL.from_config(self._base.configs["vae"]).requires_grad_(False).eval()
        text = CLIPTextModel(CLIPTextConfig(**self._base.configs["text_encoder"])).requires_grad_(False).eval()
        return vae, text

    def _given(self, vae=None, text=None) -> tuple[torch.Tensor, torch.Tensor]:
        base = self._base
        if vae is None:
            return torch.zeros(self._batch, *base.latent_shape(self._size)), torch.zeros(self._batch, *base.empty.shape)
        with torch.no_grad():
            latents = vae.encode(torch.zeros(self._batch, 3, self._size, self._size)).latent_dist.mean
            return latents, text(torch.zeros(self._batch, len(base.empty), dtype=torch.int64))[0]


def peak_with_values(step: Step, device: str) -> int:
    """Return the most bytes of tensors alive during a step that is really computed."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        with torch.device(device):
            step.run()
        return torch.cuda.max_memory_allocated() - before
    with LiveMemory() as memory:
        step.run()
    return memory.peak


def base_of(args: argparse.Namespace) -> BaseModel:
    """Return a description of the base model."""
    if args.base is None:
        found = {"sha256": "", "files": {}, "configs": shapes(args.narrower)}
    else:
        found = describe_folder(args.base)
    tokens = found["configs"]["text_encoder"]
    empty = torch.zeros(tokens["max_position_embeddings"], tokens["hidden_size"])
    return BaseModel(Path(args.base or "."), found["sha256"], found["files"], found["configs"], empty)


def main() -> None:
    """Print a line for each size and batch: both peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, help="in the layout of diffusers; without, of Stable Diffusion's shapes")
    parser.add_argument("--narrower", type=int, default=1, choices=(1, 2, 4, 8), help="of those, times fewer channels")
    parser.add_argument("--size", type=int, nargs="+", default=[512], help="pixels")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16], help="items computed at once")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--frozen", choices=[*TYPES], default="bf16")
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--values", action="store_true", help="really compute the step, too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    base = base_of(args)
    for size in args.size:
        for batch in args.batch:
            what = f"{size} px, {batch} at once"
            print_peaks(f"{what}, by shapes", [peak_of(step.run) for step in both(base, args, size, batch)])
            if args.values:
                peaks = [peak_with_values(step, args.device) for step in both(base, args, size, batch)]
                print_peaks(f"{what}, computed", peaks)


def both(base: BaseModel, args: argparse.Namespace, size: int, batch: int) -> list[Step]:
    """Return the step with the cache and that without."""
    return [Step(base, args, size, batch, cached) for cached in (True, False)]


def print_peaks(what: str, peaks: list[int]) -> None:
    """Print the peaks with the cache and without, and their ratio."""
    cached, other = (peak / 1e6 for peak in peaks)
    print(f"{what}: {cached:,.1f} MB cached, {other:,.1f} MB not cached, ratio {cached / other:.2f}", flush=True)


if __name__ == "__main__":
    main()
