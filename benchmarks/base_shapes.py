"""Base models of the shapes of Stable Diffusion 1.5, of random weights, on which neither memory nor speed depends."""

import tempfile
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from workflow_scripts.core.files import write_json
from workflow_scripts.core.wheels import extract_member, fetch_wheel
from workflow_scripts.stages.text_to_image.make_tiny_base import OPEN_CLIP, VOCABULARY
from workflow_scripts.systems._text_to_image import tiny

HEADS, GROUPS, LENGTH = 8, 32, 77
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}


def shapes(narrower: int) -> dict[str, dict]:
    """Return the configurations of the parts `unet`, `vae`, `text_encoder` and `scheduler`.

    Args:
        narrower: 1: 860, 84 and 123 million parameters, as Stable Diffusion 1.5 has them; 2, 4 or 8: so many times
            fewer channels.
    """
    unet = {
        "sample_size": 64,
        "block_out_channels": [channels // narrower for channels in (320, 640, 1280, 1280)],
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
        "attention_head_dim": HEADS,
        "cross_attention_dim": 768 // narrower,
        "norm_num_groups": GROUPS // narrower,
    }
    vae = {
        "sample_size": 512,
        "block_out_channels": [channels // narrower for channels in (128, 256, 512, 512)],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "norm_num_groups": GROUPS // narrower,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    }
    text = {
        "vocab_size": tiny.WORDS,
        "hidden_size": 768 // narrower,
        "intermediate_size": 3072 // narrower,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": LENGTH,
        "bos_token_id": tiny.WORDS - 2,
        "eos_token_id": tiny.WORDS - 1,
    }
    return {"unet": unet, "vae": vae, "text_encoder": text, "scheduler": SCHEDULER}


def make_base(folder: Path, narrower: int, device: torch.device) -> None:
    """Write a base model in the layout of diffusers, with CLIP's tokenizer.

    Args:
        folder: where it goes.
        narrower: as in `shapes`.
        device: where the weights are drawn, which a GPU does in a second.
    """
    found = shapes(narrower)
    with tempfile.TemporaryDirectory() as downloads:
        vocabulary = Path(downloads) / "vocabulary.gz"
        extract_member(fetch_wheel(OPEN_CLIP, Path(downloads)), VOCABULARY, vocabulary)
        folder.mkdir(parents=True)
        tiny.write_tokenizer(vocabulary, folder / "tokenizer", LENGTH)
    (folder / "scheduler").mkdir()
    write_json(folder / "scheduler/scheduler_config.json", found["scheduler"])
    with torch.device(device):
        UNet2DConditionModel(**found["unet"]).save_pretrained(folder / "unet")
        AutoencoderKL(**found["vae"]).save_pretrained(folder / "vae")
        CLIPTextModel(CLIPTextConfig(**found["text_encoder"])).save_pretrained(folder / "text_encoder")
