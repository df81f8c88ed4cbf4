"""How the network of `regression` learns."""

from collections.abc import Hashable, Iterator, Mapping

import torch
from torch import Tensor, nn

from workflow_scripts.systems._completion.training import GuidedTraining, completion_of, score_completion
from workflow_scripts.systems.diverse.config import RegressionNetwork
from workflow_scripts.systems.diverse.regression_network import RegressionCompleter
from workflow_scripts.training.losses import weighted_mean
from workflow_scripts.training.system import Batch, Score, Update


class RegressionTraining(GuidedTraining):
    """The mean squared error inside the hole, whose minimum is the mean of all completions."""

    saved = "regression"
    judged_by = Score("psnr_hole", higher_is_better=True)

    def __init__(self, config: RegressionNetwork, module: RegressionCompleter):
        self.networks = nn.ModuleDict({"regression": module})

    def training_step(self, batch: Batch, course: Hashable) -> Iterator[Update]:
        """Yield the one update."""
        latent = torch.empty(0)
        painted = self.networks["regression"].complete(
            batch["holed"], batch["hole"], batch["guide"], batch["uncertainty"], latent
        )
        yield Update("regression", weighted_mean((painted - batch["target"]).square(), batch["hole"]))

    def validate(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the PSNR in the hole."""
        return {"psnr_hole": score_completion(network, batch)["psnr_hole"]}

    def preview(self, network: nn.Module, batch: Batch) -> list[Tensor]:
        """Return what is given, the guide, the completion, the truth."""
        return [batch["holed"], batch["guide"], completion_of(network, batch, 0), batch["target"]]
