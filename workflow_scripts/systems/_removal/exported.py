"""The networks of a system that takes something off a face, to be run elsewhere; see `training/exported.py`."""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workflow_scripts.systems._removal.config import RemovalExperiment
from workflow_scripts.systems._removal.fill import feathered, filled_with, widen
from workflow_scripts.systems._removal.networks import SamplingModule
from workflow_scripts.training.data import pictures_to_float
from workflow_scripts.training.exported import Exported, Given, pictures_to_bytes, planes_to_bytes


def build_exported(
    network: str,
    load: Callable[[str], nn.Module],
    experiment: RemovalExperiment,
    shapes: Mapping[str, Sequence[int]],
) -> Exported:
    """Return the map network, or the editing network together with the map network that tells it where to paint."""
    size, opening = shapes["input"][0], experiment.difference.opening
    if network == "map":
        return ExportedMap(load("map"), opening, size)
    return ExportedEdit(load("map"), load(network), opening, size)


class ExportedMap(Exported):
    """Picture to `probability` of the occluder, uint8 (N, S, S), and cleaned `map`, 0 or 255."""

    def __init__(self, network: nn.Module, opening: int, size: int):
        super().__init__({"picture": Given("picture", (size, size, 3))}, ("probability", "map"))
        self.network, self.opening = network, opening

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Map RGB uint8 (N, S, S, 3)."""
        probability, cleaned = find(self.network, pictures_to_float(picture), self.opening)
        return planes_to_bytes(probability), planes_to_bytes(cleaned)


class ExportedEdit(Exported):
    """Picture to `composite`, the face without its occluder, uint8 (N, S, S, 3), and `map`, where it was found.

    `output` is all that was painted; the composite has it in the map and its border (`edit.border`). With `fill: noise`
    it takes `noise`, any RGB picture of independent colours; a network that samples takes normal numbers as `noise`,
    float32, and paints one picture for each draw.
    """

    def __init__(self, finder: nn.Module, painter: nn.Module, opening: int, size: int):
        picture = Given("picture", (size, size, 3))
        noise = {"noise": picture} if painter.fill == "noise" else {}
        if isinstance(painter, SamplingModule):
            noise = {"noise": Given("noise", painter.latent_shape(size))}
        super().__init__({"picture": picture} | noise, ("composite", "map", "output"))
        self.finder, self.painter, self.opening = finder, painter, opening

    def forward(self, picture: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Map RGB uint8 (N, S, S, 3)."""
        shown = pictures_to_float(picture)
        _, cleaned = find(self.finder, shown, self.opening)
        border = self.painter.border
        holes = widen(cleaned, border.margin)
        output = pictures_to_bytes(self._paint(shown, holes, noise))
        weights = feathered(holes, border.feather)[:, 0, ..., None]
        composite = (picture + weights * (output.float() - picture)).round().byte()
        return composite, planes_to_bytes(cleaned), output

    def _paint(self, shown: Tensor, holes: Tensor, noise: Tensor | None) -> Tensor:
        fill = self.painter.fill
        if isinstance(self.painter, SamplingModule):
            return self.painter.sample(*self.painter.begin_edit(filled_with(shown, holes, fill, None), holes), noise)
        return self.painter(filled_with(shown, holes, fill, None if noise is None else pictures_to_float(noise)), holes)


def find(network: nn.Module, pictures: Tensor, opening: int) -> tuple[Tensor, Tensor]:
    """Return probability and cleaned map (N, 1, S, S) of pictures in -1..1, as `clean_map` makes it of bytes."""
    probability = torch.sigmoid(network(pictures))
    return probability, opened(((probability * 255).round() > 127).float(), opening)


def opened(planes: Tensor, side: int) -> Tensor:
    """Return planes (N, 1, S, S) opened by a square of `side` pixels, as `cv2.morphologyEx` does."""
    if side < 2:
        return planes
    before, after = side // 2, side - 1 - side // 2
    # The smallest of the neighbours, then the largest; what lies beyond the border never decides.
    eroded = 1 - F.max_pool2d(F.pad(1 - planes, (before, after, before, after)), side, stride=1)
    return F.max_pool2d(F.pad(eroded, (before, after, before, after)), side, stride=1)
