"""What keeps a driven face like the person: frames that the network holds and warps."""

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_render import CPU, FRAMES, SIDE, WATCHED, drive, frame, landmarks, shards, train

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.models.warping import nearness, warp_faces
from workflow_scripts.systems.reenact.inference import load_network
from workflow_scripts.systems.reenact.networks import choose_references
from workflow_scripts.training.data import pictures_to_uint8

__all__ = ["shards"]  # a fixture
LARGE = 96
FACE = torch.from_numpy(LARGE / SIDE * (landmarks(0) + 0.5) - 0.5)


def smooth(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(40, 215, (7, 7, 3), np.uint8)
    return cv2.resize(coarse, (LARGE, LARGE), interpolation=cv2.INTER_CUBIC)


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_landmarks_that_move_as_a_whole_move_the_picture_so():
    picture, turn, size, shift = smooth(1), 0.3, 1.1, (4.0, -3.0)
    matrix = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.full(2, LARGE / 2)
    matrix = np.column_stack([matrix, middle + shift - matrix @ middle])
    wanted = FACE @ torch.from_numpy(matrix[:, :2].T).float() + torch.from_numpy(matrix[:, 2]).float()
    found = pictures_to_uint8(warp_faces(as_tensor(picture), FACE[None], wanted[None])[0])[0]
    moved = cv2.warpAffine(picture, matrix, (LARGE, LARGE), borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(found.astype(int) - moved).max() <= 3


def test_each_of_several_pictures_shows_its_landmarks_where_they_are_wanted():
    """Two pictures with a dot on one eye, warped onto two faces whose eyes lie elsewhere."""
    eye = slice(36, 52)
    found = torch.stack([FACE, FACE + torch.tensor([5.0, 2.0])])
    pictures = []
    for points in found:
        picture = np.zeros((LARGE, LARGE, 3), np.uint8)
        cv2.circle(picture, tuple(points[eye].mean(0).round().int().tolist()), 4, (255, 255, 255), -1)
        pictures.append(as_tensor(picture))
    wanted = torch.stack([FACE, FACE])
    wanted[0, eye] += torch.tensor([0.0, -7.0])
    wanted[1, eye] += torch.tensor([6.0, 0.0])
    warped = warp_faces(torch.cat(pictures), found, wanted)
    assert warped.shape == (2, 2, 3, LARGE, LARGE)
    rows, columns = torch.meshgrid(torch.arange(LARGE), torch.arange(LARGE), indexing="ij")
    for item, other in np.ndindex(2, 2):
        light = (warped[item, other].mean(0) + 1) / 2
        middle = torch.stack([(light * columns).sum(), (light * rows).sum()]) / light.sum()
        assert (middle - wanted[item, eye].mean(0)).norm() < 1.5


def test_a_face_is_near_its_landmarks_wherever_and_however_large_it_is():
    faces = torch.stack([FACE, FACE * 0.5 + 20])
    near = nearness(faces, LARGE)
    assert near.shape == (2, 1, LARGE, LARGE) and near.min() == 0 and near.max() == 1
    for face, map_ in zip(faces, near[:, 0], strict=True):
        radius = (face - face.mean(0)).norm(dim=1).max()
        rows, columns = torch.meshgrid(torch.arange(LARGE), torch.arange(LARGE), indexing="ij")
        away = (torch.stack([columns, rows], 2) - face.mean(0)).norm(dim=2)
        across, along = face.round().int().unbind(1)
        assert (map_[along, across] > 0.95).all() and (map_[away > 2.2 * radius] == 0).all()


def test_references_stand_for_all_frames_and_odd_ones_are_not_chosen():
    rng = torch.Generator().manual_seed(0)
    looks = torch.randn(3, 68, 2, generator=rng)
    frames = looks.repeat_interleave(20, 0) + 0.01 * torch.randn(60, 68, 2, generator=rng)
    frames[::20] = torch.randn(3, 68, 2, generator=rng)  # landmarks gone astray
    placed = frames * torch.rand(60, 1, 1, generator=rng).add(1) + 30 * torch.randn(60, 1, 2, generator=rng)
    chosen = choose_references(placed, 3)
    assert sorted(number // 20 for number in chosen) == [0, 1, 2] and all(number % 20 for number in chosen)
    assert len(choose_references(placed[:2], 5)) == 5


def watched_psnr(checkpoint) -> list[float]:
    curves = read_table(checkpoint.with_name("curves.parquet"))
    return curves[(curves["split"] == "val") & (curves["name"] == "psnr")].sort_values("epoch")["value"].to_list()


def test_references_show_the_face_before_anything_is_learned(shards, tmp_path):
    few = {"epochs": 2, "move": 0.05}
    without, references = (
        watched_psnr(train(shards, tmp_path / str(count), loop=few, references=count)) for count in (0, 4)
    )
    assert references[0] > without[0] + 2 and references[-1] > without[-1]


@pytest.mark.parametrize("temporal", [False, True])
def test_a_checkpoint_has_its_references_and_a_training_goes_on(shards, tmp_path, temporal):
    keys = {"references": 3, "temporal": temporal}
    loop = {"schedule": "constant", "flip": True, "enlarge": 1.1}
    whole = train(shards, tmp_path / "whole", loop=loop | {"epochs": 2}, **keys)
    train(shards, tmp_path / "parts", loop=loop | {"epochs": 1}, **keys)
    parts = train(shards, tmp_path / "parts", loop=loop | {"epochs": 2}, **keys)
    first, second = load_file(whole), load_file(parts)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []

    held = load_network(whole, CPU).references
    faces = {frame(number)[1].tobytes() for number in range(FRAMES - WATCHED)}
    assert held.pictures.shape == (3, SIDE, SIDE, 3) and {one.tobytes() for one in held.pictures.numpy()} <= faces
    driven = drive(shards, whole, tmp_path / "driven.arrow")
    truth = np.stack([frame(number)[1] for number in (40, 41, 42, 43, 50, 51, 52)])
    assert len(Shard(tmp_path / "driven.arrow")) == 7 and np.abs(driven.astype(int) - truth).mean() < 30
