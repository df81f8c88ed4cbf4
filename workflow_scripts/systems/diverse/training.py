"""The trainings of the networks of `diverse` by name."""

from collections.abc import Mapping
from pathlib import Path

from workflow_scripts.models.perceptual import load_perceptual
from workflow_scripts.systems._completion.keypoint_training import KeypointTraining
from workflow_scripts.systems.diverse.config import Experiment
from workflow_scripts.systems.diverse.de_training import DeTraining
from workflow_scripts.systems.diverse.flow_training import FlowTraining
from workflow_scripts.systems.diverse.networks import build_network
from workflow_scripts.systems.diverse.pii_training import PiiTraining
from workflow_scripts.systems.diverse.regression_training import RegressionTraining
from workflow_scripts.training.system import System


def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> System:
    """Return what the training loop needs to train `network`; only the flow compares features of pretrained weights."""
    module = build_network(network, experiment)
    if network == "flow":
        return FlowTraining(experiment.flow, module, load_perceptual(experiment.weights_of(network), weights))
    trainings = {
        "keypoints": KeypointTraining,
        "regression": RegressionTraining,
        "pii": PiiTraining,
        "de": DeTraining,
    }
    return trainings[network](getattr(experiment, network), module)
