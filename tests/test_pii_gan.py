"""PII-GAN: published sizes, the square around a hole, attention, every loss by hand, and an extractor that learns."""

import math

import numpy as np
import pytest
import torch
from hole_items import batch_of, train, write_holes
from torch import nn

from workflow_scripts.core.tables import read_table
from workflow_scripts.models.contextual_attention import attend
from workflow_scripts.systems._completion.training import completion_of
from workflow_scripts.systems.diverse.critics import gradient_penalty, wasserstein_loss
from workflow_scripts.systems.diverse.pii_network import PiiCompleter
from workflow_scripts.systems.diverse.pii_training import PiiCritics, PiiTraining
from workflow_scripts.systems.diverse.vae_gan_config import PiiLosses, PiiNetwork
from workflow_scripts.systems.diverse.variational import Extractor, draw_latent, kl_divergence
from workflow_scripts.systems.diverse.windows import cut_windows, hole_windows, lay_windows
from workflow_scripts.training.learned import learned

SIZE, COUNT = 64, 6
SMALL = {"side": SIZE, "channels": 4, "latent": 8, "extractor_channels": 4, "critic_channels": 4, "critic_steps": 2}


@pytest.fixture(scope="module")
def shard(tmp_path_factory, face):
    return write_holes(tmp_path_factory.mktemp("pii"), face, COUNT, SIZE)


def system_of(**keys) -> PiiTraining:
    torch.manual_seed(1)
    config = PiiNetwork(**(SMALL | keys))
    return PiiTraining(config, PiiCompleter(config))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel**2 + outputs


def test_published_sizes():
    config = PiiNetwork(guided=False)
    network, extractor, critics = PiiTraining(config, PiiCompleter(config)).networks.values()
    assert parameters(extractor) == 4_864 + 204_928 + 819_456 + 1_638_656 + 2 * 16_781_312
    assert parameters(critics.whole) == 4_864 + 204_928 + 819_456 + 1_638_656 + 16_385
    assert parameters(critics.local) == 4_864 + 204_928 + 819_456 + 3_277_312 + 8_193

    start = convolution(6, 32, 5) + convolution(33, 64, 3) + convolution(65, 64, 3) + convolution(65, 128, 3)
    wide = convolution(129, 128, 3)
    head = convolution(128, 64, 3) + convolution(64, 64, 3) + convolution(64, 32, 3) + convolution(32, 16, 3)
    head += convolution(16, 3, 3)
    narrow = convolution(6, 32, 5) + convolution(33, 32, 3) + convolution(33, 64, 3)
    fine = narrow + convolution(65, 64, 3) + convolution(65, 128, 3) + 5 * wide
    attending = narrow + convolution(65, 128, 3) + 4 * wide
    joined = convolution(257, 128, 3) + wide
    assert parameters(network) == start + 8 * wide + head + fine + attending + joined + head == 3_632_742

    hole = torch.zeros(1, 1, 128, 128)
    hole[:, :, 32:96, 32:96] = 1
    latent = torch.randn(1, *network.latent_shape(128))
    assert latent.numel() == 4096
    with torch.no_grad():
        holed = torch.rand(1, 3, 128, 128) * (1 - hole)
        pictures = network(holed, hole, holed, latent)
        assert [tuple(picture.shape) for picture in pictures] == 2 * [(1, 3, 128, 128)]
        mean, log_variance = extractor(torch.rand(1, 3, 64, 64))
        assert mean.shape == log_variance.shape == (1, 4096)
        verdicts = critics(holed, torch.rand(1, 3, 64, 64))
        assert [tuple(verdict.shape) for verdict in verdicts] == [(1, 1), (1, 1)]


def test_pictures_of_another_side_are_refused():
    with pytest.raises(ValueError, match=r"write `side: 64`"):
        PiiNetwork().check_size("experiments.x.pii", 64)


def test_the_square_around_a_hole_is_cut_out_and_laid_back():
    hole = torch.zeros(4, 1, 32, 32)
    hole[0, :, 8:24, 8:24] = 1
    hole[1, :, 2:4, 0:32] = 1  # wider than high, near the upper border: the square is the whole picture
    hole[2, :, 20:32, 26:30] = 1  # in the corner: the square is pushed back into the picture
    pictures = torch.rand(4, 3, 32, 32)
    windows = hole_windows(hole)
    cut = cut_windows(pictures, windows, 16)
    assert torch.allclose(cut[0], pictures[0, :, 8:24, 8:24], atol=1e-5)
    for number in (1, 3):  # the last has no hole
        assert torch.allclose(windows[number], torch.tensor([0.0, 0.0, 1.0]))
    assert torch.allclose(cut_windows(pictures, windows, 12)[2], pictures[2, :, 20:32, 20:32], atol=1e-5)

    maps = torch.randn(4, 1, 16, 16)
    laid = lay_windows(maps, windows, 32)
    assert torch.equal(laid[0, :, 8:24, 8:24], maps[0]) and laid[0].count_nonzero() == 256
    assert torch.equal(laid[1], maps[1].repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_attention_fills_a_hole_with_what_lies_outside_and_is_alike():
    # Stripes lie across the picture. Of the hole's own features, a tenth of the contrast is left.
    stripes = torch.where(torch.arange(16) // 4 % 2 == 0, 1.0, -1.0)[None, None, :, None].expand(1, 1, 16, 16)
    features = torch.cat([stripes, 5 * stripes], dim=1)
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 6:10] = 1
    filled = attend(torch.where(hole > 0, 0.1 * features, features), hole)
    found, wanted = (x[..., 2:-2, 6:10].flatten() for x in (filled, features))  # patches at the border are part empty
    assert torch.corrcoef(torch.stack([found, wanted]))[0, 1] > 0.9
    assert found.square().mean() > 0.5 * wanted.square().mean()
    assert attend(features, torch.ones_like(hole)).count_nonzero() == 0


def test_a_latent_is_noised_once():
    mean, log_variance = torch.full((1, 200_000), 2.0), torch.full((1, 200_000), math.log(0.25))
    latent = draw_latent(mean, log_variance)
    assert latent.mean().item() == pytest.approx(2, abs=0.01) and latent.std().item() == pytest.approx(0.5, abs=0.01)


def test_divergence_and_wasserstein_losses_by_hand():
    mean, log_variance = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(4)]])
    # (1 + 1 - 1 - 0) / 2 + (0 + 4 - 1 - log 4) / 2
    assert kl_divergence(mean, log_variance).item() == pytest.approx(0.5 + (3 - math.log(4)) / 2)
    assert wasserstein_loss(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0])).item() == pytest.approx(0.5 - 2)
    # The gradient of 2 * sum(x) is 2 in each of 3 channels of 4 pixels: its norm is sqrt(48).
    weight = torch.zeros(2, 1, 4, 4)
    weight[:, :, :2, :2] = 1
    pictures = torch.rand(2, 2, 3, 4, 4)
    penalty = gradient_penalty(lambda x: 2 * x.sum(dim=(1, 2, 3)), *pictures, weight)
    assert penalty.item() == pytest.approx((math.sqrt(48) - 1) ** 2, rel=1e-5)


def test_the_penalty_has_a_gradient_to_the_critic():
    critics = PiiCritics(4, SIZE)
    pictures = torch.rand(2, 2, 3, SIZE, SIZE)
    gradient_penalty(critics.whole, *pictures, torch.ones(2, 1, SIZE, SIZE)).backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in critics.whole.layers if isinstance(layer, nn.Conv2d))


class Flat(PiiCompleter):
    """Paints 0.25 coarsely and 0 finely, whatever it sees."""

    def forward(self, holed, hole, guide, latent):
        plane = 0 * self.coarse_head[-1].bias.sum() + torch.zeros_like(holed)
        return plane + 0.25, plane


def test_each_part_of_the_generators_loss_by_hand(shard):
    system = system_of(critic_steps=1)
    system.networks["pii"] = Flat(system.config)
    for parameter in [*system.networks["extractor"].parameters(), *system.networks["critics"].parameters()]:
        nn.init.zeros_(parameter)
    nn.init.constant_(system.networks["extractor"].mean.bias, 100)
    nn.init.constant_(system.networks["critics"].whole.verdict.bias, 3)
    nn.init.constant_(system.networks["critics"].local.verdict.bias, 4)
    batch = batch_of(shard, system, 2)
    batch["target"] = torch.full_like(batch["target"], 0.5)
    critics, generator = system.training_step(batch, 0.0)

    # Real and completed pictures get the same verdict, and a critic without slope has a penalty of 1.
    assert critics.parts["whole"] == critics.parts["local"] == 0
    assert critics.loss.item() == pytest.approx(2 * 10, rel=1e-4)
    parts = {name: value.item() for name, value in generator.parts.items()}
    assert parts["kl"] == pytest.approx(64 * 100**2 / 2)
    assert parts["reconstruction"] == pytest.approx(0.5 + 1.2 * 0.25)
    assert parts["context"] == pytest.approx(2 * (0.5 + 1.2 * 0.25))
    assert parts["latent"] == pytest.approx(100, abs=0.5)
    assert parts["adversarial"] == pytest.approx(-3 - 4)
    weights = {"kl": 0.1, "reconstruction": 1.2, "context": 1.2, "latent": 1.2, "adversarial": 0.001}
    assert generator.loss.item() == pytest.approx(sum(weights[name] * value for name, value in parts.items()))


def test_extractor_and_generator_learn_together(shard, tmp_path):
    system = system_of(losses=PiiLosses(kl=0.001), training={"epochs": 3, "batch_size": 2, "learning_rate": 1e-3})
    before = {
        name: {key: x.clone() for key, x in learned(network).items()} for name, network in system.networks.items()
    }
    train(system, system.config.training, shard, COUNT, tmp_path)
    for name, network in system.networks.items():
        still = [key for key, x in learned(network).items() if torch.equal(x, before[name][key])]
        # What is added to all verdicts of a Wasserstein critic does not matter.
        assert still == (["whole.verdict.bias", "local.verdict.bias"] if name == "critics" else [])
    curves = read_table(tmp_path / "curves.parquet")
    values = curves.pivot_table(index="step", columns="name", values="value")
    assert np.isfinite(values["pii kl"]).all() and (values["pii kl"] > 0).all()
    assert {limit.name for limit in system.limits} | {"psnr_hole"} <= set(values)
    assert {"critics whole", "critics local penalty", "diversity", "psnr_hole"} <= set(values)

    # What is saved completes without the extractor; other latents change the hole, and nothing else.
    assert not any("extractor" in name for name in learned(system.networks["pii"]))
    network = system.networks["pii"].eval()
    batch = batch_of(shard, system, COUNT)
    with torch.no_grad():
        windows = hole_windows(batch["hole"])
        latents = system.extract(batch["target"], batch, windows)[0].view(-1, *network.latent_shape(SIZE))
        seen = [batch[name] for name in ("holed", "hole", "guide", "uncertainty")]
        first, second = network.complete(*seen, latents), network.complete(*seen, latents.roll(1, dims=0))
        drawn = [completion_of(network, batch, number) for number in (0, 1)]
    inside = (batch["hole"] > 0).expand_as(first)
    for one, other in ((first, second), drawn):
        assert ((one - other).abs() * inside).amax(dim=(1, 2, 3)).min() > 1e-5
    assert torch.equal(drawn[0][~inside], batch["target"][~inside])
    assert torch.equal(drawn[0], completion_of(network, batch, 0))


def test_an_unguided_completer_does_not_look_at_keypoints(shard):
    for guided in (True, False):
        system = system_of(guided=guided)
        batch = batch_of(shard, system, 2)
        network = system.networks["pii"]
        assert network.guided == guided
        latent = torch.zeros(2, *network.latent_shape(SIZE))
        seen = [batch["holed"], batch["hole"]]
        with torch.no_grad():
            shown = network.complete(*seen, batch["guide"], batch["uncertainty"], latent)
            other = network.complete(*seen, batch["guide"].flip(-2), batch["uncertainty"], latent)
        assert torch.equal(shown, other) != guided


def test_extractor_bounds_the_log_variance():
    extractor = Extractor(3, 4, 32, 5)
    nn.init.constant_(extractor.log_variance.bias, 1e4)
    mean, log_variance = extractor(torch.rand(2, 3, 32, 32))
    assert torch.isfinite(kl_divergence(mean, log_variance))
