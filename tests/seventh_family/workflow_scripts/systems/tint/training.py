"""How the network of `tint` learns."""

import torch.nn.functional as F
from torch import nn

from workflow_scripts.systems.tint.networks import build_network
from workflow_scripts.training.losses import psnr
from workflow_scripts.training.system import Score, System, Update


def build_system(network, experiment, weights) -> System:
    """Return what the training loop needs."""
    return PaintTraining(build_network(network, experiment))


class PaintTraining(System):
    """The mean absolute difference."""

    saved = "paint"
    judged_by = Score("psnr", higher_is_better=True)
    columns = {"input": "tiles", "target": "tiles"}  # noqa: RUF012

    def __init__(self, module: nn.Module):
        self.networks = nn.ModuleDict({"paint": module})

    def training_step(self, batch, course):
        """Yield the one update."""
        yield Update("paint", F.l1_loss(self.networks["paint"](batch["input"]), batch["target"]))

    def validate(self, network, batch):
        """Return the PSNR of each item."""
        return {"psnr": psnr(network(batch["input"]), batch["target"])}

    def preview(self, network, batch):
        """Return input, output, truth."""
        return [batch["input"], network(batch["input"]), batch["target"]]
