"""The trainings of the networks of `diverse` by name."""

from collections.abc import Mapping
from pathlib import Path

from workflow_scripts.systems._completion.keypoint_training import KeypointTraining
from workflow_scripts.systems.diverse.config import Experiment
from workflow_scripts.systems.diverse.de_training import DeTraining
from workflow_scripts.systems.diverse.flow_training import FlowTraining
from workflow_scripts.systems.diverse.networks import build_network
from workflow_scripts.systems.diverse.pii_training import PiiTraining
from workflow_scripts.systems.diverse.regression_training import RegressionTraining
from workflow_scripts.training.system import System


def build_system(network: str, experiment: Experiment, weights: Mapping[str, Path]) -> System:
    """Return what the training loop needs to train `network`; none needs pretrained weights."""
    trainings = {
        "keypoints": KeypointTraining,
        "regression": RegressionTraining,
        "pii": PiiTraining,
        "de": DeTraining,
        "flow": FlowTraining,
    }
    return trainings[network](getattr(experiment, network), build_network(network, experiment))
