"""The network of `reenact`: from the drawing of a face's parts to the face."""

import torch
from torch import Tensor, nn

from workflow_scripts.models.pix2pix import Pix2PixGenerator
from workflow_scripts.models.warping import nearness, warp_faces
from workflow_scripts.systems.reenact.config import Experiment, RenderNetwork
from workflow_scripts.training.data import pictures_to_bytes, pictures_to_float

DECIDEDNESS = 8.0  # factor of the outputs, within -1..1, whose softmax says which reference is shown
CORRECTION = 2.0  # factor of what is added to references, so that any colour can become any other


class RenderModule(nn.Module):
    """Which face does the drawing stand for?

    With `temporal`, the frame before tells how it looked a moment ago. With `references`, the network holds frames of
    the person, which are warped onto the landmarks that are drawn. It tells for each pixel how they are mixed, and what
    it paints is added to that.
    """

    def __init__(self, config: RenderNetwork):
        super().__init__()
        self.temporal = config.temporal
        self.references = References() if config.references else None
        self.generator = Pix2PixGenerator(
            inputs=3 * (1 + self.temporal + config.references),
            outputs=3 + config.references,
            halvings=config.halvings,
            channels=config.channels,
            max_channels=config.max_channels,
            up=config.up,
            dropout=config.dropout,
            variant=config.variant,
        )

    def forward(self, drawings: Tensor, before: Tensor | None = None, recalled: Tensor | None = None) -> Tensor:
        """Return the faces.

        Args:
            drawings: (N, 3, S, S) in -1..1.
            before: the frames before, (N, 3, S, S) in -1..1; one that is -1 everywhere, as None, says that there is
                none. Without `temporal` it is ignored.
            recalled: as `recall` returns it for the landmarks that are drawn; None without references.

        Returns:
            RGB float32 (N, 3, S, S) in -1..1.
        """
        shown = [drawings]
        if self.temporal:
            shown.append(torch.full_like(drawings, -1) if before is None else before)
        if self.references is None:
            return self.generator(torch.cat(shown, dim=1))
        made = self.generator(torch.cat([*shown, recalled], dim=1))
        pictures = recalled.unflatten(1, (-1, 3))
        weights = (DECIDEDNESS * made[:, 3:]).softmax(dim=1)
        return (weights[:, :, None] * pictures).sum(dim=1) + CORRECTION * made[:, :3]

    @torch.no_grad()
    def recall(self, landmarks: Tensor) -> Tensor | None:
        """Return the references warped onto landmarks (N, 68, 2), in pixels: (N, 3 R, S, S) in -1..1."""
        return None if self.references is None else self.references.warped(landmarks)


class References(nn.Module):
    """Frames of the person with their landmarks; they are learned, and so a checkpoint holds them.

    Attributes:
        pictures: RGB uint8 (R, S, S, 3); empty until they are learned or loaded.
        landmarks: float32 (R, 68, 2), in pixels.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("pictures", torch.empty(0, dtype=torch.uint8))
        self.register_buffer("landmarks", torch.empty(0))

    def hold(self, pictures: Tensor, landmarks: Tensor) -> None:
        """Keep pictures (R, 3, S, S) in -1..1, and their landmarks (R, 68, 2)."""
        self.pictures, self.landmarks = pictures_to_bytes(pictures).contiguous(), landmarks.clone()

    def warped(self, landmarks: Tensor) -> Tensor:
        """Return all pictures warped onto each of N sets of landmarks (N, 68, 2): (N, 3 R, S, S) in -1..1.

        Beyond the face they fade to grey, since hair and background do not lie where landmarks say.
        """
        side = self.pictures.shape[1]
        faces = warp_faces(pictures_to_float(self.pictures), self.landmarks, landmarks).flatten(1, 2)
        return faces * nearness(landmarks, side)

    def _load_from_state_dict(self, tensors: dict, prefix: str, *others) -> None:
        """Take the sizes of what is loaded."""
        for name, held in self.named_buffers():
            if (value := tensors.get(f"{prefix}{name}")) is not None and not held.numel():
                setattr(self, name, torch.empty_like(value, device=held.device))
        super()._load_from_state_dict(tensors, prefix, *others)


def choose_references(landmarks: Tensor, count: int) -> list[int]:
    """Return the numbers of frames that stand for all, chosen one by one: each leaves the least distance to the others.

    The distance of two frames is the mean one of their landmarks, moved and scaled onto each other. What is summed is
    that of each frame to the nearest chosen one, so a single odd frame is hardly chosen.

    Args:
        landmarks: float (n, P, 2).
        count: how many; with fewer frames, some are chosen again.
    """
    shapes = landmarks - landmarks.mean(1, keepdim=True)
    shapes = shapes / shapes.square().mean((1, 2), keepdim=True).sqrt()
    distances = torch.stack([(shapes - shape).norm(dim=2).mean(1) for shape in shapes])
    left, chosen = torch.full_like(distances[0], torch.inf), []
    for _ in range(count):
        chosen.append(int(torch.minimum(left, distances).sum(1).argmin()))
        left = torch.minimum(left, distances[chosen[-1]])
    return chosen


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds: there is one, `render`."""
    return RenderModule(getattr(experiment, network))
