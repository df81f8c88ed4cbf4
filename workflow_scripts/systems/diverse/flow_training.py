"""How the network of `flow` learns."""

from collections.abc import Hashable, Iterator, Mapping

import torch
from torch import Tensor, nn

from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.systems._completion.training import GuidedTraining, preview_completions
from workflow_scripts.systems.diverse.config import FlowNetwork
from workflow_scripts.systems.diverse.flow_network import FlowCompleter
from workflow_scripts.training.hole_flow import flow_update, watch_flow
from workflow_scripts.training.system import Batch, Score, Update


class FlowTraining(GuidedTraining):
    """The losses of `flow_update`; some items are shown without keypoints."""

    saved = "flow"
    judged_by = Score("flow", higher_is_better=False)

    def __init__(self, config: FlowNetwork, module: FlowCompleter, perceptual: nn.Module | None):
        self.config, self.perceptual = config, perceptual
        self.networks = nn.ModuleDict({"flow": module})

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        network, hole = self.networks["flow"], batch["hole"]
        untold = torch.rand_like(batch["uncertainty"]) < self.config.drop_keypoints
        filled = continue_colours(batch["holed"], 1 - hole)
        start = network.begin(filled, hole, batch["guide"].masked_fill(untold, 0))
        features = self.perceptual, self.config.perceptual_weight
        yield flow_update("flow", network, start, batch["target"], *features, batch["uncertainty"])

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the scores of `watch_flow`."""
        filled = continue_colours(batch["holed"], 1 - batch["hole"])
        start = network.begin(filled, batch["hole"], batch["guide"])
        return watch_flow(network, start, batch["target"], batch["seed"], batch["uncertainty"])

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is given, the guide, two completions, the mean, the truth."""
        return preview_completions(network, batch)
