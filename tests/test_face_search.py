"""Doubtful faces, landmarks beside the face, small faces in large pictures: found in their place, or set aside."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data
from weights import landmark_model, landmark_weights

from workflow_scripts.config.sources import FaceSearch, FolderSource
from workflow_scripts.core.tables import INDEX, read_table, write_table
from workflow_scripts.faces.alignment import transform_points
from workflow_scripts.faces.detection import Found, detect_faces, smallest_face
from workflow_scripts.faces.face import Picture, square_face
from workflow_scripts.faces.landmarks import face_patch
from workflow_scripts.metrics.landmarks import normalised_mean_error
from workflow_scripts.stages.faces.find_landmarks import find_landmarks

HOG = {"detector": "dlib_hog", "pad_retry": 0}


def search(picture: np.ndarray, **faces) -> Found:
    return detect_faces(Picture(picture), FaceSearch(**HOG | faces), landmark_model())


def run(folder: Path, pictures: dict[str, np.ndarray], **faces):
    """Return the landmarks and the quarantine of a folder of these pictures."""
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / name), picture[:, :, ::-1])
    write_table(folder / "index", [{"item": name, "file": name} for name in sorted(pictures)], INDEX)
    source = FolderSource(type="folder", path=str(folder), faces=HOG | faces)
    find_landmarks(source, folder / "index", landmark_weights(), folder / "landmarks", folder / "lost")
    return read_table(folder / "landmarks"), read_table(folder / "lost")


@pytest.fixture(scope="module")
def false_face() -> np.ndarray:
    """A part of the cameraman in which the frontal detector sees a face, with a score of 0.18, and nobody else does."""
    size = tuple(round(1.4 * side) for side in data.camera().shape)
    return np.repeat(cv2.resize(data.camera(), size)[:, :, None], 3, axis=2)


def test_a_doubtful_detection_is_a_face_only_if_landmarks_settle_in_it(astronaut, false_face, tmp_path):
    (face,) = detect_faces(Picture(false_face), FaceSearch(**HOG), None).faces
    assert 0.1 < face.score < 0.3, "the input is what the test needs"
    assert search(false_face).faces == []
    landmarks, lost = run(tmp_path, {"a.png": astronaut, "false.png": false_face})
    assert landmarks["item"].tolist() == ["a.png"]
    assert lost["reason"].tolist() == ["no face"] and "not confirmed" in lost["detail"][0]
    (face,) = search(cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)).faces
    assert face.detector == "dlib_hog_upsampled", "a doubtful face that is one stays"


def test_min_score_is_asked_of_dlib_too_and_replaces_the_second_look(astronaut, false_face):
    (face,) = search(astronaut).faces
    assert search(astronaut, min_score=face.score - 0.01).faces == [face]
    assert search(astronaut, min_score=face.score + 0.01).faces == []
    assert len(search(false_face, min_score=0.1).faces) == 1
    small = astronaut[:300, 70:370]
    (face,) = search(small, detector="dlib_mmod").faces
    assert search(small, detector="dlib_mmod", min_score=face.score + 0.01).faces == []


@pytest.mark.parametrize("degrees", [45, -75, 120, 180])
def test_landmarks_of_a_tilted_face_lie_on_it_whatever_the_tilt(astronaut, degrees):
    upright = landmark_model().predict(*one_face(astronaut)).points[0]
    matrix = cv2.getRotationMatrix2D((223.0, 120.0), degrees, 1.0)
    picture = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    truth = transform_points(matrix, upright)
    x, y = transform_points(matrix, np.array([[223.0, 120.0]]))[0]
    face = square_face(x + 4, y - 3, 100, 1.0, "dlib_cnn")
    found = landmark_model().predict([face], [face_patch(Picture(picture), face)])
    assert found.settled[0]
    assert normalised_mean_error(found.points[0], truth, truth) < 0.06


def one_face(picture: np.ndarray):
    faces = search(picture).faces
    return faces, [face_patch(Picture(picture), face) for face in faces]


def test_landmarks_that_do_not_settle_are_set_aside_and_never_drawn_by(astronaut, tmp_path):
    """The data set's boxes show a face, and a place beside it."""
    (tmp_path / "img_celeba").mkdir()
    cv2.imwrite(str(tmp_path / "img_celeba/000001.png"), astronaut[:, :, ::-1])
    cv2.imwrite(str(tmp_path / "img_celeba/000002.png"), astronaut[:, :, ::-1])
    rows = [{"item": f"00000{n}.png", "file": f"img_celeba/00000{n}.png"} for n in (1, 2)]
    rows[0]["box"], rows[1]["box"] = [172, 72, 104, 104], [20, 380, 100, 100]
    write_table(tmp_path / "index", rows, INDEX)
    source = FolderSource(type="folder", path=str(tmp_path), faces={"prior": "boxes"})
    find_landmarks(source, tmp_path / "index", landmark_weights(), tmp_path / "landmarks", tmp_path / "lost")
    assert read_table(tmp_path / "landmarks")["item"].tolist() == ["000001.png"]
    lost = read_table(tmp_path / "lost")
    assert lost[["item", "reason"]].to_numpy().tolist() == [["000002.png", "landmarks do not settle"]]
    assert "70, 430" in lost["detail"][0]


def with_small_face(astronaut: np.ndarray, width: int, height: int, scale: float) -> np.ndarray:
    """A plain picture with one face, about 90 pixels wide times the scale, right of the middle."""
    picture = np.full((height, width, 3), 120, np.uint8)
    small = cv2.resize(astronaut[:330, 60:390], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    place = height // 3, round(width * 0.6)
    picture[place[0] : place[0] + len(small), place[1] : place[1] + len(small)] = small
    return picture


@pytest.mark.parametrize("choose", ["largest", "central"])
def test_a_small_face_in_a_large_picture_is_found_in_its_place(astronaut, choose):
    picture = with_small_face(astronaut, 2600, 700, 0.5)  # 35 of the 80 pixels needed in a copy of 2000
    (face,) = search(picture, min_size=40, choose=choose).faces
    assert face.detector == "dlib_hog_fine" and 35 < face.width < 60
    assert abs(face.center[0] - (1560 + 0.5 * 163)) < 15 and abs(face.center[1] - (700 // 3 + 0.5 * 125)) < 15
    points = landmark_model().predict([face], [face_patch(Picture(picture), face)]).points[0]
    truth = (landmark_model().predict(*one_face(astronaut)).points[0] - (60, 0)) * 0.5 + (1560, 700 // 3)
    assert normalised_mean_error(points, truth, truth) < 0.1


def test_what_was_searched_for_and_what_can_help_are_told(astronaut, tmp_path):
    picture = with_small_face(astronaut, 2100, 500, 0.5)
    landmarks, lost = run(tmp_path, {"a.png": picture}, min_size=70)
    assert len(landmarks) == 0 and "no face of 70 pixels or more" in lost["detail"][0]
    assert "lower faces.min_size, down to 24" in lost["detail"][0]
    assert len(search(picture, min_size=40).faces) == 1, "the remedy helps"


def test_a_remedy_that_cannot_help_is_not_offered(tmp_path):
    plain = np.full((150, 1400, 3), 120, np.uint8)
    _, lost = run(tmp_path, {"a.png": plain}, detector="dlib_mmod")
    limit = smallest_face((1400, 150), FaceSearch(detector="dlib_mmod"))
    assert limit == 175
    assert f"no face of {limit} pixels or more" in lost["detail"][0] and "cut it into parts" in lost["detail"][0]
    assert "min_size" not in lost["detail"][0]
