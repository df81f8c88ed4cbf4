"""The network of `flow`: which pictures can fill the hole, sampled by flow matching."""

import math

import torch
from torch import Tensor

from workflow_scripts.models.flow_matching import follow_flow, input_scale
from workflow_scripts.models.flow_unet import FlowUNet
from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.config import FlowNetwork

SIGMA = 0.33  # standard deviation, in faces, of what differs in a hole from the continued colours around it
SPREADS = (0.02, 1.0)  # limits of the standard deviation that completions may have
# Brightness, red against green, yellow against blue: rows of length 1 at right angles. Faces differ much less in
# colours than in brightness; noise of equal parts in red, green and blue does not.
AXES = [[3**-0.5] * 3, [2**-0.5, -(2**-0.5), 0.0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]]


class FlowCompleter(Completer):
    """It says how completions differ from their mean, as a flow from noise to pictures.

    One network paints the mean of all completions and says how far they spread at each pixel. The other one is a flow
    in units of this spread, which begins at the mean (data-dependent coupling, Albergo et al. 2023): it is not busy
    with what all completions have in common, is calm at the border of the hole, and needs few steps. Without noise
    the completion is the mean.
    """

    def __init__(self, config: FlowNetwork):
        super().__init__()
        self.steps, self.guidance = config.steps, config.guidance
        shape = config.unet
        self.register_buffer("axes", torch.tensor(AXES), persistent=False)
        self.mean = UNet(config.mean, inputs=7, outputs=6)
        self.unet = FlowUNet(
            inputs=13,
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

    def begin(self, holed: Tensor, hole: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of all completions and their spread.

        Args:
            holed: as in `Completer.complete`.
            hole: as there.
            guide: as there; 0 everywhere where the keypoints are not told.

        Returns:
            Float32 (N, 3, S, S), the picture in -1..1 with the mean in its hole; float32 (N, 3, S, S), the standard
            deviations along `AXES`.
        """
        filled = continue_colours(holed, 1 - hole)
        found = self.mean(torch.cat([filled, hole, guide], dim=1)).float()
        spread = torch.exp(found[:, 3:] + math.log(SIGMA)).clamp(*SPREADS)
        return filled + found[:, :3] * hole, spread

    def forward(
        self,
        place: Tensor,
        times: Tensor,
        mean: Tensor,
        spread: Tensor,
        hole: Tensor,
        guide: Tensor,
        uncertainty: Tensor,
    ) -> Tensor:
        """Return the values that places on paths lead to on average, (N, 3, S, S), of unit variance in the hole.

        Args:
            place: (N, 3, S, S).
            times: (N, 1, 1, 1) in 0..1.
            mean: as `begin` returns it.
            spread: as `begin` returns it.
            hole: (N, 1, S, S), 1 in the hole and 0 outside.
            guide: as in `Completer.complete`; 0 everywhere where the keypoints are not told.
            uncertainty: as there.
        """
        seen = torch.cat([place * input_scale(times) * hole, mean, spread * hole, hole, guide], dim=1)
        return self.unet(seen, times.flatten(), uncertainty.flatten())

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return the completions that the noise leads to.

        With a guidance g other than 0 and 1, the expected values are u + g (k - u), k with keypoints, u without them
        (Ho & Salimans 2022).
        """
        unguided = torch.zeros_like(guide)
        mean, spread = self.begin(holed, hole, guide if self.guidance else unguided)

        def predict(place: Tensor, time: float) -> Tensor:
            times = torch.full((place.shape[0], 1, 1, 1), time, device=place.device)
            if self.guidance == 1:
                return self(place, times, mean, spread, hole, guide, uncertainty)
            blind = self(place, times, mean, spread, hole, unguided, uncertainty)
            if self.guidance == 0:
                return blind
            told = self(place, times, mean, spread, hole, guide, uncertainty)
            return blind + self.guidance * (told - blind)

        return self.to_picture(follow_flow(predict, latent, self.steps), mean, spread).clamp(-1, 1)

    def to_values(self, pictures: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """Return what pictures have beside the mean, along `AXES` and in units of the spread, (N, 3, S, S)."""
        return torch.einsum("ac,nchw->nahw", self.axes, pictures - mean) / spread

    def to_picture(self, values: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """Return the pictures of such values."""
        return mean + torch.einsum("ac,nahw->nchw", self.axes, values * spread)
