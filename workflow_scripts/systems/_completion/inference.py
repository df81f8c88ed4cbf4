"""The trained networks, applied in evaluation mode, in fp32: the same picture and seed give the same result."""

import numpy as np
import torch
from torch import Tensor, nn

from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.systems._completion.guides import Guide
from workflow_scripts.systems._completion.networks import Completer, KeypointFinder
from workflow_scripts.training.data import maps_to_float, on_device, pictures_to_float, pictures_to_uint8


@torch.inference_mode()
def find_keypoints(network: KeypointFinder, image: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the landmarks of a face with a hole, float32 (68, 2), and how sure they are, float32 (68,), in pixels.

    Args:
        network: in evaluation mode.
        image: RGB uint8 (S, S, 3); what lies in the hole is not looked at.
        hole: bool (S, S).

    Returns:
        x and y of each landmark, and the standard deviation of both.
    """
    points, spread = network(*_seen(network, image, hole))
    return points[0].cpu().numpy(), spread[0].cpu().numpy()


def draw_latents(seed: int, name: str, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the random numbers of the completions of one hole, float32 (count, *shape), standard normal.

    Args:
        seed: of the configuration.
        name: of the picture and its hole.
        count: completions; the first ones are the same whatever their number.
        shape: of one draw.
    """
    rngs = (np.random.default_rng(stable_hash(seed, name, "completion", number)) for number in range(count))
    return np.stack([rng.standard_normal(shape, np.float32) for rng in rngs])


@torch.inference_mode()
def complete_picture(
    network: Completer,
    image: np.ndarray,
    hole: np.ndarray,
    guide: Guide,
    latents: np.ndarray,
) -> np.ndarray:
    """Return completions of one picture, uint8 (n, S, S, 3), which outside the hole are the picture to the bit.

    Args:
        network: in evaluation mode.
        image: RGB uint8 (S, S, 3); what lies in the hole is not looked at.
        hole: bool (S, S).
        guide: the keypoints that guide the completions.
        latents: float32 (n, *network.latent_shape(S)).
    """
    count, size = len(latents), len(image)
    holed, cover = _seen(network, image, hole)
    drawing = pictures_to_float(on_device(network, draw_face(guide.landmarks, size)[None]))
    unsure = torch.full((1, 1, 1, 1), guide.uncertainty, device=holed.device)
    seen = (x.expand(count, -1, -1, -1) for x in (holed, cover, drawing, unsure))
    painted = pictures_to_uint8(network.complete(*seen, on_device(network, latents)))
    return np.where(hole[..., None], painted, image)


def _seen(network: nn.Module, image: np.ndarray, hole: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return what is left of a picture, (1, 3, S, S) in -1..1 and 0 in the hole, and the hole, (1, 1, S, S), 0 or 1."""
    cover = maps_to_float(on_device(network, hole[None].astype(np.uint8) * 255))
    return pictures_to_float(on_device(network, image[None])) * (1 - cover), cover
