"""A training of adapters by the command line of `train_network`, whose steps are timed and whose peaks are written.

    python -m benchmarks.timed_training OUTPUT [--words CAPTIONS] [--encoders fp32] [--limit-gb 8] --training …

With `--words` it is the same training without the cache: the encoders are in memory, and encode each part of a batch
before it is learned from. OUTPUT is JSON: `times` at which the steps began; in bytes `libraries`, the RAM before the
training, and the peaks `ram` and, on a GPU, `device` (of tensors) and `reserved`.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.records import peak_memory
from workflow_scripts.stages.experiments import train_network
from workflow_scripts.systems._text_to_image.base_model import TYPES
from workflow_scripts.systems._text_to_image.live_memory import CONTEXT
from workflow_scripts.systems.paintings import training
from workflow_scripts.systems.paintings.config import Experiment
from workflow_scripts.training.data import pictures_to_float


class Timed(training.AdapterTraining):
    """The usual training, which notes when steps begin."""

    def __init__(self, experiment: Experiment, description: Path):
        super().__init__(experiment, description)
        self.times: list[float] = []

    def course(self, step: int, progress: float) -> None:
        """Note the time; all steps are alike."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


class NotCached(Timed):
    """The training with the encoders in memory.

    Args:
        words: table of captions.
        kind: type of the encoders.
    """

    columns = {"image": "latents", "embeddings": "captions"}  # noqa: RUF012

    def __init__(self, experiment: Experiment, description: Path, words: Path, kind: str):
        super().__init__(experiment, description)
        folder, options = Path(experiment.base.folder), {"torch_dtype": TYPES[kind]}
        self._vae = AutoencoderKL.from_pretrained(folder / "vae", **options).requires_grad_(False).eval()
        self._text = CLIPTextModel.from_pretrained(folder / "text_encoder", **options).requires_grad_(False).eval()
        tokenizer, captions = CLIPTokenizer.from_pretrained(folder / "tokenizer"), read_table(words)
        padded = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
        tokens = tokenizer(list(captions["caption"]), **padded, return_tensors="pt").input_ids
        self._tokens = dict(zip(captions["item"], tokens, strict=True))

    def to(self, device: torch.device, layout: torch.memory_format) -> None:
        """Move the encoders too."""
        super().to(device, layout)
        self._vae.to(device=device, memory_format=layout)
        self._text.to(device)

    def to_tensors(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return pictures alone."""
        return {"image": pictures_to_float(columns["image"])}

    def augment(self, batch: Mapping[str, Tensor], keys: Sequence, *_) -> dict[str, Tensor]:
        """Add the tokens of the captions."""
        tokens = torch.stack([self._tokens[key.item] for key in keys])
        return {**batch, "tokens": tokens.to(batch["image"].device)}

    def training_step(self, batch: Mapping[str, Tensor], course: None) -> Iterator:
        """Encode, and do as usual."""
        with torch.no_grad():
            found = self._vae.encode(batch["image"].to(self._vae.dtype)).latent_dist
            words = self._text(batch["tokens"])[0][:, None].float()
        latents = {"mean": found.mean.float(), "deviation": found.std.float()}
        yield from super().training_step(latents | {"embeddings": words}, course)


def main() -> None:
    """Train, and write the peaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--words", type=Path, help="table of captions, for a training without the cache")
    parser.add_argument("--encoders", choices=[*TYPES], default="fp32")
    parser.add_argument("--limit-gb", type=float, default=8, help="of a GPU's memory")
    parser.add_argument("--training", nargs=argparse.REMAINDER, required=True)
    args = parser.parse_args()
    on_gpu, built = torch.cuda.is_available(), []
    if on_gpu:
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (args.limit_gb * 1e9 - CONTEXT) / whole))

    def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> Timed:
        description = weights[experiment.base.name]
        given = (experiment, description)
        built.append(NotCached(*given, args.words, args.encoders) if args.words else Timed(*given))
        return built[0]

    training.build_system = build_system
    libraries = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        train_network.main(args.training)
    finally:  # also of a training that was told to stop
        found = {"libraries": libraries, "times": built[0].times if built else []} | peak_memory()
        if on_gpu:
            found["reserved"] = torch.cuda.max_memory_reserved()
        args.output.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
