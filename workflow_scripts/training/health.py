"""Whether it is worth going on with a training: losses that are not finite, and limits that a system names.

A discriminator that wins outright teaches its generator nothing more, and a generator that ignores its random numbers
has one output where many were wanted. Both show in values that are logged anyway, and neither mends itself.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_scripts.config.training import Training
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.randomness import stable_hash

MOST_REWINDS = 3  # a training that fails more often, at ever lower rates, has another fault
SLOWER = 0.5  # factor of learning rates after each rewind


@dataclass(frozen=True)
class Limit:
    """The range that a logged value of a healthy training does not leave for long.

    A limit is there for what has failed for certain, not for what looks poor: it should be far beyond what healthy
    trainings show, and its patience longer than their bad spells.

    Attributes:
        name: of the value, as the curves have it: a score of `System.validate`, or of training the network's name and
            `total`, `gradient norm` or a part's name (`whole total`).
        meaning: what has happened when the limit is broken, as a clause: `the discriminator tells all outputs apart`.
        remedy: what a user can change, as an imperative: "lower `losses.adversarial`".
        least: the smallest healthy value.
        most: the largest healthy value.
        patience: so many values beyond the limit, in a row, break it. A value of training is the mean of at most
            10 steps, and there is one of them for each 10 steps; there is one of validation for each epoch.
        warmup: so many values at the beginning are not looked at, counted from the first one of this name.
        slows: networks whose learning rate a rewind halves on its account; empty: all.
    """

    name: str
    meaning: str
    remedy: str
    least: float = -math.inf
    most: float = math.inf
    patience: int = 50
    warmup: int = 0
    slows: Sequence[str] = ()

    def admits(self, value: float) -> bool:
        """Return whether a value is within the limit; what is no number is not."""
        return self.least <= value <= self.most

    def broken_by(self, value: float, step: int) -> "Collapse":
        """Return what is to be said, of the newest value."""
        bound = f"{self.least:.4g} to {self.most:.4g}"
        if self.most == math.inf:
            bound = f"at least {self.least:.4g}"
        elif self.least == -math.inf:
            bound = f"at most {self.most:.4g}"
        what = (
            f"step {step}: {self.meaning}: {self.name} is {value:.4g}, and should have been {bound} in one of the last "
            f"{self.patience} values"
        )
        return Collapse(what, self.remedy, self.slows)


class Collapse(Exception):
    """Nothing more is to be expected of a training in its present state.

    Attributes:
        what: what has happened, and where.
        remedy: what a user can do.
        slows: networks whose learning rate should be lower at the next attempt; empty: all.
    """

    def __init__(self, what: str, remedy: str, slows: Sequence[str] = ()):
        super().__init__(what)
        self.what, self.remedy, self.slows = what, remedy, slows


class Health:
    """How long values have been beyond their limits, the last good state, and how often the training went back to one.

    Attributes:
        good: step of the last good state.
        rewinds: of each, `at` which step, `to` which, why (`reason`), and which networks learn more slowly since then
            (`slows`).

    Args:
        limits: of the system.
        config: the keys of the loop; `on_collapse` and `save_every` are used.
    """

    def __init__(self, limits: Sequence[Limit], config: Training):
        self._limits, self._config = limits, config
        self._seen = [0] * len(limits)
        self._beyond = [0] * len(limits)  # of the newest values, in a row
        self.good = 0
        self.rewinds: list[dict] = []

    def watch(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Compare newly logged values with their limits; return warnings, where no more than that is wanted.

        Raises:
            Collapse: one is broken.
        """
        found = []
        for index, limit in enumerate(self._limits):
            if limit.name not in values:
                continue
            value = values[limit.name]
            self._seen[index] += 1
            young = self._seen[index] <= limit.warmup
            self._beyond[index] = 0 if young or limit.admits(value) else self._beyond[index] + 1
            if self._beyond[index] and self._beyond[index] % limit.patience == 0:
                found.append(limit.broken_by(value, step))
        if found and self._config.on_collapse != "warn":
            raise found[0]
        return [f"{collapse.what}; {collapse.remedy}" for collapse in found]

    def is_good(self, step: int) -> bool:
        """Return whether the state at the end of an epoch is to be remembered as a good one, to go back to.

        It is where no value is beyond its limit. Only ends of epochs come into question, because some limits are looked
        at there alone, and no more of them than resume states are asked for.
        """
        is_due = self._config.on_collapse == "rewind" and step - self.good >= self._config.save_every
        return is_due and not any(self._beyond)

    def check_rewind(self, collapse: Collapse) -> None:
        """Raise `UserError` where a training that has failed is not to go back, or has done so too often."""
        if self._config.on_collapse != "rewind":
            remedy = f"{collapse.remedy}, or write `on_collapse: rewind` to go on from the last good state"
            raise UserError(f"{collapse.what}; {remedy}")
        if len(self.rewinds) == MOST_REWINDS:
            raise UserError(f"{collapse.what}, after {MOST_REWINDS} rewinds; {collapse.remedy}")

    def slower(self) -> dict[str, float]:
        """Return the factor of each network's learning rate that the rewinds have brought."""
        slowed = Counter(name for rewind in self.rewinds for name in rewind["slows"])
        return {name: SLOWER**count for name, count in slowed.items()}

    def draw_seed(self, seed: int) -> int:
        """Return what random choices of training depend on: the seed, and other numbers after each rewind."""
        return stable_hash(seed, "rewind", len(self.rewinds)) if self.rewinds else seed

    def header(self) -> dict:
        """Return what a resume state must hold."""
        return {"seen": self._seen, "beyond": self._beyond, "good": self.good, "rewinds": self.rewinds}

    def restore(self, header: dict) -> None:
        """Put back what `header` returned."""
        self._seen, self._beyond, self.good, self.rewinds = (
            header[name] for name in ("seen", "beyond", "good", "rewinds")
        )


def check_finite(updates: Sequence[tuple[int, str, list[str], list[float]]]) -> None:
    """Check updates, each of them step, network, names and values of what was measured.

    Raises:
        Collapse: a loss or gradient norm is not finite.
    """
    for step, network, names, values in updates:
        for name, value in zip(names, values, strict=True):
            if not math.isfinite(value):
                raise Collapse(
                    f"step {step}: {name} of network {network!r} is {value}",
                    "lower `learning_rate`, set `clip` or write `precision: fp32`",
                )
