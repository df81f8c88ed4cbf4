"""Keys of `experiments` that every system has.

A system adds its own in `systems/{name}/config.py`, as a class `Experiment` derived from `BaseExperiment`.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from workflow_scripts.config.base import Model, canonical_json
from workflow_scripts.config.sources import BaseSource

SYSTEMS = Path(__file__).parents[1] / "systems"


class BaseExperiment(Model):
    """Keys that every experiment has."""

    system: str
    train: list[str] = Field([], description="sources whose `train` items are trained on and `val` items watched")
    test: list[str] = Field(
        [],
        description="sources whose `test` items are scored; their pictures and people never enter training",
    )
    apply: list[str] = Field([], description="sources without truth that the trained networks are applied to")
    score_train: int = Field(
        64, ge=0, description="training items scored too, to show the gap between training and test"
    )
    gallery: int = Field(12, ge=1, description="items shown in the report's galleries")

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, in the order in which they are trained."""
        raise NotImplementedError

    def kinds_of(self, network: str) -> tuple[str, ...]:
        """Return the kinds of shards that a network is trained on: folders of `results/{experiment}/`."""
        raise NotImplementedError

    def keys_of(self, network: str) -> tuple[str, ...]:
        """Return the keys that a network's training depends on."""
        return (network,)

    def weights_of(self, network: str) -> tuple[str, ...]:
        """Return the names of the pretrained networks that a network's training needs."""
        return ()

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Raise `ValueError` for keys that are each valid but impossible together; `where` names the experiment."""

    def slice(self, *keys: str) -> str:
        """Return only `keys` as canonical JSON: what one stage depends on; everything else is left at its default."""
        return canonical_json(self, {"system", *keys})


def experiment_types() -> tuple[type[BaseExperiment], ...]:
    """Return the experiment models of all systems: the class `Experiment` of each `systems/{name}/config.py`.

    A name with `_` in front is shared code.
    """
    names = sorted(m.name for m in pkgutil.iter_modules([str(SYSTEMS)]) if m.ispkg and not m.name.startswith("_"))
    return tuple(importlib.import_module(f"workflow_scripts.systems.{name}.config").Experiment for name in names)
