from typing import Literal

from workflow_scripts.config.base import Model
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.training import Training


class Layer(Model):
    width: int = 8
    rank: int = 2
    training: Training = Training(epochs=12, batch_size=4, learning_rate=1e-2, preview_items=0, precision="fp32")


class Experiment(BaseExperiment):
    system: Literal["adapted"]
    layer: Layer = Layer()
