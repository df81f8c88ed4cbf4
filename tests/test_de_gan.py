"""DE-GAN: published sizes, every loss by hand, and encoders and extractor that learn."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hole_items import batch_of, train, write_holes
from torch import nn

from workflow_scripts.core.tables import read_table
from workflow_scripts.systems._completion.training import completion_of
from workflow_scripts.systems.diverse.de_network import DeCompleter
from workflow_scripts.systems.diverse.de_training import DeTraining, reconstruction_losses
from workflow_scripts.systems.diverse.vae_gan_config import DeNetwork
from workflow_scripts.training.learned import learned

SIZE, COUNT = 64, 6
SMALL = {"side": SIZE, "channels": 4, "latent": 16, "style": 16, "extractor_channels": 4, "critic_channels": 4}


@pytest.fixture(scope="module")
def shard(tmp_path_factory, face):
    return write_holes(tmp_path_factory.mktemp("de"), face, COUNT, SIZE)


def system_of(**keys) -> DeTraining:
    torch.manual_seed(1)
    config = DeNetwork(**(SMALL | keys))
    return DeTraining(config, DeCompleter(config))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel**2 + outputs


@pytest.mark.parametrize("up", ["transposed_conv", "nearest"])
def test_published_sizes(up):
    config = DeNetwork(guided=False, up=up)
    system = DeTraining(config, DeCompleter(config))
    assert set(system.networks) == {"de", "critics"}  # as published there is no extractor
    network, critics = system.networks["de"], system.networks["critics"]
    # Each encoder sees the hole beside the picture, and ends in 512 features at 8x8 places.
    encoder = 2_080 + 32_832 + 131_200 + 524_544 + 2_097_664 + 2 * (512 * 8 * 8 * 256 + 256)
    assert parameters(network.face_encoder) == parameters(network.landmark_encoder) == encoder
    # Of each decoder: 128, 64, 32 and 16 channels with scale and shift, then the picture's.
    after = 131_136 + 32_800 + 8_208 + 2 * (128 + 64 + 32 + 16)
    assert parameters(network.mask_decoder) == 2 * 128 * 16 + 128 + after + 17
    assert parameters(network.part_decoder) == 2 * 128 * 16 + 128 + after + 51
    assert parameters(network.landmark_decoder) == 1 * 128 * 16 + 128 + after + 51
    widths = [32, 64, 128, 256, 512]
    downs = sum(convolution(a, b, 3) + convolution(b, b, 3) for a, b in zip([4, *widths], widths, strict=False))
    ups = sum(convolution(b, a, 3) + convolution(2 * a, a, 3) for a, b in pairwise(widths))
    joined = 2 * 256 * 9  # two planes of the latent beside the 512 of the bottleneck
    assert parameters(network.unet) == downs + ups + joined + convolution(32, 3, 3)
    assert parameters(critics.whole) == 1_568 + 32_832 + 131_200 + 524_544 + 2_097_664 + 512 * 8 * 8 + 1
    assert parameters(critics.patch) == 1_568 + 32_832 + 131_200 + 524_544 + 257
    assert parameters(critics.latents["both"]) == 512 * 128 + 128 + 128 * 128 + 128 + 129

    assert network.latent_shape(256) == (512,)
    picture, hole = torch.zeros(1, 3, 256, 256), torch.ones(1, 1, 256, 256)
    network.eval()
    with torch.no_grad():
        embedding = network.embed(picture, hole, picture, torch.randn(1, 512), torch.zeros(1, 0))
        assert [tuple(x.shape) for x in embedding] == 2 * [(1, 256)]
        assert [tuple(x.shape) for x in network.draw(embedding)] == [(1, count, 256, 256) for count in (1, 3, 3)]
        painted = network.complete(picture, hole, picture, torch.zeros(1, 1, 1, 1), torch.randn(1, 512))
        assert painted.shape == picture.shape and painted.abs().max() <= 1
        assert critics.patch(picture).shape == (1, 1, 16, 16) and critics.whole(picture).shape == (1, 1)


@pytest.mark.parametrize(
    ("keys", "size", "told"),
    [
        ({}, 128, "write `side: 128`"),
        ({"latent": 96}, 256, "latent: .*multiple of 256"),
        ({"style": 8}, 256, "style: "),
    ],
)
def test_sizes_that_do_not_fit_are_refused(keys, size, told):
    with pytest.raises(ValueError, match=told):
        DeNetwork(**keys).check_size("experiments.x.de", size)


def test_reconstruction_losses_by_hand():
    target = torch.full((1, 3, 4, 4), 0.2)  # 0.6 in 0..1
    drawing = torch.full((1, 3, 4, 4), -1.0)
    drawing[:, 2, :, :2] = 0.5  # the left half is face, 0.75 of blue
    painted = torch.full((1, 3, 4, 4), -0.2)
    certain = math.log(3)  # a logit whose probability is 0.75
    drawn = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), certain)
    values = reconstruction_losses({"target": target, "drawing": drawing}, painted, drawn)
    assert values["image"].item() == pytest.approx(0.2 * (1 + 0.5) / 2)
    assert values["mask"].item() == pytest.approx(math.log(2))
    assert values["part"].item() == pytest.approx((0.1 + 0.5) / 2)  # half grey, where 0.6 or nothing should be
    face = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    nothing = -math.log(0.25)
    assert values["landmarks"].item() == pytest.approx((face + 5 * nothing) / 6)


@pytest.mark.parametrize("style", [0, 16])
def test_each_part_of_the_losses_by_hand(shard, style):
    system = system_of(style=style)
    for parameter in [*system.networks["critics"].parameters(), *system.networks["de"].unet.parameters()]:
        nn.init.zeros_(parameter)
    if style:
        for parameter in system.networks["extractor"].parameters():
            nn.init.zeros_(parameter)
        nn.init.constant_(system.networks["extractor"].mean.bias, 100)
    batch = batch_of(shard, system, 2)
    batch["target"] = torch.full_like(batch["target"], 0.5)
    critics, generator = system.training_step(batch, 0.0)

    # Discriminators that say nothing: each verdict costs log 2; there are two kinds of fakes beside the real ones.
    assert critics.network == "critics" and critics.parts["patch"].item() == pytest.approx(3 * math.log(2))
    assert critics.parts["whole"].item() == pytest.approx(3 * math.log(2))
    assert critics.parts["prior"].item() == pytest.approx(3 * 2 * math.log(2))
    assert critics.loss.item() == pytest.approx(12 * math.log(2))
    parts = {name: value.item() for name, value in generator.parts.items()}
    assert parts["patch"] == pytest.approx(math.log(2)) and parts["whole"] == pytest.approx(math.log(2))
    assert parts["prior"] == pytest.approx(3 * math.log(2))
    face = (batch["drawing"].amax(dim=1) > -1).float().mean().item()
    assert parts["image"] == pytest.approx(0.25 * (face + 0.5 * (1 - face)), rel=1e-4)
    weights = {"image": 4000, "part": 4000, "mask": 4000, "landmarks": 2000, "prior": 30, "patch": 30, "whole": 20}
    if style:
        assert generator.beside == ("extractor",)
        assert parts["kl"] == pytest.approx(style * 100**2 / 2) and parts["style"] == pytest.approx(100, abs=1)
        weights |= {"kl": 1, "style": 100}
    assert set(parts) == set(weights)
    assert generator.loss.item() == pytest.approx(sum(weights[name] * value for name, value in parts.items()), rel=1e-5)


def test_encoders_and_extractor_learn_and_saved_is_what_completes(shard, tmp_path):
    system = system_of(training={"epochs": 3, "batch_size": 2, "learning_rate": 1e-3})
    before = {name: {key: x.clone() for key, x in learned(net).items()} for name, net in system.networks.items()}
    train(system, system.config.training, shard, COUNT, tmp_path)
    for name, network in system.networks.items():
        assert not [key for key, x in learned(network).items() if torch.equal(x, before[name][key])], name
    curves = read_table(tmp_path / "curves.parquet")
    values = curves.pivot_table(index="step", columns="name", values="value")
    assert np.isfinite(values["de kl"]).all() and (values["de kl"] > 0).all()
    assert {limit.name for limit in system.limits} | {"psnr_hole"} <= set(values)
    assert {"critics patch", "critics whole", "critics prior", "diversity", "psnr_hole"} <= set(values)

    assert not any("extractor" in name for name in learned(system.networks["de"]))
    network = system.networks["de"].eval()
    batch = batch_of(shard, system, COUNT)
    with torch.no_grad():
        style = system.extract(batch["target"], batch)[0]
        noise = torch.zeros(COUNT, 2 * network.latent)
        seen = [batch[name] for name in ("holed", "hole", "guide", "uncertainty")]
        first, second = (network.complete(*seen, torch.cat([noise, x], dim=1)) for x in (style, style.roll(1, dims=0)))
        drawn = [completion_of(network, batch, number) for number in (0, 1)]
    inside = (batch["hole"] > 0).expand_as(first)
    for one, other in ((first, second), drawn):
        assert ((one - other).abs() * inside).amax(dim=(1, 2, 3)).min() > 1e-6
    assert torch.equal(drawn[0][~inside], batch["target"][~inside])


def test_the_embedding_depends_on_noise_and_guide_alone_as_asked(shard):
    for guided in (True, False):
        system = system_of(guided=guided, style=0)
        network, batch = system.networks["de"], batch_of(shard, system, 2)
        noise = torch.randn(2, *network.latent_shape(SIZE))
        seen = [batch["holed"], batch["hole"]]
        with torch.no_grad():
            shown = network.complete(*seen, batch["guide"], batch["uncertainty"], noise)
            other = network.complete(*seen, batch["guide"].flip(-2), batch["uncertainty"], noise)
            again = network.complete(*seen, batch["guide"], batch["uncertainty"], -noise)
        assert torch.equal(shown, other) != guided and not torch.equal(shown, again)
