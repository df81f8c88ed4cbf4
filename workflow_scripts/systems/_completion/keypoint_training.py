"""How the network learns that finds the landmarks of a face with a hole."""

from collections.abc import Hashable, Iterator, Mapping

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

DISTANCE = 50.0  # weight of the mean distance, over the side, beside the likelihood


class KeypointTraining(HoleTraining):
    """The landmarks minimise the mean distance from the true ones, the standard deviations the Gaussian likelihood.

    A landmark's coordinates count as independent normal numbers of one standard deviation. The likelihood does not
    change the landmarks: it would leave those alone of which the network is unsure (Seitzer et al., ICLR 2022).
    """

    saved = "keypoints"
    judged_by = Score("nme", higher_is_better=False)
    columns: Mapping[str, str] = dict.fromkeys(["target", "hole", "landmarks"], "holes")

    def __init__(self, config: KeypointNetwork, network: KeypointFinder):
        self.networks = nn.ModuleDict({"keypoints": network})

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        points, spread = self.networks["keypoints"](batch["holed"], batch["hole"])
        size = batch["holed"].shape[-1]
        distances = (points - batch["landmarks"][:, 0]).norm(dim=-1) / size
        values = {
            "distance": distances.mean(),
            "likelihood": negative_log_likelihood(distances.detach(), spread / size).mean(),
        }
        yield Update("keypoints", DISTANCE * values["distance"] + values["likelihood"], detached(values))

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
