"""The network that finds an occluder, and one that samples what is below it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workflow_scripts.models.flow_matching import follow_flow
from workflow_scripts.models.hole_flow import HoleFlow, Start
from workflow_scripts.models.unet import UNet
from workflow_scripts.systems._removal.config import MapNetwork, Painter, RemovalExperiment

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in OpenCV


class MapModule(nn.Module):
    """Where is the occluder? It returns logits; their sigmoid is the probability."""

    def __init__(self, config: MapNetwork):
        super().__init__()
        self.grey = config.channels == "grey"
        self.mirror = config.mirror
        self.unet = UNet(config.unet, inputs=1 if self.grey else 3, outputs=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in -1..1 to logits float32 (N, 1, S, S)."""
        if self.grey:
            pictures = torch.einsum("nchw,c->nhw", pictures, pictures.new_tensor(LUMA))[:, None]
        return answer(self.unet, pictures, self.mirror and not self.training)


def answer(network: nn.Module, pictures: Tensor, mirror: bool) -> Tensor:
    """Return what a network answers, or the mean of that and of its answer to the mirror images."""
    found = network(pictures)
    return (found + network(pictures.flip(-1)).flip(-1)) / 2 if mirror else found


class SamplingModule(HoleFlow):
    """What could the face look like below the occluder?

    A painter that answers with what lies between all possible faces, and a flow from there to one of them (posterior
    mean rectified flow, Ohayon et al. 2025).

    Args:
        config: of the editing network.
        painter: maps filled pictures and maps to pictures, as the editing network does without `sampling`.
    """

    def __init__(self, config: Painter, painter: nn.Module):
        super().__init__(config.sampling, guides=0)
        self.painter, self.fill, self.border = painter, config.fill, config.border

    def start(self, painted: Tensor, filled: Tensor, maps: Tensor) -> Start:
        """Return where the flow begins, at the painter's picture.

        Args:
            painted: the painter's answer, RGB (N, 3, S, S) in -1..1.
            filled: what it was shown, (N, 3, S, S) in -1..1.
            maps: (N, 1, S, S) in 0..1.
        """
        return self.begin(filled + (painted - filled) * maps, maps, filled[:, :0])

    def begin_edit(self, filled: Tensor, maps: Tensor) -> tuple[Tensor, Start]:
        """Return the painter's answer to filled pictures and maps, and where the flow begins there; see `start`."""
        painted = self.painter(filled, maps)
        return painted, self.start(painted, filled, maps)

    def sample(self, painted: Tensor, start: Start, latent: Tensor) -> Tensor:
        """Return the pictures, RGB float32 (N, 3, S, S) in -1..1, that random numbers (N, *latent_shape(S)) lead to."""

        def predict(place: Tensor, time: float) -> Tensor:
            return self(place, torch.full((place.shape[0], 1, 1, 1), time, device=place.device), start)

        return self.finish(painted, start, follow_flow(predict, latent, self.steps))

    def finish(self, painted: Tensor, start: Start, values: Tensor) -> Tensor:
        """Return the pictures of the flow's values (N, 3, C, C); beyond the map they are the painter's."""
        return painted + (self.paint(values, start) - painted) * start.hole


def build_removal_network(
    network: str, experiment: RemovalExperiment, painter: Callable[[Painter], nn.Module]
) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds.

    Args:
        network: `map` or `edit`.
        experiment: its configuration.
        painter: makes the editing network; one that samples has it inside.
    """
    if network == "map":
        return MapModule(experiment.map)
    module = painter(experiment.edit)
    return module if experiment.edit.sampling is None else SamplingModule(experiment.edit, module)
