"""Adapters as diffusers loads them: a file of safetensors and a card."""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from workflow_scripts.systems._text_to_image.base_model import BaseModel

FILE = "pytorch_lora_weights.safetensors"
CARD = """\
---
library_name: diffusers
tags: [lora, text-to-image, diffusers]
---
# Adapters of low rank for a text-to-picture model

They stand on the base model of SHA-256 `{sha256}` (of the lines `file digest` of its files; its folder was
`{folder}`), and give nothing of use on another:

{files}

| | |
|---|---|
| rank, alpha | {rank}, {alpha} |
| layers | {targets} |
| trained | {steps} steps, seed {seed}, {precision}; the state of step {kept} is kept |
| predicts | {predicts} |

```python
pipe = StableDiffusionPipeline.from_pretrained("{folder}", local_files_only=True)
pipe.load_lora_weights("this folder")
```

Pictures that are generated with them must be marked as such. The licence of the base model, and the rights of those
who made the pictures that were trained on, go on.
"""


def save_lora(unet, folder: Path, sha256: str) -> None:
    """Write the adapters of a denoising network, with the SHA-256 of the base model in the file's metadata."""
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import get_peft_model_state_dict

    adapters = unet.peft_config["default"]
    tensors = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=tensors,
        unet_lora_adapter_metadata=adapters.to_dict(),
    )
    with safe_open(folder / FILE, "pt") as file:
        metadata, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, folder / FILE, metadata | {"base_model_sha256": sha256})


def card(sidecar: dict, base: BaseModel) -> str:
    """Return the card of adapters, in Markdown.

    Args:
        sidecar: of their checkpoint.
        base: the model that they stand on.
    """
    config = sidecar["config"]["adapters"]
    return CARD.format(
        sha256=base.sha256,
        folder=base.folder,
        files="\n".join(f"- `{name}`: `{digest}`" for name, digest in sorted(base.files.items())),
        rank=config["rank"],
        alpha=config["rank"] if config["alpha"] is None else config["alpha"],
        targets=", ".join(config["targets"]),
        steps=sidecar["steps"],
        seed=sidecar["seed"],
        precision=sidecar["precision"],
        kept=sidecar["kept"]["step"],
        predicts=config["predicts"],
    )
