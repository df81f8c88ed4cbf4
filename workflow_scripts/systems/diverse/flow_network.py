"""The network of `flow`: which pictures can fill the hole, sampled by flow matching."""

import torch
from torch import Tensor

from workflow_scripts.models.flow_matching import DATA_SIGMA, follow_flow, scales
from workflow_scripts.models.flow_unet import FlowUNet
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.config import FlowNetwork


class FlowCompleter(Completer):
    """It sees the hole's noisy content in the picture around it, the hole, and the drawing of the keypoints."""

    def __init__(self, config: FlowNetwork):
        super().__init__()
        self.steps, self.guidance = config.steps, config.guidance
        shape = config.unet
        self.unet = FlowUNet(
            inputs=7,
            outputs=3,
            channels=shape.channels,
            blocks=shape.blocks,
            attention=shape.attention,
            dropout=shape.dropout,
            numbers=2,
        )

    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of a picture: noise of every pixel and channel."""
        return (3, size, size)

    def forward(
        self, place: Tensor, times: Tensor, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor
    ) -> Tensor:
        """Return what the network's output stands for, of unit variance in the hole; `expected` makes a picture of it.

        Args:
            place: places on paths, (N, 3, S, S).
            times: (N, 1, 1, 1) in 0..1.
            holed: as in `Completer.complete`, as are `hole` and `uncertainty`.
            guide: as there; 0 everywhere where the keypoints are not told.
        """
        shown = torch.where(hole > 0, place * scales(times)[0], holed / DATA_SIGMA)
        return self.unet(torch.cat([shown, hole, guide], dim=1), times.flatten(), uncertainty.flatten())

    def expected(self, place: Tensor, times: Tensor, *seen: Tensor) -> Tensor:
        """Return the pictures that places lead to on average, (N, 3, S, S); `seen` as in `forward`."""
        _, skip, out = scales(times)
        return skip * place + out * self(place, times, *seen)

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return the completions that the noise leads to.

        With a guidance g other than 0 and 1, the expected picture is u + g (k - u), k with keypoints, u without them
        (Ho & Salimans 2022).
        """

        def predict(place: Tensor, time: float) -> Tensor:
            times = torch.full((len(place), 1, 1, 1), time, device=place.device)
            if self.guidance == 1:
                return self.expected(place, times, holed, hole, guide, uncertainty)
            blind = self.expected(place, times, holed, hole, torch.zeros_like(guide), uncertainty)
            if self.guidance == 0:
                return blind
            return blind + self.guidance * (self.expected(place, times, holed, hole, guide, uncertainty) - blind)

        return follow_flow(predict, latent, self.steps).clamp(-1, 1)
