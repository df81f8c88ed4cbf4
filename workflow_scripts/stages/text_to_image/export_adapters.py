"""Stage: write adapters as diffusers loads them, with a card that says what they stand on."""

import torch

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder, read_json, write_text
from workflow_scripts.provenance.stage import Input, OutputFolder, stage_command
from workflow_scripts.systems._text_to_image.base_model import read_base
from workflow_scripts.systems._text_to_image.lora import card, save_lora
from workflow_scripts.training.checkpoint import load_network


def export_adapters(checkpoint: Input, base: Input, output: OutputFolder) -> None:
    """Write `pytorch_lora_weights.safetensors`, for `pipe.load_lora_weights(FOLDER)`, and `README.md`.

    Args:
        checkpoint: the adapters.
        base: the description of the base model.
        output: the folder.
    """
    described = read_base(base)
    network = load_network(checkpoint, torch.device("cpu"), {"unet": described.unet})
    sidecar = read_json(checkpoint.with_suffix(".json"))
    with atomic_folder(output) as folder:
        save_lora(network.unet, folder, described.sha256)
        write_text(folder / "README.md", card(sidecar, described))


main = stage_command(export_adapters)


if __name__ == "__main__":
    cli.run(main)
