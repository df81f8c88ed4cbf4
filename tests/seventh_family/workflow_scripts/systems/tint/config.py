"""Configuration of `tint`: colour a grey picture by one convolution."""

from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Model
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.training import Training


class PaintNetwork(Model):
    """The network that colours."""

    width: int = Field(3, ge=1, description="pixels; side of its kernel, an odd number")
    training: Training = Training(epochs=2, learning_rate=1e-2)

    def check_size(self, where: str, size: int) -> None:
        """Accept every size of crops: tiles have their own."""


class Experiment(BaseExperiment):
    """Take the colour out of pictures, and put it in again."""

    family = "colouring"
    needs = ("pictures",)
    item_kind = "tiles"
    item_stage = "make_tiles"
    summarized_kinds = ("tiles",)
    drawn_kinds = ("tiles",)

    system: Literal["tint"]
    paint: PaintNetwork = PaintNetwork()

    @property
    def networks(self) -> tuple[str, ...]:
        """Return the one network's name."""
        return ("paint",)

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kinds of shards that it is trained on."""
        return ("tiles",)
