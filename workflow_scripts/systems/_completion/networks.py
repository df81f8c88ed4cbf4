"""What every network that completes faces has in common, whatever its method."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.faces.landmark_groups import COUNT
from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._completion.config import KeypointNetwork

CELL = 4  # pixels; side of the cells on which landmarks are looked for
START = -4.0  # logarithm of a landmark's standard deviation, over the side, before anything is learned


class Completer(nn.Module, ABC):
    """A network that fills a hole in many ways, each made of one draw of random numbers.

    Attributes:
        guided: whether it looks at keypoints, so that a user can move them.
    """

    guided: bool = True

    @abstractmethod
    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of one draw of standard normal numbers, for pictures of `size` pixels.

        The product with the diversity knob is given to `complete`; an empty shape says that nothing is drawn, and that
        there is only one completion.
        """

    @abstractmethod
    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return one completion of each picture, of which only what lies in the hole is used.

        Args:
            holed: (N, 3, S, S) in -1..1, 0 in the hole.
            hole: (N, 1, S, S), 1 in the hole and 0 outside.
            guide: drawings of the keypoints, (N, 3, S, S) in -1..1, see `faces/drawings.py`.
            uncertainty: (N, 1, 1, 1), mean standard deviation of the keypoints in the hole, as a fraction of the
                side; 0 where they are known or asked for.
            latent: (N, *latent_shape(S)), the random numbers.

        Returns:
            float32 (N, 3, S, S) in -1..1.
        """


class KeypointFinder(nn.Module):
    """Finds the 68 landmarks of a face with a hole, and says how sure it is of each.

    A U-Net on a coarse grid gives two maps for each landmark: where it may be, whose softmax is a distribution over the
    cells, and how far off it may be. The landmark is the distribution's mean, so it lies between the cells (integral
    regression, Sun et al., ECCV 2018), and the logarithm of its standard deviation is the second map's mean over it.

    Args:
        config: the shape.
    """

    def __init__(self, config: KeypointNetwork):
        super().__init__()
        self.unet = UNet(config.unet, inputs=4 * CELL**2, outputs=2 * COUNT)

    def forward(self, holed: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Find the landmarks.

        Args:
            holed: (N, 3, S, S) in -1..1, 0 in the hole.
            hole: (N, 1, S, S), 1 in the hole and 0 outside.

        Returns:
            float32 (N, 68, 2), x and y in pixels, and float32 (N, 68), the standard deviation of each coordinate of a
            landmark in pixels.
        """
        size = holed.shape[-1]
        cells = F.pixel_unshuffle(torch.cat([holed, hole], dim=1), CELL)
        places, spreads = self.unet(cells).flatten(2).chunk(2, dim=1)  # (N, 68, cells) each
        side = size // CELL
        centre = (torch.arange(side, device=holed.device) + 0.5) * CELL - 0.5
        grid = torch.stack([centre.repeat(side), centre.repeat_interleave(side)], dim=-1)  # (cells, 2), x and y
        with torch.autocast(holed.device.type, enabled=False):  # the 8 bits of bf16 would round to half pixels
            likely = places.softmax(dim=-1)
            return likely @ grid, size * torch.exp((likely * spreads).sum(dim=-1) + START)
