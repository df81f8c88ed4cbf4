"""The network of `flow`: which pictures can fill the hole, given the keypoints."""

import torch
from torch import Tensor

from workflow_scripts.models.flow_matching import follow_flow
from workflow_scripts.models.hole_flow import HoleFlow
from workflow_scripts.models.pull_push import continue_colours
from workflow_scripts.systems._completion.networks import Completer
from workflow_scripts.systems.diverse.config import FlowNetwork


class FlowCompleter(HoleFlow, Completer):
    """A flow that is guided by the drawing of the keypoints, and told how sure they are."""

    def __init__(self, config: FlowNetwork):
        super().__init__(config, guides=3, numbers=1)
        self.guidance = config.guidance

    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return the completions that the noise leads to.

        With a guidance g other than 0 and 1, the expected values are u + g (k - u), k with keypoints, u without them
        (Ho & Salimans 2022).
        """
        untold = torch.zeros_like(guide)
        start = self.begin(continue_colours(holed, 1 - hole), hole, guide if self.guidance else untold)

        def predict(place: Tensor, time: float) -> Tensor:
            times = torch.full((place.shape[0], 1, 1, 1), time, device=place.device)
            found = self(place, times, start, uncertainty)
            if self.guidance in (0, 1):
                return found
            blind = self(place, times, start._replace(guide=untold), uncertainty)
            return blind + self.guidance * (found - blind)

        return self.paint(follow_flow(predict, latent, self.steps), start)
