"""Scores of generated pictures: each against values by hand, and the sentence that says whether the mask helps."""

import numpy as np
import pytest
import torch

from workflow_scripts.metrics.contours import contour_of, edge_agreement
from workflow_scripts.metrics.distributions import class_score, kernel_distance, precision_recall
from workflow_scripts.metrics.neighbours import TrainingPictures
from workflow_scripts.metrics.paired import mean_interval, paired_difference
from workflow_scripts.systems._generation.comparison import compare, title_of
from workflow_scripts.systems._generation.masks import score_masks

SURE = 40.0  # a logit beside zeros that leaves no doubt


def test_the_class_score_counts_the_classes_of_sure_and_even_predictions():
    logits = np.eye(5)[np.arange(40) % 5] * SURE
    found = class_score(logits, 4)
    assert found["mean"] == pytest.approx(5) and found["whole"] == pytest.approx(5) and found["splits"] == 4
    assert class_score(np.zeros((10, 7)), 2)["mean"] == pytest.approx(1)
    assert class_score(np.repeat(np.eye(5)[:1] * SURE, 10, axis=0), 2)["mean"] == pytest.approx(1)


def test_the_class_score_of_parts_differs_from_that_of_all_at_once():
    logits = np.concatenate([np.eye(2)[[0] * 6] * SURE, np.eye(2)[[1] * 6] * SURE])
    found = class_score(logits, 2)  # each part has one class only
    assert found["mean"] == pytest.approx(1) and found["deviation"] == pytest.approx(0)
    assert found["whole"] == pytest.approx(2)
    assert class_score(logits[:3], 10)["splits"] == 3


def test_the_class_score_by_hand():
    p = np.array([[0.9, 0.1], [0.4, 0.6]])
    mean = p.mean(axis=0)
    by_hand = np.exp(np.mean([(row * np.log(row / mean)).sum() for row in p]))
    assert class_score(np.log(p), 1)["mean"] == pytest.approx(by_hand)


def test_the_kernel_distance_by_hand_and_between_equal_distributions():
    a, b = np.array([[1.0], [2.0]]), np.array([[0.0], [3.0]])
    within_a, within_b = (1 * 2 + 1) ** 3, (0 * 3 + 1) ** 3
    across = np.mean([(x * y + 1) ** 3 for x in (1, 2) for y in (0, 3)])
    assert kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * across)
    rng = np.random.default_rng(0)
    same = kernel_distance(rng.normal(size=(1500, 4)), rng.normal(size=(1400, 4)))
    other = kernel_distance(rng.normal(size=(1500, 4)), rng.normal(1, 1, (1400, 4)))
    assert abs(same) < 0.05 < other


def test_precision_and_recall_tell_missing_from_wrong_pictures():
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(0, 1, (100, 2)), rng.normal(50, 1, (100, 2))])
    half = rng.normal(0, 1, (200, 2))  # only one of two modes
    wide = np.concatenate([real, rng.normal(-90, 1, (200, 2))])  # both modes, and pictures of nothing
    precision, recall = precision_recall(real, half, 3)
    assert precision > 0.85 and 0.35 < recall <= 0.5
    precision, recall = precision_recall(real, wide, 3)
    assert precision == 0.5 and recall == 1
    line = np.arange(5.0)[:, None]
    assert precision_recall(line, line + 0.5, 1) == (1, 1) and precision_recall(line, line + 20, 1) == (0, 0)


def test_a_contour_on_the_edges_of_a_picture_agrees_with_them():
    picture, mask = np.full((32, 32, 3), 30, np.uint8), np.zeros((32, 32), np.uint8)
    mask[8:20, 10:22] = 255
    picture[mask > 0] = 220
    own, other = edge_agreement(picture, mask), edge_agreement(picture, np.roll(mask, 9, axis=1))
    assert own > 4 and other < own / 2
    assert np.isnan(edge_agreement(picture, np.zeros_like(mask)))
    assert np.isnan(edge_agreement(picture, np.full_like(mask, 255)))
    assert np.isnan(edge_agreement(np.full((32, 32, 3), 9, np.uint8), mask))
    rng = np.random.default_rng(0)
    noise = [edge_agreement(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8), mask) for _ in range(30)]
    assert np.mean(noise) == pytest.approx(1, abs=0.05)


def test_the_contour_lies_on_both_sides_of_the_edge():
    mask = np.zeros((6, 6), np.uint8)
    mask[:, 3:] = 200
    assert contour_of(mask).all(axis=0).tolist() == [False, False, True, True, False, False]


def test_masks_are_scored_beside_those_of_the_next_picture():
    picture, mask = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 255
    picture[mask > 0] = 200
    first, second = score_masks([picture, picture], [mask, np.roll(mask, 4, axis=1)], [mask, mask])
    assert (first["segment_iou"], second["segment_iou"]) == (1, 1 / 3)
    assert (first["segment_iou_shuffled"], second["segment_iou_shuffled"]) == (1 / 3, 1)
    assert first["edge"] > second["edge"] == first["edge_shuffled"] and first["mask_area"] == 0.25
    (alone,) = score_masks([picture], [mask], None)
    assert all(np.isnan(alone[name]) for name in ("segment_iou", "segment_iou_shuffled", "edge_shuffled"))


def test_a_copy_is_found_also_mirrored_and_its_distance_is_zero():
    pictures = list(np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3)).astype(np.uint8))
    known = TrainingPictures([("a", f"{n}", n) for n in range(5)], pictures, torch.device("cpu"))
    found = known.nearest([pictures[3], pictures[1][:, ::-1], np.clip(pictures[2] + 4.0, 0, 255).astype(np.uint8)])
    assert [row["nearest_item"] for row in found] == ["3", "1", "2"] and found[1]["nearest_variant"] == 1
    assert found[0]["nearest_distance"] == found[1]["nearest_distance"] == 0
    assert found[2]["nearest_distance"] == pytest.approx(4, abs=0.1)


def test_means_have_the_interval_of_students_t():
    found = mean_interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2 and found["count"] == 3
    assert found["high"] - 2 == 2 - found["low"] == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)
    assert mean_interval([5.0]) == {"mean": 5.0, "low": None, "high": None, "count": 1}


def test_a_paired_difference_has_the_p_of_the_paired_test():
    found = paired_difference([1.0, 2.0, 3.0, 4.0], [1.5, 2.4, 3.7, 4.4])
    differences = np.array([0.5, 0.4, 0.7, 0.4])
    t = differences.mean() / (differences.std(ddof=1) / 2)
    assert found["d"] == pytest.approx(t / 2) and found["mean"] == pytest.approx(0.5)
    assert found["p"] == pytest.approx(0.00597, rel=5e-2) and found["low"] > 0
    assert paired_difference([1.0], [2.0])["p"] is None and paired_difference([1.0, 2.0], [2.0, 3.0])["d"] is None


def networks(rgb: list[float], masked: list[float], feature: str = "efficientnet_lite0") -> dict:
    def entry(channels: int, value: float) -> dict:
        distances = {"frechet": 100 - value, "kernel": 0.1, "precision": 0.5, "recall": 0.5}
        return {"channels": channels, "described": {feature: {"score": {"mean": value}, "test": distances}}}

    kinds = ((3, "rgb", rgb), (4, "masked", masked))
    return {f"{kind}{n}": entry(channels, value) for channels, kind, values in kinds for n, value in enumerate(values)}


@pytest.mark.parametrize(
    ("rgb", "masked", "answer", "says"),
    [
        ([7.0, 7.1, 6.9], [7.5, 7.7, 7.4], "helps", "The mask channel helps here"),
        ([7.0, 7.1, 6.9], [6.5, 6.7, 6.4], "harms", "The mask channel harms here"),
        (
            *([7.0, 7.1, 6.9], [7.4, 6.8, 7.0], "no difference shown"),
            "The mask channel makes no difference here that 3 seeds could show",
        ),
        ([7.0], [7.5], "not known from one seed", "Whether the mask channel helps is not known from one seed"),
    ],
)
def test_one_sentence_says_whether_the_mask_helps(rgb, masked, answer, says):
    found = compare(networks(rgb, masked), ["efficientnet_lite0"])
    assert found["answer"] == answer and found["decided_by"] == "EfficientNet-Lite0 score"
    assert found["verdict"].startswith(says) and "EfficientNet-Lite0 score" in found["verdict"]
    frechet = next(row for row in found["scores"] if row["score"] == "frechet")
    assert not frechet["better"] and frechet["difference"]["mean"] == pytest.approx(np.mean(rgb) - np.mean(masked))


def test_nothing_is_compared_without_both_and_only_inception_has_the_common_names():
    assert compare(networks([7.0], []), ["efficientnet_lite0"]) is None
    assert compare(networks([7.0], [8.0]), []) is None
    assert title_of("inception", "score") == "Inception Score" and title_of("inception", "frechet").startswith("FID")
    titles = [title_of("efficientnet_lite0", score) for score in ("score", "frechet", "kernel", "recall")]
    assert all(title.startswith("EfficientNet-Lite0 ") for title in titles)
