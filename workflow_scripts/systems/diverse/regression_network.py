"""The network of `regression`, whose only completion is the mean of all."""

import torch
from torch import Tensor

from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.config import RegressionNetwork


class RegressionCompleter(Completer):
    """A U-Net that says what must be added to the colours around the hole; it sees them, the hole and the guide."""

    def __init__(self, config: RegressionNetwork):
        super().__init__()
        self.unet = UNet(config.unet, inputs=7, outputs=3)

    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the empty shape: there is nothing to draw."""
        return ()

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return the one completion; see `Completer.complete`."""
        filled = continue_colours(holed, 1 - hole)
        return filled + self.unet(torch.cat([filled, hole, guide], dim=1))
