"""Which state of a training is kept."""

from torch import Tensor, nn

from workflow_scripts.training.learned import learned, load_learned
from workflow_scripts.training.system import Score


class KeptState:
    """The scores of a training's states, and what the network had learned in the best one, where that is wanted.

    Args:
        judged_by: the score that decides.
        keep: `best` or `last`.
    """

    def __init__(self, judged_by: Score, keep: str):
        self._judged_by, self._keep = judged_by, keep
        self.scores: dict[int, float] = {}  # by step
        self.best: dict[str, Tensor] = {}  # what the judged network had learned at the step of the best score

    def judge(self, step: int, value: float, network: nn.Module) -> None:
        """Note the score of a network, and remember what it has learned if it is to be kept."""
        self.scores[step] = value
        if self._keep == "best" and self._judged_by.best(self.scores) == step:
            self.best = {name: x.to("cpu", copy=True) for name, x in learned(network).items()}

    @property
    def waited(self) -> int:
        """Return how many validations in a row have brought no better score."""
        best = self._judged_by.best(self.scores) or 0
        return sum(step > best for step in self.scores)

    def load_into(self, network: nn.Module) -> None:
        """Give the network, which is in its last state, what is kept."""
        if self.best:
            load_learned(network, self.best)

    def describe(self, last: int) -> dict[str, int | str | float | None]:
        """Return the `step` of the state that is kept, and the name (`score`) and `value` by which it was judged.

        The value is None where that state was not judged.

        Args:
            last: step of the last state.
        """
        step = self._judged_by.best(self.scores) if self.best else last
        return {"step": step, "score": self._judged_by.name, "value": self.scores.get(step)}

    def verdict(self, last: int, is_watched: bool) -> str:
        """Return one line: which state is kept, and why.

        Args:
            last: step of the last state.
            is_watched: whether there are validation items.
        """
        step, score, value = self.describe(last).values()
        if self.best:
            return f"the state of step {step} of {last} is kept: {score} {value:.4g}, the best of all epochs"
        reason = "as configured"
        if self._keep == "best":
            reason = "as none was judged: " + ("no score was a number" if is_watched else "no item is watched")
        return f"the last state, of step {step}, is kept, {reason}"
