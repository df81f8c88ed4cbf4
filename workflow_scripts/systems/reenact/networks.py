"""The network of `reenact`: from the drawing of a face's parts to the face."""

import torch
from torch import Tensor, nn

from workflow_scripts.models.pix2pix import Pix2PixGenerator
from workflow_scripts.systems.reenact.config import Experiment, RenderNetwork


class RenderModule(nn.Module):
    """Which face does the drawing stand for? With `temporal`, the frame before tells how it looked a moment ago."""

    def __init__(self, config: RenderNetwork):
        super().__init__()
        self.temporal = config.temporal
        self.generator = Pix2PixGenerator(
            inputs=6 if self.temporal else 3,
            outputs=3,
            halvings=config.halvings,
            channels=config.channels,
            max_channels=config.max_channels,
            up=config.up,
            dropout=config.dropout,
            variant=config.variant,
        )

    def forward(self, drawings: Tensor, before: Tensor | None = None) -> Tensor:
        """Return the faces.

        Args:
            drawings: (N, 3, S, S) in -1..1.
            before: the frames before, (N, 3, S, S) in -1..1; one that is -1 everywhere, as None, says that there is
                none. Without `temporal` it is ignored.

        Returns:
            RGB float32 (N, 3, S, S) in -1..1.
        """
        if not self.temporal:
            return self.generator(drawings)
        before = torch.full_like(drawings, -1) if before is None else before
        return self.generator(torch.cat([drawings, before], dim=1))


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds: there is one, `render`."""
    return RenderModule(getattr(experiment, network))
