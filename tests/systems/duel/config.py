"""A system of the tests: a generator that completes vectors from noise, and its discriminator."""

from typing import Literal

from workflow_scripts.config.base import Model
from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.training import Training


class Generator(Model):
    width: int = 4
    reach: float = 4.0  # largest value of an output; real ones have up to 2
    squared: float = 0.0  # weight of the squared error, which asks for one completion, the mean
    adversarial: float = 1.0
    judge_rate: float = 1e-3
    training: Training = Training(
        epochs=30, batch_size=16, learning_rate=1e-3, precision="fp32", preview_items=0, keep="last", save_every=1
    )


class Experiment(BaseExperiment):
    system: Literal["duel"]
    generator: Generator = Generator()
