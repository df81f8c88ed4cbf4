"""The networks: shapes, sizes counted by hand, and that the pretrained one really sees."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import nn

from workflow_scripts.core.cli import UserError
from workflow_scripts.models.config import UNetConfig
from workflow_scripts.models.efficientnet_lite import Convolution, EfficientNetLite0, load_efficientnet_lite0
from workflow_scripts.models.patch_discriminator import PatchDiscriminator
from workflow_scripts.models.unet import SqueezeExcitation, UNet
from workflow_scripts.models.vgg19 import TAPS, VGG19, load_vgg19
from workflow_scripts.systems._removal.config import MapNetwork
from workflow_scripts.systems._removal.maps import clean_map, difference_map
from workflow_scripts.systems._removal.networks import MapModule
from workflow_scripts.systems.moustache.config import PaintNetwork
from workflow_scripts.systems.moustache.networks import PaintModule
from workflow_scripts.systems.unmask.config import EditNetwork
from workflow_scripts.systems.unmask.networks import EditModule

ATROUS = dict(blocks=5, atrous=True, dropout=[0.25, 0.5])
SE = dict(squeeze_excitation=[1, 2])


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def build_editor(mirror: bool) -> EditModule:
    return EditModule(EditNetwork(unet={"blocks": 3, "channels": 4, "squeeze_excitation": []}, mirror=mirror))


def build_painter(mirror: bool) -> PaintModule:
    return PaintModule(PaintNetwork(generator={"halvings": 3, "channels": 4, "max_channels": 8}, mirror=mirror))


def convolution(inputs: int, outputs: int, side: int = 3, bias: bool = False) -> int:
    return inputs * outputs * side**2 + (outputs if bias else 0)


def block(inputs: int, width: int, plain: bool = False) -> int:
    """Parameters of two convolutions, each with either a bias or the two numbers of batch normalisation a channel."""
    norm = 1 if plain else 2
    return convolution(inputs, width) + convolution(width, width) + 2 * norm * width


def unet_parameters(widths: list[int], inputs: int, outputs: int) -> int:
    """Parameters of a U-Net with max pooling and transposed convolution, added up by hand."""
    encoder = block(inputs, widths[0], plain=True) + sum(block(a, b) for a, b in pairwise(widths))
    decoder = sum(convolution(b, a, 2, bias=True) + block(2 * a, a) for a, b in pairwise(widths))
    return encoder + decoder + convolution(widths[0], outputs, 1, bias=True)


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        (dict(blocks=5), [64, 128, 256]),
        (dict(blocks=9), [64, 128, 256, 512, 1024]),
        (dict(blocks=11), [64, 128, 256, 512, 1024, 1024]),
        (dict(blocks=9, channels=16, max_channels=64), [16, 32, 64, 64, 64]),
    ],
)
def test_unet_has_the_parameters_counted_by_hand(shape, widths):
    network = UNet(UNetConfig(up="transposed_conv", **shape), inputs=1, outputs=1)
    assert parameters(network) == unet_parameters(widths, 1, 1)


def test_squeeze_excitation_is_two_fully_connected_layers_with_reduction_16():
    assert parameters(SqueezeExcitation(64)) == (64 * 4 + 4) + (4 * 64 + 64)
    plain, weighed = (UNet(UNetConfig(blocks=9, **extra), 4, 3) for extra in ({}, SE))
    assert parameters(weighed) - parameters(plain) == (64 * 4 + 4 + 4 * 64 + 64) + (128 * 8 + 8 + 8 * 128 + 128)


@pytest.mark.parametrize("blocks", [3, 5, 7, 9, 11])
@pytest.mark.parametrize("extra", [{}, SE, ATROUS, ATROUS | SE], ids=["plain", "se", "atrous", "atrous-se"])
def test_every_published_shape_keeps_the_size_of_the_picture(blocks, extra):
    extra = extra | {"blocks": blocks}
    if blocks == 3:
        extra["squeeze_excitation"] = extra.get("squeeze_excitation", [])[:1]
    network = UNet(UNetConfig(channels=8, **extra), inputs=4, outputs=3).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, 64, 96)).shape == (1, 3, 64, 96)


@pytest.mark.parametrize("down", ["max_pool", "strided_conv"])
@pytest.mark.parametrize("up", ["transposed_conv", "nearest", "bilinear"])
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
def test_every_combination_of_layers_learns(down, up, norm):
    torch.manual_seed(0)
    network = UNet(UNetConfig(blocks=5, channels=4, down=down, up=up, norm=norm, plain_first=False), 3, 1)
    network(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_interpolation_leaves_no_checkerboard():
    """A flat picture must come out flat away from the border, also from an untrained network."""
    torch.manual_seed(0)
    flat = torch.ones(1, 3, 256, 256)
    spread = {}
    for up in ("nearest", "transposed_conv"):
        with torch.inference_mode():
            output = UNet(UNetConfig(blocks=5, channels=8, up=up), 3, 1).eval()(flat)
        spread[up] = output[..., 96:160, 96:160].std().item()
    assert spread["nearest"] < 1e-5
    assert spread["transposed_conv"] > 100 * spread["nearest"]


@pytest.mark.parametrize("mirror", [True, False])
def test_a_mirrored_face_has_the_mirrored_map_where_the_configuration_asks_for_it(mirror):
    torch.manual_seed(0)
    network = MapModule(MapNetwork(unet=UNetConfig(blocks=3, channels=4), mirror=mirror)).eval()
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.inference_mode():
        mirrored = network(pictures.flip(-1)).flip(-1)
        assert torch.allclose(network(pictures), mirrored, atol=1e-6) == mirror


@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("build", [build_editor, build_painter])
def test_a_mirrored_face_is_painted_mirrored_where_the_configuration_asks_for_it(build, mirror):
    torch.manual_seed(0)
    network = build(mirror).eval()
    shown = torch.rand(2, 3, 16, 16) * 2 - 1, (torch.rand(2, 1, 16, 16) > 0.5).float()
    with torch.inference_mode():
        mirrored = network(*(x.flip(-1) for x in shown)).flip(-1)
        assert torch.allclose(network(*shown), mirrored, atol=1e-6) == mirror
    assert not torch.allclose(network.train()(*shown), network(*(x.flip(-1) for x in shown)).flip(-1), atol=1e-6)


def test_a_picture_that_cannot_be_halved_is_named():
    with pytest.raises(ValueError, match=r"sides divisible by 16, got 120x128"):
        UNet(UNetConfig(blocks=9, channels=4), 3, 1)(torch.zeros(1, 3, 128, 120))


def test_patch_discriminator_judges_14_by_14_patches_of_70_pixels():
    network = PatchDiscriminator().eval()
    assert network(torch.zeros(2, 3, 128, 128)).shape == (2, 1, 14, 14)
    inner = 3 * 64 * 16 + 64 + (64 * 128 + 128 * 256 + 256 * 512) * 16 + 2 * (128 + 256 + 512) + 512 * 16 + 1
    assert parameters(network) == inner

    picture = torch.zeros(1, 3, 128, 128, requires_grad=True)
    network(picture)[0, 0, 7, 7].backward()
    rows = picture.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def test_vgg19_has_the_published_taps():
    """Its 16 convolutions hold 20,024,384 parameters; the taps follow the fourth ReLU of blocks 3, 4, 5."""
    network = VGG19()
    assert parameters(network) == 20_024_384
    assert [type(network.features[tap]) for tap in TAPS] == [nn.ReLU] * 3
    shapes = [tuple(tap.shape) for tap in network.taps(torch.rand(1, 3, 64, 64))]
    assert shapes == [(1, 256, 16, 16), (1, 512, 8, 8), (1, 512, 4, 4)]


def test_vgg19_loads_torchvisions_tensors_and_refuses_others(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "vgg19.safetensors"
    published = VGG19().state_dict()
    save_file(published | {"classifier.0.weight": torch.zeros(1)}, path)
    assert torch.equal(load_vgg19(path).features[0].weight, published["features.0.weight"])
    save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="does not hold the weights of VGG19"):
        load_vgg19(path)
    with pytest.raises(UserError, match="no weights at"):
        load_vgg19(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(("size", "kernel"), [(33, 3), (35, 5), (34, 5)])
def test_the_gradient_of_a_strided_depthwise_convolution_in_bf16_is_torchs_own(size, kernel):
    torch.manual_seed(0)
    layer = Convolution(6, 6, kernel, stride=2, groups=6, linear=True).requires_grad_(False).eval()
    gradients = []
    for dtype in (torch.bfloat16, torch.float32):  # as with autocast: of bf16 we compute it ourselves
        picture = torch.randn(2, 6, size, size, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            (layer(picture) * torch.linspace(0, 1, 6)[:, None, None]).float().sum().backward()
        gradients.append(picture.grad.float())
    assert gradients[1].abs().amax() > 0.1
    assert torch.allclose(*gradients, atol=0.02)


def test_efficientnet_features_do_not_depend_on_the_mode():
    network = EfficientNetLite0().train()
    pictures = torch.rand(2, 3, 64, 64)
    assert [tuple(tap.shape[1:]) for tap in network.taps(pictures)] == [(24, 16, 16), (40, 8, 8), (112, 4, 4)]
    assert torch.equal(network.features(pictures), network.features(pictures))
    assert parameters(network) == 4_652_008


@pytest.mark.parametrize(("picture", "classes"), [("chelsea", range(281, 286)), ("coffee", (504, 967, 968))])
def test_efficientnet_recognises_a_cat_and_a_coffee(efficientnet_lite0, picture, classes):
    image = getattr(data, picture)()
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    image = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    pictures = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        probability = load_efficientnet_lite0(efficientnet_lite0)(pictures).softmax(dim=1)[0]
    assert probability.argmax() in classes
    assert probability[list(classes)].sum() > 0.5


def test_maps_follow_threshold_and_opening(astronaut):
    occluded = astronaut.copy()
    occluded[100:140, 100:140] = 255 - occluded[100:140, 100:140] // 2
    occluded[10, 10] = 255 - occluded[10, 10]  # one pixel of noise
    faint = occluded.copy()
    faint[300:340, 300:340] = np.clip(faint[300:340, 300:340].astype(int) + 6, 0, 255)  # not above the threshold

    found = difference_map(faint, astronaut, threshold=6, opening=3)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 255}
    assert found[10, 10] == 0
    assert not found[300:340, 300:340].any()
    assert found[105:135, 105:135].all()
    assert difference_map(faint, astronaut, threshold=6, opening=0)[10, 10] == 255
    assert difference_map(faint, astronaut, threshold=5, opening=3)[305:335, 305:335].mean() > 250


def test_a_predicted_map_is_binarised_at_one_half_and_opened():
    probability = np.zeros((32, 32), np.uint8)
    probability[4:12, 4:12] = 128
    probability[20:28, 20:28] = 127
    probability[16, 16] = 255
    expected = np.zeros_like(probability)
    expected[4:12, 4:12] = 255
    assert np.array_equal(clean_map(probability, 3), expected)
