"""Detection, landmarks and alignment, by the real dlib models on a real photograph."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data
from weights import landmark_model, landmark_weights

from workflow_scripts.config.sources import CelebaSource, Crop, FaceSearch, FolderSource, PairsSource, Weights
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import INDEX, read_table, write_table
from workflow_scripts.faces.alignment import (
    CELEBA_POINTS,
    compose,
    crop_matrix,
    crop_picture,
    fit_similarity,
    stretch,
    transform_points,
)
from workflow_scripts.faces.detection import detect_faces
from workflow_scripts.faces.face import Face, Picture
from workflow_scripts.faces.landmark_groups import five_points
from workflow_scripts.faces.landmarks import face_patch
from workflow_scripts.faces.mean_face import CELEBA_FRAME, CELEBA_LANDMARKS
from workflow_scripts.faces.plausibility import BadFace, check_face
from workflow_scripts.faces.priors import face_from_points, prior_face
from workflow_scripts.metrics.landmarks import normalised_mean_error
from workflow_scripts.stages.faces.check_landmarks import check_landmarks
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.sources.index_source import index_source

EYES = np.array([[203.0, 101.0], [246.0, 103.5]])  # of the astronaut, marked by hand
HOG = FaceSearch(detector="dlib_hog")


def found(picture: np.ndarray, config: FaceSearch) -> list[Face]:
    return detect_faces(Picture(picture), config, landmark_model()).faces


def landmarks_of(picture: np.ndarray, config: FaceSearch = HOG) -> np.ndarray:
    return landmarks_in(picture, found(picture, config)[0])


def landmarks_in(picture: np.ndarray, face: Face) -> np.ndarray:
    return landmark_model().predict([face], [face_patch(Picture(picture), face)]).points[0]


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
    (face,) = found(astronaut, FaceSearch())
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
    by_rule = {rule: found(two_sizes, FaceSearch(choose=rule)) for rule in ("largest", "central", "score")}
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
    faces = found(np.concatenate([face, face], axis=1), HOG)
    assert len(faces) == 2
    assert faces[0].center[0] < 256 < faces[1].center[0]


def test_a_face_smaller_than_the_limit_is_no_face(two_sizes):
    widths = sorted(face.width for face in found(two_sizes, FaceSearch(choose="score")))
    limit = int(np.mean(widths))
    assert [face.width for face in found(two_sizes, FaceSearch(choose="score", min_size=limit))] == widths[1:]


def test_a_tight_crop_is_found_by_padding(astronaut):
    tight = astronaut[94:176, 184:262]
    assert found(tight, FaceSearch(detector="dlib_hog", pad_retry=0)) == []
    (face,) = found(tight, HOG)
    assert face.detector == "dlib_hog_padded"
    assert np.abs(five_points(landmarks_of(tight))[:2] + np.array([184, 94]) - EYES).max() < 2


def test_a_face_that_only_the_network_finds(astronaut):
    tilted, matrix = turned(astronaut, 60, 1.0)
    assert found(tilted, HOG) == []
    (face,) = found(tilted, FaceSearch())
    assert face.detector == "dlib_cnn"
    eyes = five_points(landmarks_of(tilted, FaceSearch()))[:2]
    assert np.abs(eyes - transform_points(matrix, EYES)).max() < 2


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_nothing_is_found_where_no_face_is(name):
    assert found(cv2.resize(getattr(data, name)(), (300, 220), interpolation=cv2.INTER_AREA), FaceSearch()) == []


def test_the_whole_picture_is_the_last_resort_and_gets_the_mean_face():
    grey = np.full((200, 160, 3), 128, np.uint8)
    config = FaceSearch(detector="dlib_hog", on_no_face="whole")
    (face,) = found(grey, config)
    assert (face.detector, face.score) == ("whole_picture", None)
    landmarks = landmarks_of(grey, config)
    assert (landmarks > 0).all() and (landmarks < (160, 200)).all()
    matrix = fit_similarity(landmarks, CELEBA_LANDMARKS)
    assert np.abs(transform_points(matrix, landmarks) - CELEBA_LANDMARKS).max() < 0.01


def test_pictures_of_any_shape_are_searched():
    for height, width in ((16, 16), (20, 3000), (40000, 30)):
        picture = np.full((height, width, 3), 90, np.uint8)
        assert found(picture, FaceSearch()) == []
        landmarks = landmarks_of(picture, FaceSearch(detector="dlib_hog", on_no_face="whole"))
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


def test_the_face_frame_shows_aligned_celeba_pixel_by_pixel():
    crop = Crop(size=128, frame="face")
    matrix = crop_matrix(CELEBA_LANDMARKS, (178, 218), crop)
    assert np.allclose(matrix, [[1, 0, -25], [0, 1, -70]])
    landmarks = transform_points(matrix, CELEBA_LANDMARKS)
    assert landmarks.min() > 10 and landmarks.max() < 118, "brows and chin are in the picture, with a margin"


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
        check_face("a.mp4#000001", landmarks, CELEBA_FRAME)
    assert caught.value.reason == reason
    assert caught.value.detail.startswith("a.mp4#000001: ") and "remove" not in caught.value.detail


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
    find_landmarks(source, index, landmark_weights(), paths["landmarks.parquet"], paths["no_face.parquet"])
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
    index_source(source, 0, 0, 1, tmp_path / "index.parquet", tmp_path / "q.parquet")
    crops = Shard(run_stages(source, tmp_path / "index.parquet", tmp_path)["crops.arrow"])
    clean, occluded = crops.tensor("image", 0).astype(int), crops.tensor("occluded", 0).astype(int)
    differs = np.abs(clean - occluded).max(axis=2) > 0
    mouth = five_points(crops.tensor("landmarks", 0))[3:].mean(axis=0).round().astype(int)
    assert differs[mouth[1], mouth[0]]
    assert not differs[:60].any()


def test_the_commands_run(folder, tmp_path):
    config = FolderSource(type="folder", path=str(folder), faces=HOG).model_dump_json()
    common = ["--source", config, "--index", folder / "index.parquet", "--quarantine", tmp_path / "q.parquet"]
    find = [*common, "--model", landmark_weights(), "--output", tmp_path / "l.parquet"]
    crop = [*common, "--landmarks", tmp_path / "l.parquet", "--output", tmp_path / "c.arrow"]
    for stage, arguments in {"find_landmarks": find, "crop_faces": crop}.items():
        subprocess.run(
            [sys.executable, "-m", f"workflow_scripts.stages.faces.{stage}", *map(str, arguments)], check=True
        )
    assert len(Shard(tmp_path / "c.arrow")) == 2
    command = [sys.executable, "-m", "workflow_scripts.stages.faces.find_landmarks", *map(str, find)]
    command[command.index("--index") + 1] = str(tmp_path / "absent.parquet")
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and "absent.parquet" in failed.stderr and "Traceback" not in failed.stderr


def five_of(picture: np.ndarray) -> np.ndarray:
    return np.round(five_points(landmarks_of(picture)))


@pytest.mark.parametrize("degrees", [0, 25, -40])
def test_five_points_replace_the_detector_whatever_the_tilt(astronaut, degrees):
    picture, matrix = turned(astronaut, degrees, 1.0)
    upright = landmarks_of(astronaut)
    face = face_from_points(np.round(transform_points(matrix, five_points(upright))))
    assert (face.detector, face.score) == ("given_points", None)
    assert normalised_mean_error(landmarks_in(picture, face), transform_points(matrix, upright)) < 0.03


def test_a_box_replaces_the_detector(astronaut):
    face = found(astronaut, HOG)[0]
    wide = prior_face("boxes", None, [face.left - 4, face.top - 6, face.width * 1.1, face.width * 1.2])
    assert wide.detector == "given_box"
    assert normalised_mean_error(landmarks_in(astronaut, wide), landmarks_of(astronaut)) < 0.03


def test_what_cannot_be_a_face_is_no_prior():
    assert prior_face("none", [1.0] * 10, [1, 1, 9, 9]) is None
    assert prior_face("points", None, None) is None
    assert prior_face("points", [0.0] * 10, None) is None
    assert prior_face("boxes", None, [10, 10, 0, 0]) is None


def test_the_network_alone_finds_what_it_finds_as_a_last_step(astronaut):
    (face,) = found(astronaut, FaceSearch(detector="dlib_mmod"))
    assert face.detector == "dlib_cnn"
    assert normalised_mean_error(landmarks_in(astronaut, face), landmarks_of(astronaut)) < 0.03


@pytest.mark.parametrize("detector", ["yunet", "ssd"])
def test_files_that_are_no_weights_are_refused(astronaut, tmp_path, detector):
    path = tmp_path / "weights"
    path.write_text("not a network")
    weights = Weights(**dict.fromkeys(Weights().of_detector(detector), str(path)))
    with pytest.raises(UserError, match=r"weights\..*; download"):
        detect_faces(Picture(astronaut), FaceSearch(detector=detector), landmark_model(), weights)


@pytest.fixture(scope="module")
def celeba(astronaut, tmp_path_factory) -> CelebaSource:
    """Three pictures: one with given points, one of which the data set says nothing, one with impossible points."""
    root = tmp_path_factory.mktemp("celeba")
    (root / "img_align_celeba").mkdir()
    for number in (1, 2, 3):
        cv2.imwrite(str(root / f"img_align_celeba/{number:06d}.png"), astronaut[:300, 70:370, ::-1])
    points = " ".join(str(int(value)) for value in five_of(astronaut[:300, 70:370]).ravel())
    rows = [f"000001.jpg {points}", f"000003.jpg {' '.join(['0'] * 10)}"]
    (root / "list_landmarks_align_celeba.txt").write_text("\n".join(["2", "lefteye_x", *rows]) + "\n")
    return CelebaSource(type="celeba", path=str(root), faces=FaceSearch(prior="points"))


def test_a_picture_without_points_goes_to_the_detector_and_the_check_says_how_near_all_are(celeba, tmp_path):
    paths = {name: tmp_path / name for name in ("i.parquet", "q.parquet", "l.parquet", "c.parquet", "c.json")}
    index_source(celeba, 0, 0, 1, paths["i.parquet"], paths["q.parquet"])
    find_landmarks(celeba, paths["i.parquet"], landmark_weights(), paths["l.parquet"], paths["q.parquet"])
    table = read_table(paths["l.parquet"])
    assert table["detector"].tolist() == ["given_points", "dlib_hog", "dlib_hog"]
    assert table["score"].isna().tolist() == [True, False, False]

    tables = [paths["i.parquet"]], [paths["l.parquet"]]
    check_landmarks(celeba, *tables, landmark_weights(), paths["c.parquet"], paths["c.json"])
    check = read_table(paths["c.parquet"])
    assert check["compared_with"].tolist() == ["dlib_hog", None, None]
    assert check["points_nme"][0] < 0.03 and check["detected_nme"][0] < 0.03
    assert np.isnan(check["points_nme"][1]) and check["points_nme"][2] > 1  # impossible points are seen
    summary = json.loads(paths["c.json"].read_text())
    assert (summary["points_nme"]["items"], summary["detected_nme"]["items"]) == (2, 1)


def test_pictures_in_the_wild_have_their_own_boxes_and_points(astronaut, tmp_path):
    (tmp_path / "Img/img_celeba").mkdir(parents=True)
    (tmp_path / "Anno").mkdir()
    cv2.imwrite(str(tmp_path / "Img/img_celeba/000001.png"), astronaut[:, :, ::-1])
    face = found(astronaut, HOG)[0]
    box = [round(value) for value in (face.left, face.top, face.width, face.width)]
    texts = {"bbox_celeba": box, "landmarks_celeba": range(10), "landmarks_align_celeba": [1] * 10}
    for name, values in texts.items():
        row = " ".join(["000001.jpg", *map(str, values)])
        (tmp_path / f"Anno/list_{name}.txt").write_text(f"1\nimage_id x\n{row}\n")
    source = CelebaSource(type="celeba", path=str(tmp_path), faces=FaceSearch(prior="boxes"))
    index, output, quarantine = (tmp_path / name for name in ("i.parquet", "l.parquet", "q.parquet"))
    index_source(source, 0, 0, 1, index, quarantine)
    assert read_table(index)["box"][0].tolist() == box
    assert read_table(index)["points"][0].tolist() == list(range(10))
    find_landmarks(source, index, landmark_weights(), output, quarantine)
    assert read_table(output)["detector"].tolist() == ["given_box"]
