"""The network of `tint`."""

from torch import Tensor, nn


class PaintModule(nn.Module):
    """One convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, width, padding="same")

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (N, 3, S, S) in -1..1 to the same."""
        return self.convolution(pictures).tanh()


def build_network(network: str, experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds."""
    return PaintModule(experiment.paint.width)
