"""The network of `flow`: which pictures can fill the hole, sampled by flow matching."""

import torch
from torch import Tensor

from workflow_scripts.models.flow_matching import follow_flow, scales
from workflow_scripts.models.flow_unet import FlowUNet
from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.config import FlowNetwork

SIGMA = 0.33  # standard deviation, in faces, of what differs in a hole from the continued colours around it


class FlowCompleter(Completer):
    """It says what must be added, in the hole, to the colours around it, as a flow from noise to pictures.

    Such a flow begins near the picture (data-dependent coupling, Albergo et al. 2023): it has less far to go than one
    that begins at noise with the variance of whole pictures, and fewer steps suffice.
    """

    def __init__(self, config: FlowNetwork):
        super().__init__()
        self.steps, self.guidance = config.steps, config.guidance
        shape = config.unet
        self.unet = FlowUNet(
            inputs=10,
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
        self, place: Tensor, times: Tensor, filled: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor
    ) -> Tensor:
        """Return what the network's output stands for, of unit variance in the hole; `expected` makes values of it.

        Args:
            place: places on paths, (N, 3, S, S).
            times: (N, 1, 1, 1) in 0..1.
            filled: the picture with continued colours in the hole, (N, 3, S, S) in -1..1.
            hole: (N, 1, S, S), 1 in the hole and 0 outside.
            guide: as in `Completer.complete`; 0 everywhere where the keypoints are not told.
            uncertainty: as there.
        """
        seen = torch.cat([place * scales(times)[0] * hole, filled, hole, guide], dim=1)
        return self.unet(seen, times.flatten(), uncertainty.flatten())

    def expected(self, place: Tensor, times: Tensor, *seen: Tensor) -> Tensor:
        """Return the values that places lead to on average, (N, 3, S, S); `seen` as in `forward`."""
        _, skip, out = scales(times)
        return skip * place + out * self(place, times, *seen)

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return the completions that the noise leads to.

        With a guidance g other than 0 and 1, the expected values are u + g (k - u), k with keypoints, u without them
        (Ho & Salimans 2022).
        """
        filled = continue_colours(holed, 1 - hole)
        unguided = torch.zeros_like(guide)

        def predict(place: Tensor, time: float) -> Tensor:
            times = torch.full((len(place), 1, 1, 1), time, device=place.device)
            if self.guidance == 1:
                return self.expected(place, times, filled, hole, guide, uncertainty)
            blind = self.expected(place, times, filled, hole, unguided, uncertainty)
            if self.guidance == 0:
                return blind
            told = self.expected(place, times, filled, hole, guide, uncertainty)
            return blind + self.guidance * (told - blind)

        return (filled + SIGMA * follow_flow(predict, latent, self.steps)).clamp(-1, 1)
