"""The user's own pictures of masks: where their corner points come to lie, and what each bad file is told."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from workflow_scripts.core.cli import UserError
from workflow_scripts.occluders._apply import apply_occluder, fit_reason
from workflow_scripts.occluders._config import Fit, Occluders
from workflow_scripts.occluders._pictures import list_pictures, read_pictures
from workflow_scripts.occluders.mask_picture import COVERS

FOUR = {"left_top": [20, 50], "right_top": [220, 50], "left_bottom": [60, 150], "right_bottom": [180, 150]}
SIX = FOUR | {"top": [120, 12], "bottom": [120, 188]}
DOTS = {"left_top": (255, 0, 0), "right_top": (0, 255, 0), "bottom": (0, 0, 255)}


def write_mask(folder, corners=SIX, name="cloth", suffix=".png"):
    """Write a grey mask whose corners of `DOTS` are coloured, on a transparent ground, and its corner points."""
    picture = np.zeros((200, 240, 4), np.uint8)
    order = ("left_top", "top", "right_top", "right_bottom", "bottom", "left_bottom")
    cv2.fillPoly(picture, [np.array([SIX[name] for name in order])], (150, 150, 150, 255))
    for corner, color in DOTS.items():
        shown = picture[..., 3].copy()
        cv2.circle(picture, SIX[corner], 18, (*color, 255), -1)
        picture[..., 3] = shown
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(folder / f"{name}{suffix}")
    if corners is not None:
        text = corners if isinstance(corners, str) else json.dumps(corners)
        (folder / f"{name}.json").write_text(text)


def masks_of(folder, kinds=("mask_picture",)):
    return read_pictures(list_pictures(folder), kinds)


@pytest.mark.parametrize("style", ["plain", "varied"])
@pytest.mark.parametrize("corners", [FOUR, SIX], ids=["four", "six"])
def test_a_mask_picture_covers_mouth_and_nose_with_its_corners_at_cheeks_and_chin(face, tmp_path, corners, style):
    write_mask(tmp_path, corners)
    masks, (image, landmarks) = masks_of(tmp_path)["mask_picture"], face
    for seed in range(4):
        result = apply_occluder(image, landmarks, "mask_picture", style, np.random.default_rng(seed), masks)
        assert fit_reason(result.coverage, landmarks, Fit(), COVERS) is None
        covered = result.image.astype(int) * (result.coverage > 200)[..., None]
        width = np.ptp(landmarks[:17, 0])
        for channel, place in enumerate((landmarks[2], landmarks[14], landmarks[8])):
            y, x = np.nonzero(2 * covered[..., channel] - covered.sum(-1) + covered[..., channel] > 120)
            assert np.hypot(x.mean() - place[0], y.mean() - place[1]) < 0.22 * width, (channel, seed)


def test_the_same_generator_draws_the_same_picture_of_several(face, tmp_path):
    write_mask(tmp_path, FOUR)
    write_mask(tmp_path, SIX, "other", ".webp")
    masks = masks_of(tmp_path)["mask_picture"]
    first, again = (
        apply_occluder(*face, "mask_picture", "varied", np.random.default_rng(5), masks).image.tobytes() for _ in "ab"
    )
    assert len(masks) == 2 and first == again


def test_moustaches_and_masks_lie_in_one_folder(tmp_path):
    write_mask(tmp_path)
    write_mask(tmp_path, None, "bar")
    found = masks_of(tmp_path, ("mask_picture", "moustache_picture", "surgical"))
    assert [len(found[kind]) for kind in ("mask_picture", "moustache_picture")] == [1, 1]


BAD_CORNERS = {
    "no corner points": "left_top: 4",
    "unknown point 'nose'": SIX | {"nose": [1, 1]},
    "has no right_top": {name: point for name, point in SIX.items() if name != "right_top"},
    "left_top is no x and y in the picture": SIX | {"left_top": [-4, 50]},
    "bottom is no x and y in the picture": SIX | {"bottom": [120]},
    "no corner points; write": SIX | {"bottom": ["below", 3]},
    "left is not left of right": SIX | {"left_top": [220, 50], "right_top": [20, 50]},
    "of the kind moustache_picture, which `mix` lacks": None,
}


@pytest.mark.parametrize("fault", BAD_CORNERS)
def test_bad_corner_points_are_named_in_one_line(tmp_path, fault):
    write_mask(tmp_path, BAD_CORNERS[fault])
    with pytest.raises(UserError, match=fault) as told:
        masks_of(tmp_path)
    assert "\n" not in str(told.value) and "cloth" in str(told.value)


def test_a_kind_without_a_picture_and_a_picture_without_its_kind_are_refused(tmp_path):
    write_mask(tmp_path)
    with pytest.raises(UserError, match="none is a moustache"):
        masks_of(tmp_path, ("moustache_picture", "mask_picture"))
    with pytest.raises(UserError, match=r"of the kind mask_picture, which `mix` lacks; .* remove cloth\.json"):
        masks_of(tmp_path, ("moustache_picture",))
    with pytest.raises(ValueError, match="belong together"):
        Occluders(mix={"mask_picture": 1})
