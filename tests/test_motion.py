"""Moving objects are found before a static, a translating and a shaking camera, in scenes whose truth is known."""

import numpy as np
import pytest
from motion_scenes import render, texture

from workflow_scripts.config.motion import Motion
from workflow_scripts.metrics.overlap import iou
from workflow_scripts.motion.blobs import clean
from workflow_scripts.motion.camera import camera_class, residual_flow
from workflow_scripts.motion.flow import Flows
from workflow_scripts.motion.segment import segment
from workflow_scripts.motion.shots import SHORTEST, colours, even_parts, first_frames
from workflow_scripts.motion.superpixels import describe, find_superpixels
from workflow_scripts.motion.voting import find_neighbours

SMALL = Motion(superpixels=200)


def masks_of(pictures: np.ndarray, motion: Motion = SMALL) -> tuple[np.ndarray, set[str]]:
    """Return where the foreground is, bool (n, H, W), and the classes of the camera's motion."""
    found = [(clean(votes, motion.foreground, motion.blobs)[0], camera) for votes, camera in segment(pictures, motion)]
    return np.stack([mask >= motion.foreground for mask, _ in found]), {camera for _, camera in found}


def mean_iou(masks: np.ndarray, truths: np.ndarray) -> float:
    return float(np.mean([iou(mask, truth) for mask, truth in zip(masks, truths, strict=True)]))


@pytest.mark.parametrize("camera", ["static", "translating", "shaking"])
def test_the_object_is_found_whatever_the_camera_does(camera):
    pictures, truths = render(camera)
    masks, classes = masks_of(pictures)
    assert mean_iou(masks, truths) >= 0.75
    if camera != "shaking":
        assert classes == {camera}


def test_an_object_that_rests_for_a_while_is_found_by_the_frames_in_which_it_moves():
    pictures, truths = render("shaking", frames=20, pause=8)
    assert mean_iou(masks_of(pictures)[0][:5], truths[:5]) >= 0.7


def test_nothing_is_found_where_nothing_moves():
    still = np.repeat(texture(1, 120, 160, (70, 110, 130))[None], 12, axis=0)
    noise = np.random.default_rng(0).normal(0, 2, still.shape)
    masks, classes = masks_of(np.clip(still + noise, 0, 255).astype(np.uint8))
    assert not masks.any() and classes == {"static"}


def test_the_published_rules_find_it_before_a_static_and_a_translating_camera_and_ours_do_better():
    published = SMALL.model_copy(update={"saliency": "classes", "kept": 0.0, "rounds": 50})
    for camera in ("static", "translating"):
        pictures, truths = render(camera)
        theirs = mean_iou(masks_of(pictures, published)[0], truths)
        assert 0.3 < theirs < mean_iou(masks_of(pictures)[0], truths)


def test_masks_are_the_same_each_time():
    pictures, _ = render("shaking", frames=10)
    first, again = ([votes for votes, _ in segment(pictures, SMALL)] for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))


def flow_of(camera: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
    """Return a flow (1, 60, 80, 2) of a camera's motion, (x, y), with another one in a square."""
    flow = np.tile(np.float32(camera), (1, 60, 80, 1))
    if inside is not None:
        flow[0, 20:40, 30:50] = inside
    return flow


def test_the_class_of_the_camera_is_that_of_most_of_the_flow():
    assert camera_class(flow_of((0.3, 0), (9, 0))[0])[0] == "static"
    kind, direction = camera_class(flow_of((0, 5), (0, -9))[0])
    assert kind == "translating" and abs(direction - np.pi / 2) < np.pi / 20
    zoom = np.stack(np.meshgrid(np.arange(80) - 40.0, np.arange(60) - 30.0), -1)
    assert camera_class(zoom / 5)[0] == "other"


@pytest.mark.parametrize("zoom", [0.0, 0.05])
def test_what_moves_with_the_camera_has_no_residual(zoom):
    x, y = np.meshgrid(np.arange(80) - 40.0, np.arange(60) - 30.0)
    camera = np.stack([4 + zoom * x, -2 + zoom * y], -1).astype(np.float32)[None]
    moving = camera.copy()
    moving[0, 20:40, 30:50] += (3, 0)
    residual, spread, _ = residual_flow(moving)
    inside = np.zeros((60, 80), bool)
    inside[20:40, 30:50] = True
    assert residual[~inside].max() < 0.2 and abs(residual[inside] - 3).max() < 0.2 and spread < 0.2


def test_grey_levels_tell_where_a_motion_is_wrong_and_say_nothing_in_even_regions():
    pictures, truths = render("static", frames=9)
    pictures[:, :, 130:] = 128  # an even region, in which any flow is a guess
    at_rest = np.zeros((6, 120, 160, 2), np.float32)
    moved = Flows(pictures).unexplained(4, at_rest)
    resting = ~truths[1:8].any(axis=0)
    assert moved[truths[4]].mean() > 0.5 and moved[resting].mean() < 0.3
    assert Flows(pictures).unexplained(4, at_rest + 2)[:, 140:].max() < 0.1


def test_shots_begin_where_colours_change_and_not_where_the_camera_moves():
    one = [colours(picture) for picture in render("translating", frames=24)[0]]
    other = [colours(255 - picture) for picture in render("static", frames=13)[0]]
    assert first_frames(np.stack(one + other), 5) == [0, 24]
    assert first_frames(np.stack(one), 5) == [0]
    assert first_frames(np.stack(one + other), 1) == [0]


def test_no_shot_is_shorter_than_what_can_vote():
    flash = [colours(np.full((8, 8, 3), shade, np.uint8)) for shade in (10, 250, 90, 170)]
    features = np.stack([flash[number // 4 % 4] for number in range(40)])
    firsts = first_frames(features, 5)
    assert min(np.diff([*firsts, 40])) >= SHORTEST
    assert first_frames(features[:7], 5) == [0]


def test_a_length_is_divided_evenly():
    assert even_parts(110, 110) == [slice(0, 110)]
    assert [part.stop - part.start for part in even_parts(115, 110)] in ([57, 58], [58, 57])


def test_neighbours_are_the_two_nearest_of_each_frame_around():
    frames = [np.float32([[0], [0.1], [5]]) + 0.01 * number for number in range(20)]
    graph = find_neighbours(frames)
    assert np.allclose(graph.sum(axis=1), 1, atol=1e-5)
    first = graph[[0]]
    assert {*first.indices} == {3 * frame + place for frame in range(16) for place in (0, 1)}
    assert {*graph[[2]].indices[graph[[2]].data > 1e-6]} == {3 * frame + 2 for frame in range(16)}


def test_a_descriptor_has_the_colours_gradients_and_place_of_its_superpixel():
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[:, 40:] = (200, 30, 30)
    picture[np.arange(60) // 2 % 2 == 0, :40] = 90  # horizontal stripes
    labels = np.repeat(np.repeat([[0, 1]], 60, 0), 40, 1).astype(np.int32)
    left, right = describe(picture, labels)
    assert left.shape == (176,)
    gradients, place = left[:54].reshape(3, 3, 6), left[-2:]
    assert gradients.sum(axis=(0, 1)).argmax() in (2, 3) and right[:54].sum() < left[:54].sum()
    assert place == pytest.approx(0.5 * np.array([29.5 / 60, 19.5 / 80]), abs=1e-3)
    red = right[54:-2].reshape(6, 20)
    assert red[0].argmax() == 200 * 20 // 256 and red[1].argmax() == 30 * 20 // 256
    assert (red**2).sum() == pytest.approx(1)


def test_superpixels_are_numbered_without_a_gap():
    labels = find_superpixels(render("static", frames=1)[0][0], 100)
    assert labels.shape == (120, 160) and {*np.unique(labels)} == set(range(labels.max() + 1))
    assert 60 < labels.max() + 1 < 140


def test_small_blobs_are_dropped_and_the_others_counted():
    votes = np.zeros((40, 60), np.float32)
    votes[2:12, 2:12], votes[20:28, 20:30], votes[30:35, 50:55], votes[0, 30:] = 1, 0.9, 0.8, 0.4
    mask, blobs = clean(votes, 70, 0.6)
    assert blobs == 2 and mask[5, 5] == 100 and mask[25, 25] == 90 and mask[32, 52] == 0 and mask[0, 40] == 40
