"""Steps of a training: parts of a batch add up to it, and a course decides what a step does."""

import pytest
import torch
from torch import nn

from workflow_scripts.config.training import Training
from workflow_scripts.training.learners import Learners
from workflow_scripts.training.steps import Steps
from workflow_scripts.training.system import Score, System, Update


class Duel(System):
    """A generator against a judge, both of one layer; the judge learns in every step."""

    saved, judged_by, columns = "maker", Score("loss", False), {}

    def __init__(self):
        torch.manual_seed(0)
        self.networks = nn.ModuleDict({"maker": nn.Linear(3, 3), "judge": nn.Linear(3, 1)})

    def training_step(self, batch, course):
        made = self.networks["maker"](batch["x"])
        apart = self.networks["judge"](made.detach()).mean() - self.networks["judge"](batch["x"]).square().mean()
        yield Update("judge", apart, {"half": apart.detach() / 2})
        if course == "both":
            yield Update("maker", -self.networks["judge"](made).mean() + made.square().mean())

    def validate(self, network, batch):
        return {}

    def preview(self, network, batch):
        return []


def trained(parts: int, course: str = "both") -> tuple[Duel, list]:
    system = Duel()
    learners = Learners(system, Training(batch_size=8, accumulate=parts), torch.device("cpu"))
    steps = Steps(system, learners, torch.device("cpu"), False, parts)
    generator = torch.Generator().manual_seed(1)
    return system, [steps.carry_out({"x": torch.randn(8, 3, generator=generator)}, course) for _ in range(5)]


@pytest.mark.parametrize("parts", [2, 8])
def test_parts_of_a_batch_give_the_gradients_of_the_whole(parts):
    (whole, expected), (cut, found) = trained(1), trained(parts)
    for one, other in zip(whole.networks.parameters(), cut.networks.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    for one, other in zip(expected, found, strict=True):
        assert [done.network for done in other] == ["judge", "maker"]
        for first, second in zip(one, other, strict=True):
            assert first.names == second.names and torch.allclose(first.values, second.values, atol=1e-5)


def test_a_course_decides_who_learns():
    before = [x.clone() for x in Duel().networks["maker"].parameters()]
    system, done = trained(1, "judge")
    assert [[one.network for one in step] for step in done] == [["judge"]] * 5
    assert all(torch.equal(x, y) for x, y in zip(before, system.networks["maker"].parameters(), strict=True))
    assert done[0][0].names == ["total", "gradient norm", "half"]


def test_a_batch_that_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="cannot be cut into `accumulate: 3` parts"):
        Training(batch_size=8, accumulate=3)
