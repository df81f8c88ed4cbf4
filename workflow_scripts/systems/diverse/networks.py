"""The networks of `diverse` by name."""

from torch import nn

from workflow_scripts.systems._completion.networks import KeypointFinder
from workflow_scripts.systems.diverse.config import Experiment
from workflow_scripts.systems.diverse.de_network import DeCompleter
from workflow_scripts.systems.diverse.flow_network import FlowCompleter
from workflow_scripts.systems.diverse.pii_network import PiiCompleter
from workflow_scripts.systems.diverse.regression_network import RegressionCompleter


def build_network(network: str, experiment: Experiment) -> nn.Module:
    """Return the untrained network that a checkpoint named `network` holds."""
    networks = {
        "keypoints": KeypointFinder,
        "regression": RegressionCompleter,
        "pii": PiiCompleter,
        "de": DeCompleter,
        "flow": FlowCompleter,
    }
    return networks[network](getattr(experiment, network))
