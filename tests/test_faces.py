"""Detection, landmarks and alignment, by the real dlib models on a real photograph."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from workflow_scripts.config import Crop, Faces, FolderSource, PairsSource
from workflow_scripts.crop_faces import crop_faces
from workflow_scripts.faces.alignment import (
    CELEBA_POINTS,
    compose,
    crop_matrix,
    crop_picture,
    fit_similarity,
    five_points,
    stretch,
    transform_points,
)
from workflow_scripts.faces.detection import detect_faces, face_patch, predict_landmarks
from workflow_scripts.faces.mean_face import CELEBA_FRAME, CELEBA_LANDMARKS
from workflow_scripts.faces.plausibility import BadFace, check_face
from workflow_scripts.find_landmarks import find_landmarks
from workflow_scripts.shards import Shard
from workflow_scripts.tables import INDEX, read_table, write_table

EYES = np.array([[203.0, 101.0], [246.0, 103.5]])  # of the astronaut, marked by hand
HOG = Faces(detector="dlib_hog")


def landmarks_of(picture: np.ndarray, config: Faces = HOG) -> np.ndarray:
    face = detect_faces(picture, config)[0]
    return predict_landmarks(face_patch(picture, face), face)


def turned(picture: np.ndarray, degrees: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn a picture about the astronaut's nose and scale it; also return the matrix."""
    matrix = cv2.getRotationMatrix2D((223.0, 130.0), degrees, scale)
    matrix[:, 2] += np.array([256, 256]) - (223, 130)
    return cv2.warpAffine(picture, matrix, (512, 512), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE), matrix


@pytest.fixture(scope="module")
def two_sizes(astronaut) -> np.ndarray:
    """Two astronauts side by side: the large one left and off the centre, the small one near it."""
    picture = np.full((512, 900, 3), 128, np.uint8)
    picture[:, :512] = astronaut
    picture[150:406, 512:768] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    return picture


def test_a_face_is_found_in_its_place(astronaut):
    (face,) = detect_faces(astronaut, Faces())
    assert (face.detector, face.score > 1) == ("dlib_hog", True)
    assert face.left < EYES[0, 0] < EYES[1, 0] < face.right
    assert np.abs(five_points(landmarks_of(astronaut))[:2] - EYES).max() < 2


@pytest.mark.parametrize("scale", [0.4, 0.7, 3.0])
def test_landmarks_are_in_pixels_of_the_picture_at_every_size(astronaut, scale):
    size = round(512 * scale)
    resized = cv2.resize(astronaut, (size, size), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    expected = transform_points(stretch((512, 512), (size, size)), landmarks_of(astronaut))
    error = np.linalg.norm(landmarks_of(resized) - expected, axis=1).mean()
    assert error < 0.08 * np.hypot(*(EYES[1] - EYES[0])) * scale


def test_the_largest_the_central_or_the_surest_face_comes_first(two_sizes):
    by_rule = {rule: detect_faces(two_sizes, Faces(choose=rule)) for rule in ("largest", "central", "score")}
    assert len(by_rule["central"]) == len(by_rule["score"]) == 2
    widths = [face.width for face in by_rule["central"]]
    assert by_rule["largest"][0].center[0] < 512 and widths[0] < 0.7 * widths[1]
    offsets = [np.hypot(face.center[0] - 449.5, face.center[1] - 255.5) for face in by_rule["central"]]
    assert offsets == sorted(offsets)
    assert by_rule["central"][0].center[0] > 512  # the smaller one, so the rule differs from `largest`
    scores = [face.score for face in by_rule["score"]]
    assert scores == sorted(scores, reverse=True)


def test_of_two_equal_faces_the_left_one_comes_first(astronaut):
    face = astronaut[:256, 96:352]
    faces = detect_faces(np.concatenate([face, face], axis=1), HOG)
    assert len(faces) == 2
    assert faces[0].center[0] < 256 < faces[1].center[0]


def test_a_face_smaller_than_the_limit_is_no_face(two_sizes):
    widths = sorted(face.width for face in detect_faces(two_sizes, Faces(choose="score")))
    limit = int(np.mean(widths))
    assert [face.width for face in detect_faces(two_sizes, Faces(choose="score", min_size=limit))] == widths[1:]


def test_a_tight_crop_is_found_by_padding(astronaut):
    tight = astronaut[94:176, 184:262]
    assert detect_faces(tight, Faces(detector="dlib_hog", pad_retry=0)) == []
    (face,) = detect_faces(tight, HOG)
    assert face.detector == "dlib_hog_padded"
    assert np.abs(five_points(landmarks_of(tight))[:2] + np.array([184, 94]) - EYES).max() < 2


def test_a_face_that_only_the_network_finds(astronaut):
    tilted, matrix = turned(astronaut, 60, 1.0)
    assert detect_faces(tilted, HOG) == []
    (face,) = detect_faces(tilted, Faces())
    assert face.detector == "dlib_cnn"
    eyes = five_points(landmarks_of(tilted, Faces()))[:2]
    assert np.abs(eyes - transform_points(matrix, EYES)).max() < 2


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_nothing_is_found_where_no_face_is(name):
    assert detect_faces(cv2.resize(getattr(data, name)(), (300, 220), interpolation=cv2.INTER_AREA), Faces()) == []


def test_the_whole_picture_is_the_last_resort_and_gets_the_mean_face():
    grey = np.full((200, 160, 3), 128, np.uint8)
    config = Faces(detector="dlib_hog", on_no_face="whole")
    (face,) = detect_faces(grey, config)
    assert (face.detector, face.score) == ("whole_picture", None)
    landmarks = landmarks_of(grey, config)
    assert (landmarks > 0).all() and (landmarks < (160, 200)).all()
    matrix = fit_similarity(landmarks, CELEBA_LANDMARKS)
    assert np.abs(transform_points(matrix, landmarks) - CELEBA_LANDMARKS).max() < 0.01


def test_pictures_of_any_shape_are_searched():
    for height, width in ((16, 16), (20, 3000), (40000, 30)):
        picture = np.full((height, width, 3), 90, np.uint8)
        assert detect_faces(picture, Faces()) == []
        landmarks = landmarks_of(picture, Faces(detector="dlib_hog", on_no_face="whole"))
        matrix = crop_matrix(landmarks, (width, height), Crop())
        assert (crop_picture(picture, matrix, Crop()) == 90).all()


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (18, 1.0), (-15, 2.0), (10, 0.5)])
def test_alignment_puts_the_eyes_in_place(astronaut, degrees, scale):
    picture, matrix = turned(astronaut, degrees, scale)
    to_crop = crop_matrix(landmarks_of(picture), (512, 512), Crop(size=128))
    expected = transform_points(stretch(CELEBA_FRAME, (128, 128)), CELEBA_POINTS[:2])
    eyes_found = transform_points(to_crop, five_points(landmarks_of(picture)))[:2]
    eyes_marked = transform_points(to_crop, transform_points(matrix, EYES))
    assert np.abs(eyes_found - expected).max() < 1.5
    assert np.abs(eyes_marked - expected).max() < 3


def test_fitting_recovers_a_similarity_exactly():
    known = np.array([[0.6, -0.8, 5.0], [0.8, 0.6, -3.0]]) * 1.7
    assert np.allclose(fit_similarity(CELEBA_LANDMARKS, transform_points(known, CELEBA_LANDMARKS)), known)


@pytest.mark.parametrize("face_size", [0.4, 1.0, 2.7, 11.0])
def test_pixels_and_landmarks_move_by_the_same_transform(face_size):
    side = round(218 * face_size)
    turn = np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    landmarks = (CELEBA_LANDMARKS - 109) @ turn.T * face_size + side / 2
    dot = landmarks[30]
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    blob = 255 * np.exp(-((columns - dot[0]) ** 2 + (rows - dot[1]) ** 2) / (2 * (6 * face_size) ** 2))
    picture = np.repeat(blob.astype(np.uint8)[:, :, None], 3, axis=2)
    matrix = crop_matrix(landmarks, (side, side), Crop(size=128))
    crop = crop_picture(picture, matrix, Crop(size=128))[:, :, 0].astype(float)
    columns, rows = np.meshgrid(np.arange(128), np.arange(128))
    found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    assert np.abs(found - transform_points(matrix, landmarks[30:31])[0]).max() < 0.15


def test_shrinking_does_not_alias():
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_picture(stripes, compose(stretch((1200, 1200), (128, 128)), np.eye(2, 3)), Crop(size=128))
    assert crop.min() >= 110 and crop.max() <= 145


def test_the_whole_frame_is_plain_resizing(astronaut):
    crop = Crop(size=64, frame="whole")
    picture = astronaut[:218, :178]
    matrix = crop_matrix(CELEBA_LANDMARKS, (178, 218), crop)
    assert np.array_equal(
        crop_picture(picture, matrix, crop), cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
    )
    assert np.allclose(transform_points(matrix, np.array([[-0.5, -0.5], [177.5, 217.5]])), [[-0.5, -0.5], [63.5, 63.5]])


def test_beyond_the_picture_the_border_continues_and_the_picture_stays(astronaut):
    tight = np.ascontiguousarray(astronaut[60:180, 165:285])
    crop = Crop(size=128)
    landmarks = landmarks_of(astronaut)
    inner = crop_picture(tight, crop_matrix(landmarks - (165, 60), (120, 120), crop), crop)
    full = crop_picture(astronaut, crop_matrix(landmarks, (512, 512), crop), crop)
    middle = np.s_[60:100, 45:85]
    assert np.abs(inner[middle].astype(int) - full[middle]).max() <= 2
    assert np.abs(np.diff(inner[0].astype(int), axis=0)).max() <= 6  # no stripes from the hair


@pytest.mark.parametrize(
    ("landmarks", "reason"),
    [
        (CELEBA_LANDMARKS * 0.05, "degenerate landmarks"),
        (CELEBA_LANDMARKS * np.nan, "degenerate landmarks"),
        (CELEBA_LANDMARKS * (0.1, 1), "degenerate landmarks"),
        (CELEBA_LANDMARKS[::-1], "degenerate landmarks"),
        (CELEBA_LANDMARKS + np.array([100, 0]), "face outside picture"),
    ],
)
def test_implausible_landmarks_are_refused(landmarks, reason):
    check_face("a.jpg", CELEBA_LANDMARKS, CELEBA_FRAME)
    with pytest.raises(BadFace) as caught:
        check_face("a.jpg", landmarks, CELEBA_FRAME)
    assert caught.value.reason == reason
    assert "a.jpg" in caught.value.detail


@pytest.fixture(scope="module")
def folder(astronaut, tmp_path_factory) -> Path:
    """A folder of a face, two faces, no face, a damaged picture and a face that leaves its picture, with its index."""
    root = tmp_path_factory.mktemp("folder")
    pictures = {"a.png": astronaut, "coffee.png": cv2.resize(data.coffee(), (150, 100))}
    pictures["two.png"] = np.concatenate([astronaut[:256, 96:352]] * 2, axis=1)
    for name, picture in pictures.items():
        cv2.imwrite(str(root / name), picture[:, :, ::-1])
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:2000])
    names = sorted(path.name for path in root.glob("*.png"))
    write_table(root / "index.parquet", [{"item": name, "file": name} for name in names], INDEX)
    return root


def run_stages(source, index: Path, output: Path) -> dict[str, Path]:
    names = ("landmarks.parquet", "no_face.parquet", "crops.arrow", "no_crop.parquet")
    paths = {name: output / name for name in names}
    find_landmarks(source, index, paths["landmarks.parquet"], paths["no_face.parquet"])
    crop_faces(source, index, *(paths[name] for name in ("landmarks.parquet", "crops.arrow", "no_crop.parquet")))
    return paths


def test_every_item_has_a_crop_or_a_reason(folder, tmp_path):
    source = FolderSource(type="folder", path=str(folder))
    paths = run_stages(source, folder / "index.parquet", tmp_path / "first")
    landmarks, no_face = read_table(paths["landmarks.parquet"]), read_table(paths["no_face.parquet"])
    assert landmarks[["item", "face"]].values.tolist() == [["a.png", 0], ["two.png", 0], ["two.png", 1]]
    assert no_face["reason"].tolist()[1] == "no face"
    assert no_face["item"].tolist() == ["broken.png", "coffee.png"]
    crops = Shard(paths["crops.arrow"])
    assert crops.items == ["a.png", "two.png"] and len(read_table(paths["no_crop.parquet"])) == 0
    assert crops.tensor("image", 0).shape == (128, 128, 3)
    assert np.abs(five_points(crops.tensor("landmarks", 0))[:2] - [[49.6, 65.9], [77.2, 65.9]]).max() < 1.5

    again = run_stages(source, folder / "index.parquet", tmp_path / "second")
    assert all(again[name].read_bytes() == paths[name].read_bytes() for name in paths)


def test_a_shard_without_any_face_gives_empty_files(folder, tmp_path):
    write_table(tmp_path / "index.parquet", [{"item": "coffee.png", "file": "coffee.png"}], INDEX)
    paths = run_stages(FolderSource(type="folder", path=str(folder)), tmp_path / "index.parquet", tmp_path)
    assert len(Shard(paths["crops.arrow"])) == 0
    assert len(read_table(paths["no_face.parquet"])) == 1


def test_the_occluded_picture_of_a_pair_is_cropped_like_the_clean_one(astronaut, tmp_path):
    marked = astronaut.copy()
    marked[130:170, 195:255] = (0, 0, 255)
    for name, picture in {"clean": astronaut, "occluded": marked}.items():
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), picture[:, :, ::-1])
    source = PairsSource(type="pairs", clean=str(tmp_path / "clean"), occluded=str(tmp_path / "occluded"))
    from workflow_scripts.index_source import index_source

    index_source(source, 0, 0, 1, tmp_path / "index.parquet", tmp_path / "q.parquet")
    crops = Shard(run_stages(source, tmp_path / "index.parquet", tmp_path)["crops.arrow"])
    clean, occluded = crops.tensor("image", 0).astype(int), crops.tensor("occluded", 0).astype(int)
    differs = np.abs(clean - occluded).max(axis=2) > 0
    mouth = five_points(crops.tensor("landmarks", 0))[3:].mean(axis=0).round().astype(int)
    assert differs[mouth[1], mouth[0]]
    assert not differs[:60].any()


def test_the_commands_run(folder, tmp_path):
    config = FolderSource(type="folder", path=str(folder), faces=HOG).model_dump_json()
    common = ["--config", config, "--index", folder / "index.parquet", "--quarantine", tmp_path / "q.parquet"]
    find = [*common, "--output", tmp_path / "l.parquet"]
    crop = [*common, "--landmarks", tmp_path / "l.parquet", "--output", tmp_path / "c.arrow"]
    for stage, arguments in {"find_landmarks": find, "crop_faces": crop}.items():
        subprocess.run([sys.executable, "-m", f"workflow_scripts.{stage}", *map(str, arguments)], check=True)
    assert len(Shard(tmp_path / "c.arrow")) == 2
    command = [sys.executable, "-m", "workflow_scripts.find_landmarks", *map(str, find)]
    command[command.index("--index") + 1] = str(tmp_path / "absent.parquet")
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and "absent.parquet" in failed.stderr and "Traceback" not in failed.stderr
