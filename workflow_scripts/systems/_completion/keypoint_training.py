"""How the network learns that finds the landmarks of a face with a hole."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.faces.landmark_groups import OUTER_EYE_CORNERS
from workflow_scripts.systems._completion.config import KeypointNetwork
from workflow_scripts.systems._completion.networks import KeypointFinder
from workflow_scripts.systems._completion.training import HoleTraining
from workflow_scripts.training.data import Batch, pictures_to_float
from workflow_scripts.training.system import Score, Update, detached

SHARE = 0.5  # exponent of the variance by which the likelihood is weighted; 0: all, 1: as a squared distance
DISTANCE = 20.0  # weight of the mean distance, over the side


class KeypointTraining(HoleTraining):
    """Mean distance and Gaussian likelihood of the landmarks, those in the hole and those outside alike.

    A point's coordinates are independent normal numbers of one standard deviation, the predicted one. The likelihood of
    a point is weighted by its standard deviation (beta-NLL, Seitzer et al., ICLR 2022, beta = 0.5): unweighted, points
    of which the network is unsure would never be learned.
    """

    saved = "keypoints"
    judged_by = Score("nme", higher_is_better=False)
    columns: Mapping[str, str] = dict.fromkeys(["target", "hole", "landmarks"], "holes")

    def __init__(self, config: KeypointNetwork, network: KeypointFinder):
        self.networks = nn.ModuleDict({"keypoints": network})

    def training_step(self, batch: Batch, progress: float) -> Iterator[Update]:
        """Yield the one update."""
        points, spread = self.networks["keypoints"](batch["holed"], batch["hole"])
        size = batch["holed"].shape[-1]
        distances = (points - batch["landmarks"][:, 0]).norm(dim=-1) / size
        likelihood = negative_log_likelihood(distances, spread / size)
        values = {
            "likelihood": (likelihood * (spread / size).detach() ** (2 * SHARE)).mean(),
            "distance": distances.mean(),
        }
        yield Update("keypoints", values["likelihood"] + DISTANCE * values["distance"], detached(values))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return of each item the normalised mean error (see `metrics/landmarks.py`) and the mean likelihood."""
        points, spread = network(batch["holed"], batch["hole"])
        truth, size = batch["landmarks"][:, 0], batch["holed"].shape[-1]
        distances = (points - truth).norm(dim=-1)
        right, left = truth[:, OUTER_EYE_CORNERS].unbind(dim=1)
        return {
            "nme": distances.mean(dim=-1) / (right - left).norm(dim=-1).clamp(min=1),
            "likelihood": negative_log_likelihood(distances / size, spread / size).mean(dim=-1),
        }

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is left of the picture, the drawing of the landmarks found, and that of the true ones."""
        points, _ = network(batch["holed"], batch["hole"])
        return [batch["holed"], *(_drawn(found, batch["holed"]) for found in (points, batch["landmarks"][:, 0]))]


def negative_log_likelihood(distances: Tensor, spread: Tensor) -> Tensor:
    """Return the negative logarithm of a point's density, but for a constant.

    Args:
        distances: from the true points, (N, 68).
        spread: the standard deviation of each coordinate, (N, 68), in the same unit.
    """
    return distances.square() / (2 * spread.square()) + 2 * spread.log()


def _drawn(points: Tensor, pictures: Tensor) -> Tensor:
    """Return drawings (N, 3, S, S) in -1..1 of landmarks (N, 68, 2), on the device of the pictures (N, 3, S, S)."""
    drawings = [draw_face(face, pictures.shape[-1]) for face in points.float().cpu().numpy()]
    return pictures_to_float(torch.from_numpy(np.stack(drawings))).to(pictures.device)
