"""Keys of `experiments` that every system has, and what a system's class tells the shared rules.

A system adds its own keys in `systems/{name}/config.py`, as a class `Experiment` derived from `BaseExperiment`; what
systems of one family share is in `systems/_{family}/`.
"""

import json
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from workflow_scripts.config.base import Model, canonical_json
from workflow_scripts.config.sources import BaseSource

SYSTEMS = Path(__file__).parents[1] / "systems"


class BaseExperiment(Model):
    """Keys that every experiment has.

    The class of each system, or of its family, also answers what the shared rules ask. Kinds of shards are folders
    of `results/{experiment}/`, with a file for each shard of each source.

    Attributes:
        family: its rules are `rules/{family}.smk`, their stages `stages/{family}/`, what its systems share
            `systems/_{family}/`.
        needs: what must be made of its sources first; keys of `config.sources.NEEDS`. Where this differs from source
            to source, `needs_of` says it instead.
        applied_keys: keys of the experiment, beside a network's own, that applying it to other pictures depends on.
            Its training depends on them anyway, by what it is trained on.
        item_kind: the kind of shards that holds its items, with one row or more for each.
        item_stage: the stage that makes them, which may quarantine items.
        summarized_kinds: the kinds of shards that its summary is made of, beside the table of scores.
        summarized_keys: the keys that its summary depends on.
        drawn_kinds: the kinds of shards that its figures show.
        drawn_keys: the keys that its figures depend on.
        drawn_with_index: whether its figures also need the whole index of each source.
    """

    family: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    applied_keys: ClassVar[tuple[str, ...]] = ()
    item_kind: ClassVar[str]
    item_stage: ClassVar[str]
    summarized_kinds: ClassVar[tuple[str, ...]]
    summarized_keys: ClassVar[tuple[str, ...]] = ()
    drawn_kinds: ClassVar[tuple[str, ...]]
    drawn_keys: ClassVar[tuple[str, ...]] = ("gallery", "train", "test", "apply")
    drawn_with_index: ClassVar[bool] = False

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
        """Return the kinds of shards that a network is trained on."""
        raise NotImplementedError

    def key_of(self, network: str) -> str:
        """Return the key that holds a network's settings; several networks may share one."""
        return network

    def settings_of(self, network: str) -> Model:
        """Return a network's settings, the group `training` among them."""
        return getattr(self, self.key_of(network))

    def seed_of(self, network: str, seed: int) -> int:
        """Return the seed of a network's training, where `seed` is the configuration's."""
        return seed

    def keys_of(self, network: str) -> tuple[str, ...]:
        """Return the keys that a network's training depends on."""
        return (self.key_of(network),)

    def weights_of(self, network: str) -> tuple[str, ...]:
        """Return the names of the pretrained networks that a network's training needs."""
        return ()

    def beside(self, network: str) -> tuple[str, ...]:
        """Return the other networks that applying a network to a picture needs."""
        return ()

    def makers_of(self, kind: str) -> tuple[str, ...] | None:
        """Return the networks that make a kind of shards of no item, a file `{kind}/{network}/00000.arrow` each.

        None: there is a file for each shard of each source, as usual.
        """
        return None

    @property
    def score_weights(self) -> tuple[str, ...]:
        """Names of the pretrained networks that its scores need."""
        return ()

    @property
    def summary_weights(self) -> tuple[str, ...]:
        """Names of the pretrained networks that its summary needs."""
        return ()

    @property
    def shown_folders(self) -> tuple[str, ...]:
        """Folders of `results/{experiment}/`, beside figures and previews, that the page shows.

        Each has a file of digests of the same name beside it, `{folder}.json`.
        """
        return ()

    @property
    def used_sources(self) -> list[str]:
        """The sources that it trains or tests on, then those it is applied to."""
        return list(dict.fromkeys([*self.train, *self.test, *self.apply]))

    def needs_of(self, source: BaseSource) -> tuple[str, ...]:
        """Return what must be made of one of its sources first; keys of `config.sources.NEEDS`."""
        return self.needs

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Raise `ValueError` for keys that are each valid but impossible together; `where` names the experiment."""

    def check_files(self) -> None:
        """Raise `UserError` for files of the user that cannot be used; called once, before anything runs."""

    @classmethod
    def parse(cls, text: str) -> "BaseExperiment":
        """Return the experiment, of the system that it names, that a JSON text holds.

        Raises:
            ValueError: it holds something else.
        """
        values = json.loads(text)
        system = values.get("system") if isinstance(values, dict) else None
        if system not in system_names():
            raise ValueError(f"no system {system!r}; known: {', '.join(system_names())}")
        return experiment_type(system).model_validate_json(text)

    def slice(self, *keys: str) -> str:
        """Return only `keys` as canonical JSON, for a stage that depends on them alone."""
        return canonical_json(self, {"system", *keys})


def system_names() -> list[str]:
    """Return the names of all systems: the folders of `systems/`, but for those of families, with `_` in front."""
    return sorted(m.name for m in pkgutil.iter_modules([str(SYSTEMS)]) if m.ispkg and not m.name.startswith("_"))


def experiment_type(system: str) -> type[BaseExperiment]:
    """Return the experiment model of a system: the class `Experiment` of its `config.py`."""
    return import_module(f"workflow_scripts.systems.{system}.config").Experiment
