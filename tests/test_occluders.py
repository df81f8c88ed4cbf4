"""Occluders on a real face: they sit where they should, draw the same again, and bad placements get their reason."""

import cv2
import numpy as np
import pytest

from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.occluders._apply import apply_occluder, fit_reason, load_kind
from workflow_scripts.occluders._config import Fit, Occluders, occluder_kinds
from workflow_scripts.occluders._front import put_in_front
from workflow_scripts.occluders.surgical import COVERS

KINDS = ("surgical", "cloth", "kn95")
SIZE = 256


def moved(points, matrix):
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def rolled(face, degrees):
    """Return picture, landmarks and matrix of the face turned in the picture's plane."""
    matrix = cv2.getRotationMatrix2D((SIZE / 2 - 0.5, SIZE / 2 - 0.5), degrees, 1).astype(np.float32)
    return cv2.warpAffine(face[0], matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT), moved(face[1], matrix), matrix


def yawed(face, sign, share=0.5):
    """Return the face with one side of the nose line pressed together, as a turned head shows it."""
    points = face[1].astype(np.float64)
    top, chin = points[27], points[8]
    across = np.array([chin[1] - top[1], top[0] - chin[0]])
    across /= np.hypot(*across)
    lateral = (points - top) @ across
    factor = np.where(lateral * sign > 0, share, 1.2)
    return (points + ((factor - 1) * lateral)[:, None] * across).astype(np.float32)


def draw(image, landmarks, kind, seed=0, style="varied"):
    return apply_occluder(image, landmarks, kind, style, np.random.default_rng(seed))


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def inside(polygon, grow=0):
    area = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(area, [np.round(polygon).astype(np.int32)], 1)
    return cv2.dilate(area, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8)) > 0


@pytest.mark.parametrize("style", ["plain", "varied"])
@pytest.mark.parametrize("kind", KINDS)
def test_covers_mouth_and_nose_tip_but_no_eye(face, kind, style):
    image, landmarks = face
    low = 0
    for seed in range(12):
        result = draw(image, landmarks, kind, seed, style)
        assert result.image.shape == image.shape and result.image.dtype == np.uint8
        assert result.coverage.shape == image.shape[:2] and result.coverage.dtype == np.uint8
        covered = result.coverage > 127
        assert covered[inside(landmarks[48:60])].mean() > (0.99 if style == "plain" else 0.95)
        x, y = landmarks[30].astype(int)
        low += not covered[y, x]
        assert not covered[inside(landmarks[36:42]) | inside(landmarks[42:48])].any()
        assert fit_reason(result.coverage, landmarks, Fit(), COVERS) is None
    assert low <= (0 if style == "plain" else 3)  # the careless wear it below the nose


@pytest.mark.parametrize("kind", KINDS)
def test_some_masks_are_worn_low_and_some_stand_open_at_a_side(face, kind):
    image, landmarks = face
    middle = landmarks[27, 0]
    tops, widths = [], []
    for seed in range(80):
        covered = draw(image, landmarks, kind, seed).coverage > 127
        body = cv2.morphologyEx(covered.astype(np.uint8), cv2.MORPH_OPEN, np.ones((11, 11))) > 0
        rows, columns = np.nonzero(body)
        tops.append(rows.min())
        widths.append(((middle - columns).max(), (columns - middle).max()))
    reach = landmarks[8, 1] - landmarks[27, 1]
    low = np.array(tops) > np.median(tops) + 0.12 * reach
    left, right = np.array(widths).T
    lean = np.log(left / right) - np.median(np.log(left / right))
    assert 2 <= low.sum() <= 16
    assert (lean < -0.1).any() and (lean > 0.1).any() and np.mean(np.abs(lean) > 0.1) < 0.25


def test_a_clear_mask_lets_the_mouth_be_seen_and_is_found_by_the_difference_all_the_same(face):
    image, landmarks = face
    for seed in range(12):
        result = draw(image, landmarks, "clear", seed)
        mouth = inside(landmarks[48:60])
        assert result.coverage[mouth].mean() < 200 and result.coverage[mouth].min() > 0
        assert (result.coverage > 200).any()
        assert fit_reason(result.coverage, landmarks, Fit(), load_kind("clear").COVERS) is None


@pytest.mark.parametrize("kind", ["fingers", "strands", "scarf"])
def test_what_lies_in_front_is_on_the_bare_face_too_and_hides_the_mask(face, kind):
    image, landmarks = face
    mask = draw(image, landmarks, "surgical", 1)
    hidden = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        bare, occluded = put_in_front(image, mask, landmarks, Occluders(front={kind: 1.0}), rng)
        assert (bare != image).any()
        solid = mask.coverage.astype(int) - occluded.coverage > 250
        hidden += solid.sum()
        assert (np.abs(bare[solid].astype(int) - occluded.image[solid]) <= 6).all()
        untouched = (bare == image).all(2) & (occluded.coverage == mask.coverage)
        assert (occluded.image[untouched] == mask.image[untouched]).all()
    assert hidden > 50
    same, as_it_was = put_in_front(image, mask, landmarks, Occluders(), np.random.default_rng(1))
    assert same is image and as_it_was is mask


@pytest.mark.parametrize("kind", KINDS)
def test_same_generator_same_bytes_other_generator_other_colours(face, kind):
    first, again = draw(*face, kind, 3), draw(*face, kind, 3)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.coverage.tobytes() == again.coverage.tobytes()
    x, y = face[1][57].astype(int) + np.array([0, 3])
    colours = np.array([draw(*face, kind, seed).image[y - 2 : y + 3, x - 2 : x + 3].mean((0, 1)) for seed in range(12)])
    assert colours.std(0).max() > 15


def test_leaves_the_input_alone(face):
    image, landmarks = face[0].copy(), face[1].copy()
    draw(image, landmarks, "surgical")
    assert (image == face[0]).all() and (landmarks == face[1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_mirrored_face_gets_mirrored_mask(face, kind):
    image, landmarks = face
    flipped = np.ascontiguousarray(image[:, ::-1])
    mirrored = (np.float32([SIZE - 1, 0]) + landmarks * np.float32([-1, 1]))[MIRRORED]
    here = np.mean([draw(image, landmarks, kind, seed).coverage for seed in range(20)], 0)
    there = np.mean([draw(flipped, mirrored, kind, seed).coverage for seed in range(20)], 0)[:, ::-1]
    assert iou(here > 127, there > 127) > 0.95
    assert there.sum() == pytest.approx(here.sum(), rel=0.03)


@pytest.mark.parametrize("degrees", [25, -25])
@pytest.mark.parametrize("kind", KINDS)
def test_mask_follows_roll(face, kind, degrees):
    image, landmarks, matrix = rolled(face, degrees)
    expected = cv2.warpAffine(draw(*face, kind, 1).coverage, matrix, (SIZE, SIZE))
    assert iou(draw(image, landmarks, kind, 1).coverage > 127, expected > 127) > 0.9


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_mask_follows_yaw(face, kind, sign):
    landmarks = yawed(face, sign)
    outline = np.concatenate([landmarks[:17], landmarks[26:16:-1]])
    for seed in range(6):
        result = draw(face[0], landmarks, kind, seed)
        covered = result.coverage > 127
        body = cv2.morphologyEx(covered.astype(np.uint8), cv2.MORPH_OPEN, np.ones((11, 11))) > 0  # without straps
        assert (body & inside(outline, grow=14)).sum() > 0.995 * body.sum()
        assert fit_reason(result.coverage, landmarks, Fit(), COVERS) is None


@pytest.mark.parametrize("style", ["plain", "varied"])
@pytest.mark.parametrize("kind", KINDS)
def test_difference_map_agrees_with_coverage(face, kind, style):
    scores = []
    for seed in range(10):
        result = draw(*face, kind, seed, style)
        difference = cv2.cvtColor(cv2.absdiff(result.image, face[0]), cv2.COLOR_RGB2GRAY) > 6
        opened = cv2.morphologyEx(difference.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0
        scores.append(iou(opened, result.coverage > 127))
    assert np.mean(scores) > 0.9


def test_both_sides_meet_at_the_seam(face):
    """A turned face has unequal sides; no line of uncovered or odd pixels may show between them."""
    landmarks = yawed(face, 1)
    result = draw(face[0], landmarks, "surgical", 5, "plain")
    along = np.linspace(landmarks[30], landmarks[57], 40)
    for offset in range(-4, 5):
        columns, rows = np.round(along + np.array([offset, 0])).astype(int).T
        assert (result.coverage[rows, columns] == 255).all()


def broken(face, name):
    landmarks = face[1].copy()
    if name == "landmarks not finite":
        landmarks[8] = np.nan
    elif name == "face too small":
        landmarks = landmarks * 0.1 + SIZE / 2
    elif name == "face outside the picture":
        landmarks[:, 1] += SIZE * 0.45
    elif name == "face turned too far":
        landmarks = yawed(face, 1, 0.05)
    elif name == "face outline crosses itself":
        landmarks[[3, 6]] = landmarks[[6, 3]]
    elif name == "mouth uncovered":
        landmarks[48:] += (0, -SIZE * 0.3)
    elif name == "eyes covered":
        landmarks[36:48] += (0, SIZE * 0.2)
    return landmarks


@pytest.mark.parametrize(
    "reason",
    [
        "landmarks not finite", "face too small", "face outside the picture", "face turned too far",
        "face outline crosses itself", "mouth uncovered", "eyes covered",
    ],
)  # fmt: skip
def test_bad_landmarks_get_their_reason(face, reason):
    landmarks = broken(face, reason)
    result = draw(face[0], landmarks, "cloth")
    found, detail = fit_reason(result.coverage, landmarks, Fit(), COVERS)
    assert found == reason
    assert detail and "\n" not in detail


@pytest.mark.parametrize(
    ("limits", "reason"), [({"min_area": 0.5}, "covers too little"), ({"max_area": 0.05}, "covers too much")]
)
def test_area_out_of_range_gets_its_reason(face, limits, reason):
    result = draw(*face, "cloth")
    assert fit_reason(result.coverage, face[1], Fit(**limits), COVERS)[0] == reason


@pytest.mark.parametrize(
    "landmarks", [np.zeros((68, 2)), np.full((68, 2), 100.0), np.full((68, 2), 1e6), np.full((68, 2), np.inf)]
)
def test_degenerate_landmarks_change_nothing(face, landmarks):
    result = draw(face[0], landmarks, "kn95")
    assert (result.image == face[0]).all() and not result.coverage.any()
    assert fit_reason(result.coverage, landmarks, Fit(), COVERS) is not None


def test_every_kind_file_is_found_and_an_unknown_kind_is_named(face):
    assert set(KINDS) <= set(occluder_kinds())
    with pytest.raises(ValueError, match=r"unknown kind of occluder 'beard'; known: .*surgical"):
        draw(*face, "beard")


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_wrong_picture_is_refused(image):
    with pytest.raises(ValueError, match="uint8 RGB"):
        draw(image, np.zeros((68, 2)), "surgical")
