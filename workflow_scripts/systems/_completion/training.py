"""What the trainings of all networks share that see faces with holes."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from workflow_scripts.config.training import Training
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.faces.drawings import MIRRORED_CHANNELS, draw_face
from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.systems._completion.guides import move_hidden
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.training.data import Batch, Key, pictures_to_float
from workflow_scripts.training.hole_flow import as_column, draw_normal
from workflow_scripts.training.system import System

MAX_UNCERTAINTY = 0.04  # of the side; largest standard deviation of the keypoints that a guided network is shown
KNOWN = 0.25  # share of the training items whose keypoints are shown as they are


class HoleTraining(System):
    """Items with a hole: what is left of the picture, drawing, face part and landmarks; flips turn left into right.

    Columns after `prepare`: `target` and `holed` (N, 3, S, S), 0 in the hole of `holed`; `hole` (N, 1, S, S), 0 or 1;
    `drawing` of the true landmarks and `part` (N, 3, S, S); `landmarks` (N, 1, 68, 2) in pixels; `seed` (N, 1, 1, 1).
    """

    columns: Mapping[str, str] = dict.fromkeys(["target", "hole", "drawing", "part", "landmarks"], "holes")

    def to_tensors(self, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Turn the columns into what networks see; landmarks get an axis, as all columns of an item have three."""
        tensors = super().to_tensors(columns)
        return tensors | {"landmarks": tensors["landmarks"][:, None]}

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return `holed`, and the items' seeds as a column, for random numbers that stay the same."""
        seeds = as_column(seeds, batch["target"].device)
        return {"holed": batch["target"] * (1 - batch["hole"]), "seed": seeds}

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Augment, then cut the hole again, which changed colours would fill."""
        columns = super().augment(batch, keys, seed, epoch, settings)
        return columns | {"holed": columns["target"] * (1 - columns["hole"])}

    def move(self, batch: Batch, places: Tensor) -> dict[str, Tensor]:
        """Move pictures, maps and landmarks; a hole's outline stays sharp."""
        moved = super().move({name: x for name, x in batch.items() if x.shape[-1] == x.shape[-2] > 1}, places)
        moved["hole"] = (moved["hole"] > 0.5).float()
        points, turn = batch["landmarks"], places.cpu()  # so little is not worth a solver on a GPU
        middle = batch["target"].shape[-1] / 2
        spots = (points.cpu() + 0.5) / middle - 1 - turn[:, None, None, :, 2]
        spots = torch.linalg.solve(turn[:, None, :, :2], spots.transpose(-1, -2)).transpose(-1, -2)
        return batch | moved | {"landmarks": ((spots + 1) * middle - 0.5).to(points.device)}

    def mirror(self, batch: Batch) -> dict[str, Tensor]:
        """Flip all columns; drawings change the colours of left and right, landmarks their order."""
        flipped = super().mirror(batch)
        points = batch["landmarks"][:, :, MIRRORED].clone()
        points[..., 0] = batch["target"].shape[-1] - 1 - points[..., 0]
        flipped |= {"landmarks": points, "seed": batch["seed"]}
        return flipped | {name: flipped[name][:, MIRRORED_CHANNELS] for name in {"drawing"} & flipped.keys()}


class GuidedTraining(HoleTraining):
    """Trainings of networks that look at keypoints which are predicted or asked for, when they are applied.

    Trained on true keypoints alone, a network would trust predicted ones to the pixel. So those in the hole are moved
    at random, by up to `MAX_UNCERTAINTY`, and the network is told how far: columns `guide` and `uncertainty`.
    """

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Add the drawing of the true keypoints as the guide, and no uncertainty."""
        nothing = torch.zeros(len(batch["target"]), 1, 1, 1, device=batch["target"].device)
        return super().prepare(batch, seeds) | {"guide": batch["drawing"], "uncertainty": nothing}

    def augment(
        self, batch: Batch, keys: Sequence[Key], seed: int, epoch: int, settings: Training
    ) -> dict[str, Tensor]:
        """Augment, then move the keypoints in the holes and draw the guides anew."""
        columns = super().augment(batch, keys, seed, epoch, settings)
        holes = columns["hole"][:, 0].cpu().numpy() > 0.5
        faces = columns["landmarks"][:, 0].cpu().numpy()
        size = holes.shape[-1]
        guides, uncertainty = [], np.zeros(len(faces), np.float32)
        for row, (landmarks, hole, key) in enumerate(zip(faces, holes, keys, strict=True)):
            rng = item_rng(seed, str(key), f"guide {epoch}")
            uncertainty[row] = 0 if rng.random() < KNOWN else MAX_UNCERTAINTY * rng.random()
            guides.append(draw_face(move_hidden(landmarks, hole, uncertainty[row] * size, rng), size))
        device = columns["target"].device
        return columns | {
            "guide": pictures_to_float(torch.from_numpy(np.stack(guides))).to(device),
            "uncertainty": torch.from_numpy(uncertainty).to(device)[:, None, None, None],
        }


def completion_of(network: Completer, batch: Batch, number: int, knob: float = 1.0) -> Tensor:
    """Return the `number`th completion of each item, (N, 3, S, S): what is given outside the hole, painted inside."""
    shape = network.latent_shape(batch["target"].shape[-1])
    latent = knob * draw_normal(batch["seed"], shape, number)
    painted = network.complete(batch["holed"], batch["hole"], batch["guide"], batch["uncertainty"], latent)
    return torch.where(batch["hole"] > 0, painted.float(), batch["target"])


def score_completion(network: Completer, batch: Batch) -> dict[str, Tensor]:
    """Return of each item PSNR of a completion in the hole, and the mean difference of two completions there."""
    first, second = (completion_of(network, batch, number) for number in range(2))
    pixels = 3 * batch["hole"].sum(dim=(1, 2, 3)).clamp(min=1)
    error = (first - batch["target"]).square().sum(dim=(1, 2, 3)) / pixels
    return {
        "psnr_hole": 10 * torch.log10(4 / error.clamp(min=1e-10)),
        "diversity": (first - second).abs().sum(dim=(1, 2, 3)) / pixels,
    }


def preview_completions(network: Completer, batch: Batch) -> list[Tensor]:
    """Return what is given, the guide, two completions, the one whose random numbers are all 0, the truth."""
    samples = [completion_of(network, batch, 0), completion_of(network, batch, 1), completion_of(network, batch, 0, 0)]
    return [batch["holed"], batch["guide"], *samples, batch["target"]]
