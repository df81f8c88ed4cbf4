"""What the map network is shown in training: bad light, cameras and files, faces far away; maps stay true."""

import cv2
import numpy as np
import pytest
import torch

from workflow_scripts.config.training import Training
from workflow_scripts.systems._removal import degradation
from workflow_scripts.systems._removal.config import Degradation, MapNetwork
from workflow_scripts.systems._removal.degradation import KINDS, degrade, step_back
from workflow_scripts.systems._removal.training import MapTraining
from workflow_scripts.training.data import Key, pictures_to_float, pictures_to_uint8

COUNT = 40
KEYS = [Key("people", str(number), 0) for number in range(COUNT)]
NONE = dict.fromkeys(KINDS, 0.0)


@pytest.fixture(scope="module")
def pictures(astronaut) -> torch.Tensor:
    small = cv2.resize(astronaut, (64, 64), interpolation=cv2.INTER_AREA)
    return pictures_to_float(torch.from_numpy(np.stack([small] * COUNT)))


def only(kind: str, share: float = 0.5) -> Degradation:
    return Degradation(**(NONE | {kind: share}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_of_the_items_meets_each_kind_and_an_item_s_fate_is_its_own(pictures, kind):
    shown = degrade({"input": pictures, "target": pictures}, KEYS, 1, 0, only(kind))
    changed = (shown["input"] != pictures).flatten(1).any(1)
    assert 10 <= changed.sum() <= 30
    assert shown["input"].min() >= -1 and shown["input"].max() <= 1
    if kind != "noise":  # each picture has its own grain
        assert torch.equal(shown["input"], shown["target"])
    some = [3, 17, 30]
    alone = degrade({"input": pictures[some]}, [KEYS[one] for one in some], 1, 0, only(kind))
    assert torch.allclose(alone["input"], shown["input"][some], atol=1e-5)
    again = degrade({"input": pictures}, KEYS, 1, 1, only(kind))
    assert not torch.equal(again["input"], shown["input"])  # another epoch


def test_nothing_is_done_where_no_share_is_given(pictures):
    shown = degrade({"input": pictures}, KEYS, 1, 0, Degradation(**NONE))
    assert shown["input"] is pictures


def test_kinds_are_what_they_are_called(pictures):
    def of(kind: str) -> torch.Tensor:
        return degrade({"input": pictures}, KEYS, 1, 0, only(kind, 0.99))["input"]

    def detail(x: torch.Tensor) -> float:
        return (x[..., 1:] - x[..., :-1]).abs().mean().item()

    colour = (pictures[:, 0] - pictures[:, 2]).abs().mean()
    grey = of("grey")
    assert (grey[:, 0] - grey[:, 2]).abs().mean() < 0.5 * colour
    tinted = (of("tint") + 1).mean((2, 3))
    assert (tinted.amax(1) > 1.5 * tinted.amin(1)).float().mean() > 0.6
    levels = of("expose").mean((1, 2, 3))
    assert levels.min() < pictures.mean() - 0.3 and levels.max() > pictures.mean() + 0.1
    assert detail(of("blur")) < 0.7 * detail(pictures) and detail(of("reduce")) < 0.7 * detail(pictures)
    assert detail(of("noise")) > 1.3 * detail(pictures)


@pytest.mark.parametrize("quality", [10, 50])
def test_jpeg_is_near_what_a_file_of_that_quality_holds(pictures, quality):
    picture = pictures_to_uint8(pictures[:1])[0]
    file = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    true = cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
    amount = torch.full((1, 3, 1, 1, 1), (quality - 5) / 55)
    ours = pictures_to_uint8(degradation.DONE["jpeg"](pictures[:1], amount))[0].astype(float)

    def error(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(((a - b) ** 2).mean()))

    assert error(ours, true) < 0.5 * error(true, picture)


def test_far_faces_are_smaller_and_their_maps_too():
    side = 64
    places = torch.arange(side, dtype=torch.float32) / side
    picture = torch.stack([places.expand(side, side), places[:, None].expand(side, side), torch.zeros(side, side)])
    columns = {"input": picture.expand(COUNT, 3, side, side), "map": picture[None, :1].expand(COUNT, 1, side, side)}
    shown = step_back(columns, KEYS, 1, 0, 0.5)
    changed = (shown["map"] != columns["map"]).flatten(1).any(1)
    assert 10 <= changed.sum() <= 30
    assert torch.allclose(shown["input"][:, :1], shown["map"], atol=1e-6)
    steps = (shown["map"][changed][:, 0, 0, 1:] - shown["map"][changed][:, 0, 0, :-1]).abs().median(1).values * side
    assert steps.min() > 1.4 and steps.max() < 4.2
    assert torch.equal(columns["map"][0], picture[:1])
    assert step_back(columns, KEYS, 1, 0, 0.0)["map"] is columns["map"]


def test_the_map_network_s_training_changes_its_pictures_and_leaves_true_maps(pictures):
    maps = torch.zeros(COUNT, 1, 64, 64)
    maps[:, :, 32:] = 1
    batch = {"input": pictures, "target": pictures, "map": maps}
    system = MapTraining(MapNetwork(degrade={}), torch.nn.Identity())
    shown = system.augment(batch, KEYS, 1, 0, Training())
    assert torch.equal(shown["map"], maps) and not torch.equal(shown["input"], pictures)
    assert not torch.equal(shown["target"], pictures)  # bare faces are shown too
    plain = MapTraining(MapNetwork(), torch.nn.Identity()).augment(batch, KEYS, 1, 0, Training())
    assert all(plain[name] is x for name, x in batch.items())
