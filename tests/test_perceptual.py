"""The perceptual distance is the mean that its definition gives, and is named after the network that it is made of."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import Weights
from workflow_scripts.core.cli import UserError
from workflow_scripts.metrics.perceptual import NAMES, PerceptualDistance
from workflow_scripts.models.lpips import VGG16, AlexNet, load_lpips
from workflow_scripts.stages.sources.fetch_weights import WEIGHTS
from workflow_scripts.systems._completion.config import DISTANCE_WEIGHTS

CHANNELS = {"lpips_alex": (64, 192, 384, 256, 256), "lpips_vgg": (64, 128, 256, 512, 512)}


@pytest.fixture(scope="module")
def alex(tmp_path_factory) -> dict:
    """Random weights of AlexNet, and random heads, as files."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    files = {name: folder / f"{name}.safetensors" for name in ("alexnet", "lpips_alex")}
    save_file(AlexNet().state_dict() | {"classifier.1.weight": torch.zeros(1)}, files["alexnet"])
    heads = {f"lin{tap}.model.1.weight": torch.rand(1, size, 1, 1) for tap, size in enumerate(CHANNELS["lpips_alex"])}
    save_file(heads, files["lpips_alex"])
    return files


@pytest.fixture
def colours(efficientnet_lite0) -> PerceptualDistance:
    """The distance with the colours themselves as the only features."""
    distance = PerceptualDistance("efficientnet_lite0", {"efficientnet_lite0": efficientnet_lite0})
    distance._network = SimpleNamespace(taps=lambda pictures: [pictures])
    return distance


def test_two_pictures_by_hand(colours):
    """Red and green are at right angles: their squared distance is 2. Half of the picture differs, all of the hole."""
    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    pictures[..., 0] = 200
    pictures[1, :, :4] = (0, 100, 0)
    hole = np.zeros((8, 8), bool)
    hole[2:6, 1:3] = True
    assert colours.diversity(pictures, hole) == pytest.approx((1.0, 2.0), abs=1e-5)
    assert colours.diversity(pictures, ~hole) == pytest.approx((1.0, 2 * 24 / 56), abs=1e-5)
    assert colours.diversity(pictures, np.zeros((8, 8), bool)).hole is None


def test_the_mean_over_all_pairs_is_that_of_the_pairs(alex):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), bool)
    hole[10:40, 20:60] = True
    distance = PerceptualDistance("lpips_alex", alex)
    pairs = [distance.diversity(pictures[[a, b]], hole) for a, b in combinations(range(4), 2)]
    assert distance.diversity(pictures, hole) == pytest.approx(np.mean(pairs, axis=0), rel=1e-5)


def test_lpips_is_the_sum_of_weighted_squared_differences_of_directions(alex):
    """Equation 1 of Zhang et al. 2018, written out for one pair."""
    pictures = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    network, heads = load_lpips("lpips_alex", alex)
    total = 0.0
    for (a, b), head in zip(network.taps(torch.tensor(pictures).permute(0, 3, 1, 2) / 255), heads, strict=True):
        for place in np.ndindex(*a.shape[1:]):
            one, two = (tap[:, place[0], place[1]] for tap in (a, b))
            difference = one / one.norm().clamp(min=1e-10) - two / two.norm().clamp(min=1e-10)
            total += float((head * difference**2).sum()) / a[0].numel()
    found = PerceptualDistance("lpips_alex", alex).diversity(pictures, np.ones((64, 64), bool))
    assert found.whole == pytest.approx(total, rel=1e-4)


def test_more_damage_is_more_distance_and_it_lies_where_it_was_done(efficientnet_lite0, astronaut):
    face = astronaut[40:168, 160:288]
    hole = np.zeros((128, 128), bool)
    hole[70:110, 30:90] = True
    distance = PerceptualDistance("efficientnet_lite0", {"efficientnet_lite0": efficientnet_lite0})

    def spread(noise: float):
        added = np.random.default_rng(0).normal(0, noise, (4, *face.shape)) * hole[..., None]
        return distance.diversity(np.clip(face + added, 0, 255).astype(np.uint8), hole)

    weak, strong = spread(5), spread(40)
    assert 0 < weak.whole < strong.whole and 0 < weak.hole < strong.hole
    assert strong.hole > 2 * strong.whole
    assert distance.diversity(np.stack([face] * 3), hole) == pytest.approx((0, 0), abs=1e-6)
    assert distance.diversity(face[None], hole) == (0, 0)


@pytest.mark.parametrize(
    ("network", "heads", "parameters", "places"),
    [(AlexNet, "lpips_alex", 2_469_696, (15, 7, 3, 3, 3)), (VGG16, "lpips_vgg", 14_714_688, (64, 32, 16, 8, 4))],
)
def test_the_networks_of_lpips_have_the_published_taps(network, heads, parameters, places):
    built = network()
    assert sum(tensor.numel() for tensor in built.parameters()) == parameters
    shapes = [tuple(tap.shape) for tap in built.taps(torch.rand(1, 3, 64, 64))]
    assert shapes == [(1, size, side, side) for size, side in zip(CHANNELS[heads], places, strict=True)]


def test_weights_of_something_else_are_refused(alex, tmp_path):
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name in alex:
        with pytest.raises(UserError, match="do not hold the weights of lpips_alex"):
            load_lpips("lpips_alex", alex | {name: tmp_path / "other.safetensors"})


def test_every_distance_has_a_name_and_weights_that_are_pinned():
    assert set(NAMES) == set(DISTANCE_WEIGHTS)
    assert {name for names in DISTANCE_WEIGHTS.values() for name in names} <= set(WEIGHTS)
    assert "lpips" not in NAMES["efficientnet_lite0"].lower()


def test_lpips_without_its_networks_weights_is_refused_at_the_start(tmp_path):
    def load(weights: dict):
        experiment = {"system": "diverse", "train": ["photos"], "test": ["photos"]}
        experiment |= {"evaluation": {"distance": "lpips_vgg"}}
        source = {"type": "folder", "path": str(tmp_path)}
        return load_config({"sources": {"photos": source}, "experiments": {"faces": experiment}, "weights": weights})

    with pytest.raises(UserError, match=r"vgg16 needs its weights.*`weights: \{vgg16: PATH\}` .*vgg16-397923af.pth"):
        load({})
    assert "vgg16" in Weights.model_fields and load({"vgg16": str(tmp_path / "vgg16-397923af.pth")})
