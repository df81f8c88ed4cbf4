"""Stage: make the tiny base model, for experiments that have none of the user's."""

import tempfile
from pathlib import Path

import torch

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder
from workflow_scripts.core.randomness import item_rng, stable_hash
from workflow_scripts.core.wheels import Wheel, extract_member, fetch_wheel
from workflow_scripts.provenance.stage import OutputFolder, stage_command
from workflow_scripts.systems._text_to_image import tiny
from workflow_scripts.systems._text_to_image.base_model import TextEncoder

# MIT licence; only its vocabulary is taken, so none of the packages that it needs is installed.
OPEN_CLIP = Wheel("open-clip-torch", "3.3.0", "c549ad5ed6bfc119cc11105033c0a2b9d7a2a4afeb40a58a09aab3da1a0043ce")
VOCABULARY = "open_clip/bpe_simple_vocab_16e6.txt.gz"
VAE_STEPS, UNET_STEPS, BATCH = 120, 200, 16
WORDS = ("", "clouds", "a picture", "a painting of something", "many colours")  # any words: they mean nothing to it


def make_tiny_base(output: OutputFolder) -> None:
    """Write a small text-to-picture model in diffusers' layout, trained for some seconds on one core.

    Args:
        output: the folder.

    Raises:
        UserError: the package with CLIP's vocabulary could not be downloaded.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    torch.set_num_threads(1)
    torch.manual_seed(stable_hash("tiny base") % 2**63)
    rng = item_rng(0, "tiny base", "training")
    with tempfile.TemporaryDirectory() as downloads, atomic_folder(output) as folder:
        vocabulary = Path(downloads) / "vocabulary.gz"
        extract_member(fetch_wheel(OPEN_CLIP, Path(downloads)), VOCABULARY, vocabulary)
        tiny.write_tokenizer(vocabulary, folder / "tokenizer")
        tiny.build_text_encoder().save_pretrained(folder / "text_encoder")
        vae = AutoencoderKL(**tiny.VAE)
        vae.register_to_config(scaling_factor=tiny.train_vae(vae, rng, VAE_STEPS, BATCH))
        vae.save_pretrained(folder / "vae")
        unet = UNet2DConditionModel(**tiny.UNET)
        encoder = TextEncoder(folder, torch.device("cpu"))
        tiny.train_unet(unet, vae, torch.stack([encoder.encode(text) for text in WORDS]), rng, UNET_STEPS, BATCH)
        unet.save_pretrained(folder / "unet")
        DDPMScheduler(**tiny.NOISE).save_pretrained(folder / "scheduler")
        tiny.write_index(folder)


main = stage_command(make_tiny_base)


if __name__ == "__main__":
    cli.run(main)
