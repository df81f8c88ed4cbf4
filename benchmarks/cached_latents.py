"""The memory of a training on latents and embeddings that were made before, beside one that makes them in each step.

python -m benchmarks.cached_latents --base FOLDER [--size 512] [--batch 4] [--rank 8] [--values]

Both train the same adapters of one base model. What is counted is the bytes of the tensors that are alive at once, of
networks, gradients and activations: without `--values` on tensors that have shapes alone, so that a model of any size
is asked in seconds; with it in a step that is really computed on the CPU.
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from workflow_scripts.systems._text_to_image.base_model import TYPES, BaseModel, describe_folder
from workflow_scripts.systems._text_to_image.diffusion import Diffusion
from workflow_scripts.systems._text_to_image.live_memory import LiveMemory, peak_of
from workflow_scripts.systems.paintings.config import Adapters
from workflow_scripts.systems.paintings.networks import AdaptedUNet


class Step:
    """One training step of adapters, with the encoders in memory or without.

    Args:
        base: the base model; its networks are built anew, as their weights do not matter.
        args: `size`, `batch`, `rank`, `frozen`, `checkpointing`.
        cached: whether latents and embeddings are given.
    """

    def __init__(self, base: BaseModel, args: argparse.Namespace, cached: bool):
        self._base, self._args, self._cached = base, args, cached
        self._diffusion = Diffusion(base, "base")

    def run(self) -> None:
        """Build the networks, and compute a loss and its gradients."""
        args, base = self._args, self._base
        config = Adapters(rank=args.rank, frozen=args.frozen, checkpointing=args.checkpointing)
        torch.set_default_dtype(TYPES[args.frozen])
        unet = UNet2DConditionModel.from_config(base.configs["unet"]).requires_grad_(False)
        torch.set_default_dtype(torch.float32)
        network = AdaptedUNet(unet, config).train()
        encoders = () if self._cached else self._encoders()
        latents, words = self._given(*encoders)
        times = torch.zeros(args.batch, dtype=torch.int64)
        with torch.autocast("cpu", torch.bfloat16) if args.frozen == "bf16" else nullcontext():
            errors = self._diffusion.errors(network, latents, words, times, torch.randn_like(latents))
        errors.mean().backward()

    def _encoders(self) -> tuple[AutoencoderKL, CLIPTextModel]:
        vae = AutoencoderKL.from_config(self._base.configs["vae"]).requires_grad_(False).eval()
        text = CLIPTextModel(CLIPTextConfig(**self._base.configs["text_encoder"])).requires_grad_(False).eval()
        return vae, text

    def _given(self, vae=None, text=None) -> tuple[torch.Tensor, torch.Tensor]:
        args, base = self._args, self._base
        if vae is None:
            side = args.size // 2 ** (len(base.configs["vae"]["block_out_channels"]) - 1)
            latents = torch.zeros(args.batch, base.configs["vae"]["latent_channels"], side, side)
            return latents, torch.zeros(args.batch, *base.empty.shape)
        with torch.no_grad():
            latents = vae.encode(torch.zeros(args.batch, 3, args.size, args.size)).latent_dist.mean
            return latents, text(torch.zeros(args.batch, len(base.empty), dtype=torch.int64))[0]


def peak_with_values(step: Step) -> int:
    """Return the most bytes of tensors alive during a step that is really computed."""
    with LiveMemory() as memory:
        step.run()
    return memory.peak


def main() -> None:
    """Count both, and print a line for each and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="in the layout of diffusers")
    parser.add_argument("--size", type=int, default=512, help="pixels")
    parser.add_argument("--batch", type=int, default=4, help="items computed at once")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--frozen", choices=[*TYPES], default="fp32")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--values", action="store_true", help="really compute the step")
    args = parser.parse_args()
    found = describe_folder(args.base)
    tokens = found["configs"]["text_encoder"]
    empty = torch.zeros(tokens["max_position_embeddings"], tokens["hidden_size"])
    base = BaseModel(args.base, found["sha256"], found["files"], found["configs"], empty)
    peaks = {}
    for name, cached in (("cached", True), ("not cached", False)):
        step = Step(base, args, cached)
        peaks[name] = peak_with_values(step) if args.values else peak_of(step.run)
        print(f"{name}: {peaks[name] / 1e6:,.1f} MB")
    print(f"ratio: {peaks['cached'] / peaks['not cached']:.2f}")


if __name__ == "__main__":
    main()
