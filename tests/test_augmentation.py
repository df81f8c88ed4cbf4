"""What training shows of an item: through a window, mirrored, moved."""

import torch

from workflow_scripts.config.training import Training
from workflow_scripts.training.augmentation import augment
from workflow_scripts.training.data import Key


def flipped(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: x.flip(-1) for name, x in batch.items()}


def test_an_enlarged_item_is_shown_through_a_random_window_and_mirrored_half_of_the_time():
    """pix2pix's jitter, 286 of 256 pixels; a picture of its own coordinates tells where the window was."""
    side = 256
    places = torch.arange(side, dtype=torch.float32) / side
    picture = torch.stack([places.expand(side, side), places[:, None].expand(side, side), torch.zeros(side, side)])
    keys = [Key("source", str(number), 0) for number in range(200)]
    batch = {"input": picture.expand(200, 3, side, side), "map": picture[None, :1].expand(200, 1, side, side)}
    shown = augment(batch, keys, 1, 0, Training(flip=True, enlarge=1.117), flipped)
    assert {name: x.shape for name, x in shown.items()} == {name: x.shape for name, x in batch.items()}
    assert torch.allclose(shown["input"][:, :1], shown["map"], atol=1e-6)  # the same window
    across, down = shown["input"][:, 0, 128], shown["input"][:, 1, :, 128]
    mirrored = across[:, -1] < across[:, 0]
    assert 70 < mirrored.sum() < 130
    step = (down[:, 200] - down[:, 50]) * side / 150
    assert torch.allclose(step, torch.tensor(256 / 286), atol=1e-3)  # enlarged to 286
    starts = {round((value * 286).item()) for value in down[:, 128] - 128 / 286}
    assert len(starts) > 25 and max(starts) - min(starts) <= 30
    plain = augment(batch, keys, 1, 0, Training(), flipped)
    assert all(plain[name] is x for name, x in batch.items())


def test_a_moved_item_is_shifted_turned_and_scaled_a_little_all_columns_alike():
    side, move = 64, 0.1
    places = (torch.arange(side, dtype=torch.float32) + 0.5) / side - 0.5
    picture = torch.stack([places.expand(side, side), places[:, None].expand(side, side), torch.zeros(side, side)])
    keys = [Key("source", str(number), 0) for number in range(200)]
    batch = {"input": picture.expand(200, 3, side, side), "map": picture[None, :1].expand(200, 1, side, side)}
    shown = augment(batch, keys, 1, 0, Training(move=move), flipped)
    assert torch.allclose(shown["input"][:, :1], shown["map"], atol=1e-6)
    middle = shown["input"][:, :2, 31:33, 31:33].mean(dim=(2, 3))  # where the middle came from
    across = (shown["input"][:, :2, 32, 40] - shown["input"][:, :2, 32, 24]) * side / 16  # a step to the right
    size, turn = across.norm(dim=1), torch.atan2(across[:, 1], across[:, 0])
    for values, center, reach in (
        (middle[:, 0], 0, move),
        (middle[:, 1], 0, move),
        (turn, 0, move),
        (1 / size, 1, move),
    ):
        assert (values - center).abs().max() <= reach * 1.01
        assert values.min() < center - 0.9 * reach and values.max() > center + 0.9 * reach
