"""The landmark model for many faces at once, against dlib's own."""

from functools import cache

import cv2
import dlib
import face_recognition_models
import numpy as np
import pytest
from weights import landmark_model, landmark_weights

from workflow_scripts.core.cli import UserError
from workflow_scripts.faces.dlib68.shape_predictor import BLOCK_FACES, ShapePredictor
from workflow_scripts.faces.face import WHOLE_PICTURE, Face, Picture, square_face
from workflow_scripts.faces.landmarks import MIDDLE, PATCH_SIDE, LandmarkModel, face_patch

HOG_BOX = (224.5, 119.5, 103.0)  # of the astronaut: x, y of the centre and side


@cache
def dlib_model() -> dlib.shape_predictor:
    return dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())


def dlib_landmarks(patch: np.ndarray, box: tuple[int, int]) -> list[tuple[int, int]]:
    first, last = box
    return [(point.x, point.y) for point in dlib_model()(patch, dlib.rectangle(first, first, last, last)).parts()]


@pytest.fixture(scope="module")
def patches(astronaut) -> list[np.ndarray]:
    """More faces than a block: one face, moved, turned, scaled, lit and mirrored, most of it farther than boxes are."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(BLOCK_FACES + 20):
        x, y, side = np.array(HOG_BOX) * (1, 1, rng.uniform(0.7, 1.4)) + (*rng.normal(0, 8, 2), 0)
        turn = cv2.getRotationMatrix2D((x, y), rng.uniform(-30, 30), 1)
        picture = cv2.warpAffine(astronaut, turn, (512, 512))
        picture = np.clip(picture * rng.uniform(0.3, 1.5), 0, 255).astype(np.uint8)
        patch = face_patch(Picture(picture), square_face(x, y, side, None, "")).image
        made.append(np.ascontiguousarray(patch[:, ::-1]) if number % 2 else patch)
    return made


def test_every_landmark_is_that_of_dlib(patches):
    predictor = ShapePredictor(landmark_weights(), PATCH_SIDE, MIDDLE)
    expected = [dlib_landmarks(patch, MIDDLE) for patch in patches]
    found = predictor(patches)
    assert found.shape == (len(patches), 68, 2)
    assert np.array_equal(np.floor(found + 0.5), expected)


def test_pixels_beyond_the_patch_are_black_as_those_of_dlib(astronaut):
    narrow = (20, PATCH_SIDE - 21)
    picture = cv2.resize(cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)[60:180, 165:285], (PATCH_SIDE, PATCH_SIDE))
    (found,) = ShapePredictor(landmark_weights(), PATCH_SIDE, narrow)([picture])
    assert np.array_equal(np.floor(found + 0.5), dlib_landmarks(picture, narrow))


def test_a_damaged_model_is_refused_with_one_line(tmp_path):
    damaged = tmp_path / "landmarks.safetensors"
    damaged.write_bytes(landmark_weights().read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"landmarks\.safetensors: is no landmark model .*; delete it and run again"):
        LandmarkModel(damaged)


def test_a_face_has_the_same_landmarks_alone_and_among_others(astronaut):
    boxes = [
        Face(173, 68, 276, 171, 1.0, "dlib_hog"),
        Face(160, 50, 290, 180, None, "given_box"),
        Face(180, 80, 270, 170, None, "given_points", tilt=12.0),
        Face(0, 0, 512, 512, None, WHOLE_PICTURE),
    ]
    patches = [face_patch(Picture(astronaut), face) for face in boxes]
    together = landmark_model().predict(boxes, patches).points
    alone = [landmark_model().predict([face], [patch]).points[0] for face, patch in zip(boxes, patches, strict=True)]
    assert together.dtype == np.float32 and np.array_equal(together, alone)
    assert np.abs(together[0] - together[1]).mean() < 3, "a box of another origin is corrected"
    assert landmark_model().predict([], []).points.shape == (0, 68, 2)
