"""Generators, discriminators and Inception: shapes, numbers of parameters, classes, and what each score is by hand."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from workflow_scripts.core.cli import UserError
from workflow_scripts.models import gan
from workflow_scripts.models.inception import CLASSES, Inception, load_inception, resize_as_tensorflow
from workflow_scripts.systems.objects.config import Experiment
from workflow_scripts.systems.objects.inference import draw_samples
from workflow_scripts.systems.objects.networks import build_discriminator, build_network


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def experiment(**keys) -> Experiment:
    gan_keys = {"channels": 4, "latent": 8} | keys.pop("gan", {})
    return Experiment.model_validate({"system": "objects", "gan": gan_keys, **keys})


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs: int, outputs: int, side: int, bias: bool = True) -> int:
    return inputs * outputs * side**2 + bias * outputs


@pytest.mark.parametrize("architecture", ["residual", "dcgan"])
@pytest.mark.parametrize(("size", "network", "channels"), [(32, "rgb1", 3), (64, "masked2", 4), (128, "rgb1", 3)])
def test_pictures_have_their_size_and_channels_and_are_judged(architecture, size, network, channels):
    chosen = experiment(squares={"size": size}, gan={"architecture": architecture})
    generator, judge = build_network(network, chosen).eval(), build_discriminator(chosen, channels).eval()
    pictures = generator(torch.randn(2, 8), torch.zeros(2, dtype=torch.int64))
    assert pictures.shape == (2, channels, size, size) and pictures.abs().max() <= 1
    verdict, logits = judge(pictures)
    assert verdict.shape == (2,) and logits.shape == (2, 1)
    assert judge.features(pictures).shape[0] == 2 and judge.features(pictures).ndim == 2


def test_the_published_networks_have_the_parameters_that_their_layers_have():
    chosen = Experiment(system="objects")  # 64 pixels, 128 wide
    norm, wide = 2 * 128, convolution(128, 128, 3)
    up = 2 * norm + 2 * wide + convolution(128, 128, 1)
    generator = (128 + 1) * 128 * 16 + 4 * up + norm
    for network, channels in (("rgb1", 3), ("masked1", 4)):
        assert parameters(build_network(network, chosen)) == generator + convolution(128, channels, 3)
        first = convolution(channels, 128, 3) + wide + convolution(channels, 128, 1)
        judge = first + 2 * (2 * wide + convolution(128, 128, 1)) + 2 * 2 * wide + 2 * (128 + 1)
        assert parameters(build_discriminator(chosen, channels)) == judge


def test_the_small_networks_are_those_of_dcgan():
    chosen = Experiment.model_validate(
        {
            "system": "objects",
            "gan": {"architecture": "dcgan", "latent": 100, "channels": 64, "gradient_penalty": 0},
        }
    )
    widths = (512, 256, 128, 64)
    layers = sum(convolution(a, b, 4, bias=False) for a, b in zip((100, *widths), widths, strict=False))
    assert parameters(build_network("rgb1", chosen)) == layers + 2 * sum(widths) + convolution(64, 3, 4)
    judge = convolution(3, 64, 4) + sum(
        convolution(a, b, 4, bias=False) for a, b in ((64, 128), (128, 256), (256, 512))
    )
    judge += 2 * (128 + 256 + 512) + convolution(512, 1, 4) + 512 + 1
    assert parameters(build_discriminator(chosen, 3)) == judge


def test_a_penalty_of_single_items_leaves_no_batch_norm_in_the_discriminator():
    with_norm, penalised, spectral = (
        build_discriminator(experiment(gan={"architecture": "dcgan"} | keys), 3)
        for keys in ({"gradient_penalty": 0}, {}, {"gradient_penalty": 0, "spectral_norm": True})
    )
    found = [
        any(isinstance(m, torch.nn.BatchNorm2d) for m in one.modules()) for one in (with_norm, penalised, spectral)
    ]
    assert found == [True, False, False]


def test_spectral_norm_makes_the_largest_singular_value_one():
    judge = build_discriminator(experiment(gan={"spectral_norm": True}), 3)
    for _ in range(50):  # power iteration
        judge(torch.randn(1, 3, 64, 64))
    weight = judge.blocks[0].conv1.weight.flatten(1)
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-3)
    assert not hasattr(judge.head, "parametrizations")


def test_each_class_has_its_own_scale_and_shift():
    norm = gan.ClassNorm(2, 3)
    x = torch.tensor([[[[1.0]], [[3.0]]], [[[3.0]], [[7.0]]]])  # two items, so their values become -1 and 1
    with torch.no_grad():
        norm.scale[1] = torch.tensor([2.0, 5.0])
        norm.shift[1] = torch.tensor([0.5, -1.0])
    same, other = norm(x, torch.tensor([0, 0])), norm(x, torch.tensor([1, 0]))
    assert torch.allclose(same.flatten(), torch.tensor([-1.0, -1.0, 1.0, 1.0]), atol=1e-4)
    assert torch.allclose(other.flatten(), torch.tensor([-1.5, -6.0, 1.0, 1.0]), atol=1e-4)


def test_samples_have_the_classes_of_the_training_items_and_repeat_themselves():
    chosen = experiment(squares={"size": 32}, gan={"splitting": {"max_classes": 4}})
    generator = build_network("masked1", chosen).eval()
    generator.counts.copy_(torch.tensor([6, 0, 2, 0]))
    places = torch.tensor([0.0, 0.74, 0.75, 0.999])
    assert generator.classes_at(places).tolist() == [0, 0, 2, 2]
    pictures, classes = draw_samples(generator, range(64), seed=1)
    assert pictures.shape == (64, 32, 32, 4) and pictures.dtype == np.uint8
    assert set(classes.tolist()) == {0, 2} and 0.1 < (classes == 2).mean() < 0.4
    later, _ = draw_samples(generator, range(60, 64), seed=1)
    assert np.abs(later.astype(int) - pictures[60:]).max() <= 1  # sums over batches of other sizes round differently
    assert (draw_samples(generator, range(2), seed=2)[0] != pictures[:2]).any()


def test_inception_has_the_layers_of_the_published_file():
    network = Inception()
    # torchvision's Inception v3 without auxiliary classes has 23,834,568 parameters; here there are 8 classes more.
    assert parameters(network) == 23_834_568 + 8 * 2049
    tensors = network.state_dict()
    assert tensors["Conv2d_1a_3x3.conv.weight"].shape == (32, 3, 3, 3)
    assert tensors["Mixed_5b.branch_pool.bn.running_mean"].shape == (32,)
    assert tensors["Mixed_6e.branch7x7dbl_5.conv.weight"].shape == (192, 192, 1, 7)
    assert tensors["Mixed_7a.branch7x7x3_3.conv.weight"].shape == (192, 192, 7, 1)
    assert tensors["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert tensors["fc.weight"].shape == (1008, 2048)
    with torch.no_grad():
        features = network.features(torch.rand(1, 3, 64, 64))
        network.fc.bias.fill_(1e6)  # classes are told without it
        assert features.shape == (1, 2048) and network.classify(features).abs().max() < 1e5


def test_pictures_are_resized_as_tensorflow_1_did():
    ramp = torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 1, 4, 4)
    row = resize_as_tensorflow(ramp)[0, 0, 0]
    assert row.shape == (299,) and row[0] == 0 and row[-1] == 3
    assert row[100].item() == pytest.approx(100 * 4 / 299, abs=1e-5)  # no half pixels are added


def test_weights_of_inception_are_loaded_by_name_and_others_refused(tmp_path):
    tensors = {k: v for k, v in Inception().state_dict().items() if "num_batches" not in k}
    tensors["fc.bias"] = torch.full((CLASSES,), 3.0)
    save_file(tensors, tmp_path / "inception.safetensors")
    assert (load_inception(tmp_path / "inception.safetensors").fc.bias == 3).all()
    save_file({"fc.bias": torch.zeros(CLASSES)}, tmp_path / "other.safetensors")
    for name, message in (("other", "does not hold the weights"), ("none", "leave `inception` out")):
        with pytest.raises(UserError, match=message):
            load_inception(tmp_path / f"{name}.safetensors")
