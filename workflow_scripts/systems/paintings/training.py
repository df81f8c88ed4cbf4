"""How adapters learn: to tell the noise on the latents of training pictures, given the embeddings of their captions."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.config.training import Training
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.systems._text_to_image.base_model import read_base
from workflow_scripts.systems._text_to_image.diffusion import Diffusion
from workflow_scripts.systems.paintings.config import Experiment
from workflow_scripts.systems.paintings.networks import build_network
from workflow_scripts.training.data import Batch, Key
from workflow_scripts.training.system import Score, System, Update

SHOWN = 8  # pixels for each value of latents in previews


def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> System:
    """Return what the training loop needs; `weights` has the description of the base model."""
    return AdapterTraining(experiment, weights[experiment.base.name])


class AdapterTraining(System):
    """Adapters, trained on latents and embeddings that were made before, so that nothing else is in memory."""

    saved = "adapters"
    judged_by = Score("loss", higher_is_better=False)
    columns = {"mean": "latents", "deviation": "latents", "embeddings": "captions"}  # noqa: RUF012
    keeps_items = False  # a step takes long beside reading its items, and memory is what is short

    def __init__(self, experiment: Experiment, description: Path):
        base = read_base(description)
        self.bases = {"unet": base.unet}
        self.networks = nn.ModuleDict({"adapters": build_network("adapters", experiment, self.bases)})
        self._diffusion = Diffusion(base, experiment.adapters.predicts, experiment.adapters.min_snr)
        self._dropout, self._scaling, self._empty = experiment.adapters.caption_dropout, base.scaling, base.empty

    def to_tensors(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return mean and deviation of latents as they are, embeddings as float32."""
        return {name: x.float() for name, x in columns.items()}

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Choose one of each item's captions, or the empty one; see `System.augment`."""
        embeddings = batch["embeddings"]
        draws = np.stack([item_rng(seed, str(key), f"caption {epoch}").random(2) for key in keys])
        chosen = torch.as_tensor((draws[:, 0] * embeddings.shape[1]).astype(np.int64), device=embeddings.device)
        words = embeddings[torch.arange(len(keys), device=embeddings.device), chosen]
        dropped = torch.as_tensor(draws[:, 1] < self._dropout, device=embeddings.device)[:, None, None]
        return {**batch, "embeddings": torch.where(dropped, self._empty.to(words), words)[:, None]}

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update of a step."""
        mean = batch["mean"]
        latents = (mean + batch["deviation"] * torch.randn_like(mean)) * self._scaling
        times = torch.randint(self._diffusion.times, (len(mean),), device=mean.device)
        network, words = self.networks["adapters"], batch["embeddings"][:, 0]
        errors = self._diffusion.errors(network, latents, words, times, torch.randn_like(mean))
        yield Update("adapters", (errors * self._diffusion.weights(times)).mean())

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the error of each item with its first caption, with adapters and without."""
        latents, words = batch["mean"] * self._scaling, batch["embeddings"][:, 0]
        return {
            "loss": self._diffusion.judge(network, latents, words),
            "loss of the base": self._diffusion.judge(network.base, latents, words),
        }

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return three channels of latents in false colours: with noise, cleaned by the network, and true."""
        latents, words = batch["mean"] * self._scaling, batch["embeddings"][:, 0]
        noisy, cleaned = self._diffusion.clean(network, latents, words, self._diffusion.times // 2)
        return [F.interpolate(x[:, :3].clamp(-2, 2) / 2, scale_factor=SHOWN) for x in (noisy, cleaned, latents)]
