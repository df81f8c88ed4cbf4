import torch
import torch.nn.functional as F
from torch import nn

from workflow_scripts.training.health import Limit
from workflow_scripts.training.losses import discriminator_loss, generator_loss
from workflow_scripts.training.system import Score, System, Update, detached, frozen

from .networks import build_network


def build_system(network, experiment, weights):
    return DuelTraining(experiment.generator, build_network(network, experiment))


class DuelTraining(System):
    saved = "generator"
    judged_by = Score("error", higher_is_better=False)
    columns = {"given": "vectors", "wanted": "vectors"}  # noqa: RUF012
    limits = (
        Limit("judge total", "the judge tells all outputs apart", "lower `judge_rate`", 0.3, margin=0.3, patience=4,
              slows=["judge"]),
        Limit("diversity", "completions of one item are equal", "lower `squared`", 0.08, margin=0.02, patience=2),
    )  # fmt: skip

    def __init__(self, config, generator):
        self.config = config
        judge = nn.Sequential(nn.Linear(config.width, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        self.networks = nn.ModuleDict({"generator": generator, "judge": judge})

    def optimizer(self, name, parameters, settings):
        rate = self.config.judge_rate if name == "judge" else settings.learning_rate
        return torch.optim.Adam(parameters, rate, settings.betas)

    def augment(self, batch, keys, seed, epoch, settings):
        return batch

    def training_step(self, batch, course):
        made = self.networks["generator"](batch["given"], torch.randn_like(batch["given"]))
        judge = self.networks["judge"]
        yield Update("judge", discriminator_loss(judge(batch["wanted"]), judge(made.detach())))

        values = {"squared": F.mse_loss(made, batch["wanted"])}
        with frozen(judge):
            values["adversarial"] = generator_loss(judge(made), "non_saturating")
        yield Update("generator", sum(getattr(self.config, x) * value for x, value in values.items()), detached(values))

    def validate(self, network, batch):
        noise = torch.linspace(-1, 1, batch["given"].numel()).view_as(batch["given"])
        first, second = network(batch["given"], noise), network(batch["given"], -noise)
        return {
            "error": (first - batch["wanted"]).square().mean(1),
            "diversity": (first - second).abs().mean(1),
        }

    def preview(self, network, batch):
        raise AssertionError("there is nothing to draw of vectors: `preview_items: 0`")
