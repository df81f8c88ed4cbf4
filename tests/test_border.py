"""Where what is painted ends: the margin and the feather of the map, in training, in the workflow and in `apply`."""

import numpy as np
import pytest
import torch

from workflow_scripts.systems._removal.config import Border
from workflow_scripts.systems._removal.fill import feathered, widen
from workflow_scripts.systems._removal.inference import paint_bare_faces
from workflow_scripts.systems._removal.maps import border_weights, mix
from workflow_scripts.systems._removal.training import composite
from workflow_scripts.systems.unmask.config import EditNetwork
from workflow_scripts.systems.unmask.networks import EditModule
from workflow_scripts.systems.unmask.training import UnmaskTraining


@pytest.fixture
def found() -> np.ndarray:
    plane = np.zeros((64, 64), np.uint8)
    plane[20:40, 24:44] = 255
    return plane


def test_weights_are_the_map_then_its_margin_then_fall_over_the_feather(found):
    assert np.array_equal(border_weights(found, Border()), (found > 0).astype(np.float32))
    wide = border_weights(found, Border(margin=2))
    assert wide[18:42, 22:46].all() and wide.sum() == 24 * 24
    soft = border_weights(found, Border(margin=2, feather=4))
    row = soft[30, 46:52]
    assert (soft[18:42, 22:46] == 1).all() and (np.diff(row[:4]) < 0).all() and row[0] < 1 and not row[3:].any()


def test_networks_learn_and_paint_with_the_margin(found):
    config = EditNetwork(fill="grey", border={"margin": 3}, unet={"blocks": 3, "channels": 4, "squeeze_excitation": []})
    module = EditModule(config).eval()
    wide = border_weights(found, config.border)
    maps = torch.from_numpy(found)[None, None] / 255
    assert np.array_equal(widen(maps, 3)[0, 0].numpy(), wide)
    batch = {"input": torch.ones(1, 3, 64, 64), "target": torch.ones(1, 3, 64, 64), "map": maps}
    prepared = UnmaskTraining(config, module, None).prepare(batch, [0])
    assert np.array_equal(prepared["map"][0, 0].numpy(), wide)
    assert not prepared["filled"][0, :, wide > 0].any()
    seen = []
    module.register_forward_hook(lambda _module, given, _output: seen.append(given[1][0, 0].numpy()))
    paint_bare_faces(module, np.full((1, 64, 64, 3), 255, np.uint8), found[None])
    assert np.array_equal(seen[0], wide)


@pytest.mark.parametrize(("margin", "feather"), [(0, 0), (0, 1.5), (2, 2), (1, 5.5), (3, 31.7)])
def test_networks_are_trained_with_the_border_that_is_applied(found, margin, feather):
    border = Border(margin=margin, feather=feather)
    maps = torch.from_numpy(np.stack([found, np.roll(found, 20, 0), np.zeros_like(found)]))[:, None] / 255
    wanted = [border_weights((one[0] * 255).byte().numpy(), border) for one in maps]
    assert torch.allclose(feathered(widen(maps, margin), feather)[:, 0], torch.from_numpy(np.stack(wanted)), atol=1e-5)

    system = UnmaskTraining(EditNetwork(border=border), EditModule(EditNetwork(border=border)), None)
    batch = {"input": torch.ones(3, 3, 64, 64), "target": torch.ones(3, 3, 64, 64), "map": maps}
    shown = composite(torch.full((3, 3, 64, 64), -1.0), batch | system.prepare(batch, [0] * 3))
    assert np.allclose(shown[0, 0].numpy(), 1 - 2 * wanted[0], atol=1e-5)


def test_the_picture_stays_beyond_the_border(found):
    picture, painted = np.full((64, 64, 3), 200, np.uint8), np.full((64, 64, 3), 40, np.uint8)
    mixed = mix(picture, painted, border_weights(found, Border(margin=1, feather=3)))
    assert (mixed[20:40, 24:44] == 40).all() and (mixed[:15] == 200).all()
    assert 40 < mixed[30, 46, 0] < 200
