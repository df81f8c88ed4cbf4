"""pix2pix's networks against what is published of them: every layer's shape, parameter counts, receptive field."""

import pytest
import torch
from torch import nn

from workflow_scripts.models.pix2pix import ConditionalDiscriminator, Pix2PixGenerator

VARIANTS = ("original", "tensorflow")
PUBLISHED = {"halvings": 8, "channels": 64, "max_channels": 512, "up": "transposed_conv", "dropout": 0.5}
ENCODER = [(64, 128), (128, 64), (256, 32), (512, 16), (512, 8), (512, 4), (512, 2), (512, 1)]  # channels, side
DECODER = [(512, 2), (512, 4), (512, 8), (512, 16), (256, 32), (128, 64), (64, 128)]  # before the skip joins
JUDGE = [(64, 128), (128, 64), (256, 32), (512, 31), (1, 30)]


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small(variant: str, **keys) -> Pix2PixGenerator:
    given = {"halvings": 5, "channels": 8, "max_channels": 16, "up": "nearest", "dropout": 0.5}
    return Pix2PixGenerator(3, 3, variant=variant, **given | keys)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_layer_has_the_published_shape(variant):
    generator = Pix2PixGenerator(3, 3, variant=variant, **PUBLISHED).eval()
    judge = ConditionalDiscriminator(variant=variant).eval()
    seen: dict[str, list[tuple]] = {"downs": [], "ups": [], "judge": []}
    for name, blocks in {"downs": generator.downs, "ups": generator.ups, "judge": judge.layers}.items():
        for block in blocks:
            block.register_forward_hook(lambda _, __, y, name=name: seen[name].append((y.shape[1], y.shape[2])))
    picture = torch.zeros(1, 3, 256, 256)
    with torch.inference_mode():
        assert generator(picture).shape == picture.shape
        assert judge(picture, picture).shape == (1, 1, 30, 30)
    assert (seen["downs"], seen["ups"], seen["judge"]) == (ENCODER, DECODER, JUDGE)
    kernels = {m.kernel_size for network in (generator, judge) for m in network.modules() if hasattr(m, "kernel_size")}
    assert kernels == {(4, 4)}


@pytest.mark.parametrize(
    ("variant", "of_generator", "of_judge"),
    [
        # The authors' PyTorch version prints 54.414 M and 2.769 M. Its first and innermost convolutions (64 + 512
        # channels) have no bias, those of the Torch code have one; where a norm follows, a bias does nothing.
        ("original", 54_413_955 + 64 + 512, 2_768_705),
        # The notebook prints 54,425,859 and 2,770,433 with the moving statistics, which are not trained.
        ("tensorflow", 54_425_859 - 10_880, 2_770_433 - 1_792),
    ],
)
def test_parameters_are_as_many_as_published(variant, of_generator, of_judge):
    generator, judge = Pix2PixGenerator(3, 3, variant=variant, **PUBLISHED), ConditionalDiscriminator(variant=variant)
    assert (count(generator), count(judge)) == (of_generator, of_judge)
    moving = sum(buffer.numel() for name, buffer in generator.named_buffers() if "running" in name)
    assert moving == (10_880 if variant == "tensorflow" else 0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_verdict_sees_70_by_70_pixels(variant):
    """Measured: the pixels that have a gradient. Norms, which see the whole picture, are taken out."""
    judge = ConditionalDiscriminator(8, variant)
    for block in judge.layers[1:4]:
        block[1] = nn.Identity()
    picture = torch.zeros(1, 3, 256, 256, requires_grad=True)
    judge(picture, picture)[0, 0, 15, 15].backward()
    reached = picture.grad.abs().sum((0, 1)) > 0
    for axis in (0, 1):
        places = reached.any(axis).nonzero()
        assert places.max() - places.min() + 1 == 70


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("up", ["transposed_conv", "nearest"])
@pytest.mark.parametrize(("size", "halvings"), [(128, 7), (64, 6), (64, 5), (96, 6), (64, 7)])
def test_other_sizes(variant, up, size, halvings):
    network = small(variant, up=up, halvings=halvings).eval()
    picture = torch.rand(2, 3, size, size) * 2 - 1
    with torch.inference_mode():
        painted = network(picture)
    assert painted.shape == picture.shape and painted.dtype == torch.float32
    assert painted.abs().max() <= 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_applied_it_repeats_itself_and_no_picture_depends_on_another(variant):
    network = small(variant).eval()
    pictures = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        together = network(pictures)
        assert torch.equal(together, network(pictures))
        assert torch.allclose(together[1:2], network(pictures[1:2]), atol=1e-5)


def test_the_original_paints_alike_in_training_and_applied():
    """Each picture's own statistics in both; a batch's, and then moving ones, in the tutorial."""
    pictures = torch.rand(3, 3, 64, 64)
    change = {}
    for variant in VARIANTS:
        network = small(variant, dropout=0.0)
        with torch.inference_mode():
            change[variant] = (network.train()(pictures) - network.eval()(pictures)).abs().max().item()
    assert change["original"] < 1e-6 < 1e-3 < change["tensorflow"]


@pytest.mark.parametrize(("variant", "slope"), [("original", 0.2), ("tensorflow", 0.3)])
def test_layers_of_a_block(variant, slope):
    generator = Pix2PixGenerator(3, 3, variant=variant, **PUBLISHED | {"channels": 8, "max_channels": 16})
    kinds = [[type(layer).__name__ for layer in block] for block in (*generator.downs, *generator.ups)]
    norm = {"original": "InstanceNorm2d", "tensorflow": "BatchNorm2d"}[variant]
    assert kinds[0] == ["Conv2d", "LeakyReLU"]
    assert kinds[1] == ["Conv2d", norm, "LeakyReLU"]
    assert kinds[7] == (kinds[0] if variant == "original" else kinds[1])  # the innermost
    assert kinds[8:11] == [["ConvTranspose2d", norm, "Dropout", "ReLU"]] * 3
    assert kinds[11:] == [["ConvTranspose2d", norm, "ReLU"]] * 4
    assert {m.negative_slope for m in generator.modules() if isinstance(m, nn.LeakyReLU)} == {slope}
    biased = sum(hasattr(m, "kernel_size") and m.bias is not None for m in generator.modules())
    assert biased == (3 if variant == "original" else 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_initial_weights(variant):
    network = Pix2PixGenerator(3, 3, variant=variant, **PUBLISHED | {"max_channels": 256})
    convolutions = torch.cat([m.weight.flatten() for m in network.modules() if hasattr(m, "kernel_size")])
    assert convolutions.mean().item() == pytest.approx(0, abs=1e-4)
    assert convolutions.std().item() == pytest.approx(0.02, rel=0.01)
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, (nn.BatchNorm2d, nn.InstanceNorm2d))])
    assert scales.mean().item() == pytest.approx(1, abs=0.005)
    assert scales.std().item() == pytest.approx(0.02 if variant == "original" else 0, rel=0.1, abs=1e-6)
