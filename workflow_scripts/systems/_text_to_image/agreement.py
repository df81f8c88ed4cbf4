"""How well pictures agree with words, where the user has a CLIP (Radford et al. 2021)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from workflow_scripts.systems._text_to_image.base_model import LOCAL, OFFLINE, reading_part

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's inputs


def agreements(
    clip: str | None, prompts: Sequence[str], painted: Sequence[tuple[np.ndarray, np.ndarray]], device: torch.device
) -> list[dict[str, float]]:
    """Return for each prompt the cosine of its features and those of its two pictures; nothing without a CLIP.

    Args:
        clip: a folder in the layout of transformers.
        prompts: the words.
        painted: for each prompt, RGB uint8 (S, S, 3) twice: `agreement` is of the first, `base_agreement` the second.
        device: where CLIP runs.

    Raises:
        UserError: the CLIP cannot be used.
    """
    if clip is None:
        return []
    from transformers import CLIPModel, CLIPTokenizer

    with reading_part(f"evaluation.clip: {clip}", "put a CLIP there, or leave the key out"):
        tokenizer = CLIPTokenizer.from_pretrained(Path(clip), **OFFLINE)
        network = CLIPModel.from_pretrained(Path(clip), **LOCAL).eval().to(device)
    side = network.config.vision_config.image_size
    mean, deviation = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, DEVIATION))
    found = []
    with torch.inference_mode():
        for prompt, pair in zip(prompts, painted, strict=True):
            tokens = tokenizer(prompt, truncation=True, return_tensors="pt").to(device)
            pixels = torch.from_numpy(np.stack(pair)).to(device).permute(0, 3, 1, 2).float() / 255
            pixels = F.interpolate(pixels, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
            out = network(**tokens, pixel_values=(pixels - mean) / deviation)
            cosines = F.cosine_similarity(out.image_embeds, out.text_embeds)
            found.append(dict(zip(("agreement", "base_agreement"), cosines.tolist(), strict=True)))
    return found
