"""A text-to-picture model as small as can be, of the classes of Stable Diffusion: it shows that every step works.

Its tokenizer is CLIP's own. Its text encoder is random: different words have different embeddings, which is all that
adapters need. Its other networks learn from drawn cloudy pictures of any colour, which no words tell apart; so it
paints, but knows nothing of words.
"""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.core.files import write_json

SIDE = 32  # pixels of the pictures that it learns from
TOKENS, WORDS = 48_894, 49_408  # lines of CLIP's vocabulary that are used, words
LENGTH = 16  # tokens of a text: among the 77 of CLIP, a random encoder would drown a word in padding
START, END = "<|startoftext|>", "<|endoftext|>"
EMBEDDING = 32  # numbers of a token
VAE = {
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 1,
    "mid_block_add_attention": False,
    "sample_size": SIDE,
}
UNET = {
    "sample_size": SIDE // 4,
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 4,
    "cross_attention_dim": EMBEDDING,
    "norm_num_groups": 8,
}
RATE = 2e-3  # of learning, at first
CERTAIN = -6.0  # logarithm of the latents' variance, at first
STEADY = 4.0  # a constant beside colours in -1..1, so large that normalisation divides all of them alike
NOISE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "prediction_type": "v_prediction",
    # Nothing of a picture is left in the noise that it comes out of (Lin et al. 2024), so words decide its colour.
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}


def write_tokenizer(vocabulary: Path, folder: Path, length: int = LENGTH) -> None:
    """Write CLIP's tokenizer as transformers reads it.

    Args:
        vocabulary: `bpe_simple_vocab_16e6.txt.gz` of OpenAI's CLIP.
        folder: where `vocab.json`, `merges.txt` and `tokenizer_config.json` go.
        length: tokens of a text.
    """
    folder.mkdir()
    lines = gzip.decompress(vocabulary.read_bytes()).decode("utf-8").split("\n")[1 : TOKENS + 1]
    letters = _letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(line.replace(" ", "") for line in lines), START, END]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", "utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    write_json(
        folder / "tokenizer_config.json", special | {"model_max_length": length, "tokenizer_class": "CLIPTokenizer"}
    )


def _letters() -> list[str]:
    """Return the letter that stands for each byte, in CLIP's order: itself where it can be printed, else another."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printed] + [chr(256 + number) for number in range(256 - len(printed))]


def build_text_encoder() -> nn.Module:
    """Return a random text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=WORDS,
            hidden_size=EMBEDDING,
            intermediate_size=2 * EMBEDDING,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=LENGTH,
            bos_token_id=WORDS - 2,
            eos_token_id=WORDS - 1,
            pad_token_id=WORDS - 1,
        )
    ).eval()


def draw_clouds(rng: np.random.Generator, count: int) -> Tensor:
    """Return cloudy pictures (count, 3, SIDE, SIDE) in -1..1, each of a colour of its own."""
    shades = torch.from_numpy(rng.standard_normal((count, 1, SIDE // 4, SIDE // 4), np.float32))
    shades = F.interpolate(shades, size=(SIDE, SIDE), mode="bicubic")
    grain = torch.from_numpy(rng.standard_normal((count, 1, SIDE, SIDE), np.float32))
    colours = torch.from_numpy(rng.random((count, 3, 1, 1), np.float32))
    return (colours * (1 + 0.2 * shades + 0.1 * grain)).clamp(0, 1) * 2 - 1


def pass_colours(vae: nn.Module) -> None:
    """Let an untrained encoder and decoder pass the mean colour of each place through three channels of the latents.

    Normalisation would divide a flat picture by its own colour. So each colour is carried by a pair of channels of
    opposite signs, since silu(x) - silu(-x) = x, beside a pair of constants. Residual branches begin as 0.
    """
    for part in vae.modules():
        if hasattr(part, "conv_shortcut"):
            nn.init.zeros_(part.conv2.weight)
            nn.init.zeros_(part.conv2.bias)
            if part.conv_shortcut is not None:
                _copy_channels(part.conv_shortcut)
    for block in vae.encoder.down_blocks:
        for sampler in block.downsamplers or ():
            _copy_channels(sampler.conv)
            sampler.conv.weight.data[:, :, :2, :2] = sampler.conv.weight.data[:, :, 1:2, 1:2] / 4
    for block in vae.decoder.up_blocks:
        for sampler in block.upsamplers or ():
            _copy_channels(sampler.conv)
    _copy_channels(vae.quant_conv)
    _copy_channels(vae.post_quant_conv)
    for half in (vae.encoder, vae.decoder):
        _split_colours(half.conv_in)
        _join_colours(half.conv_out)
    with torch.no_grad():  # latents are nearly certain from the start on, as those of a longer training are
        vae.quant_conv.bias[VAE["latent_channels"] :] = CERTAIN


def _copy_channels(layer: nn.Conv2d) -> None:
    """Let a convolution copy its channels."""
    middle = layer.kernel_size[0] // 2
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        for channel in range(min(layer.in_channels, layer.out_channels)):
            layer.weight[channel, channel, middle, middle] = 1


def _split_colours(layer: nn.Conv2d) -> None:
    """Let a convolution make six channels of three, and two constants; what it does besides is left as it is."""
    with torch.no_grad():
        layer.weight[:8], layer.bias[:8] = 0, 0
        for colour in range(3):
            layer.weight[colour, colour, 1, 1], layer.weight[colour + 3, colour, 1, 1] = 1, -1
        layer.bias[6], layer.bias[7] = STEADY, -STEADY


def _join_colours(layer: nn.Conv2d) -> None:
    """Let a convolution make three channels of what `_split_colours` made and normalisation divided."""
    divisor = STEADY * math.sqrt(2 / layer.in_channels)
    with torch.no_grad():
        for rows in (layer.weight[:3], layer.bias[:3], layer.weight[VAE["latent_channels"] :]):
            rows.zero_()  # the last ones, which an encoder has, are those of the logarithm of the variance
        for colour in range(3):
            layer.weight[colour, colour, 1, 1], layer.weight[colour, colour + 3, 1, 1] = divisor, -divisor


def train_vae(vae: nn.Module, rng: np.random.Generator, steps: int, batch: int) -> float:
    """Teach the encoder and decoder clouds, and return the factor that scales latents to a deviation of 1."""
    pass_colours(vae)
    optimizer = torch.optim.Adam(vae.parameters(), RATE)
    for step in range(steps):
        set_rate(optimizer, RATE, step, steps)
        pictures = draw_clouds(rng, batch)
        found = vae.encode(pictures).latent_dist
        loss = F.mse_loss(vae.decode(found.sample()).sample, pictures) + 1e-6 * found.kl().mean() / SIDE**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        return 1 / float(vae.encode(draw_clouds(rng, 64)).latent_dist.mean.std())


def train_unet(
    unet: nn.Module, vae: nn.Module, words: Tensor, rng: np.random.Generator, steps: int, batch: int
) -> None:
    """Teach the denoising network the latents of clouds.

    Args:
        unet: the network.
        vae: trained; its configuration has the factor.
        words: (n, tokens, d), of which each item is shown one at random, so that they mean nothing.
        rng: draws everything.
        steps: of the training.
        batch: items of a step.
    """
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    scheduler, optimizer = DDPMScheduler(**NOISE), torch.optim.Adam(unet.parameters(), RATE)
    with torch.inference_mode():
        latents = torch.cat([vae.encode(draw_clouds(rng, 64)).latent_dist.mean for _ in range(16)])
    latents = latents.clone() * vae.config.scaling_factor
    for step in range(steps):
        set_rate(optimizer, RATE, step, steps)
        chosen = latents[torch.from_numpy(rng.integers(0, len(latents), batch))]
        noise = torch.from_numpy(rng.standard_normal(chosen.shape, np.float32))
        times = torch.from_numpy(rng.integers(0, scheduler.config.num_train_timesteps, batch))
        shown = words[torch.from_numpy(rng.integers(0, len(words), batch))]
        wanted = scheduler.get_velocity(chosen, noise, times)
        loss = F.mse_loss(unet(scheduler.add_noise(chosen, noise, times), times, shown).sample, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def set_rate(optimizer: torch.optim.Optimizer, rate: float, step: int, steps: int) -> None:
    """Let the learning rate fall linearly to 0."""
    for group in optimizer.param_groups:
        group["lr"] = rate * (1 - step / steps)


def write_index(folder: Path) -> None:
    """Write which classes the parts of the folder are, so that diffusers can load it whole."""
    parts = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    write_json(folder / "model_index.json", {"_class_name": "StableDiffusionPipeline", **parts})
