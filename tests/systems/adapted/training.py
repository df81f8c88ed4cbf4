import numpy as np
import torch
import torch.nn.functional as F

from workflow_scripts.core.randomness import item_rng
from workflow_scripts.training.system import Score, System, Update

from .networks import build_network


def build_system(network, experiment, weights):
    return AdaptedTraining(build_network(network, experiment, weights), weights)


class AdaptedTraining(System):
    saved = "layer"
    judged_by = Score("error", higher_is_better=False)
    columns = {"latent": "latents", "wanted": "latents"}  # noqa: RUF012

    def __init__(self, layer, bases):
        self.networks = torch.nn.ModuleDict({"layer": layer})
        self.bases = bases

    def optimizer(self, name, parameters, settings):
        down, up = parameters
        rate = settings.learning_rate
        return torch.optim.AdamW([{"params": [down]}, {"params": [up], "lr": 2 * rate}], rate, weight_decay=0.01)

    def augment(self, batch, keys, seed, epoch, settings):
        noise = [item_rng(seed, str(key), f"noise {epoch}").normal(0, 0.01, batch["latent"].shape[1]) for key in keys]
        return batch | {"latent": batch["latent"] + torch.from_numpy(np.float32(noise))}

    def training_step(self, batch, course):
        yield Update("layer", F.mse_loss(self.networks["layer"](batch["latent"]), batch["wanted"]))

    def validate(self, network, batch):
        return {"error": (network(batch["latent"]) - batch["wanted"]).square().mean(1)}

    def preview(self, network, batch):
        raise AssertionError("there is nothing to draw of latents: `preview_items: 0`")
