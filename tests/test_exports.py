"""What is exported through Snakemake, read back by the libraries that others use: COCO, Parquet, WebDataset, cards."""

import json
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml
from projects import ROOT, Project
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import files_in, sha256_of
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import SPLITS, landmark_points, read_table, write_table
from workflow_scripts.faces.coco_faces import face_annotation, face_category
from workflow_scripts.stages.exports.export_webdataset import export_webdataset
from workflow_scripts.stages.reporting.tabulate_runs import test_scores as scores_of

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here is on the hub
TERMS = {"licence": "CC BY 4.0", "consent": "given in writing"}
TARGETS = ("photos/exports/faces.json", *(f"{name}/exports/parquet" for name in ("photos", "unmask")))
TARGETS += ("photos/exports/webdataset", "unmask/exports/webdataset", "unmask/exports/coco")


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Project:
    """The finished project with all exports that need no further package."""
    project = finished.copy(tmp_path_factory.mktemp("exported") / "project")
    config = project.config()
    config["sources"]["photos"]["terms"] = TERMS
    project.configure(config)
    project.said("results/unmask/checkpoints/README.md", *(f"results/{target}" for target in TARGETS))
    return project


def rows_of(project: Project, kind: str) -> dict[tuple, tuple[Shard, int]]:
    """Return key -> shard and row of all items of a kind of shards."""
    shards = [Shard(path) for path in sorted((project.root / "results").glob(f"{kind}/*.arrow"))]
    return {key: (shard, row) for shard in shards for key, row in shard.row_numbers().items()}


def test_the_faces_of_a_source_are_read_back_equal(exported):
    results = exported.root / "results"
    coco = COCO(str(results / "photos/exports/faces.json"))
    index = read_table(results / "photos/index.parquet")
    assert {(one["file_name"], one["width"], one["height"]) for one in coco.imgs.values()} == set(
        zip(index["item"], index["width"], index["height"], strict=True)
    )
    faces = read_table(results / "photos/landmarks/00000.parquet")
    assert len(coco.anns) == len(faces) > 10
    names = {number: one["file_name"] for number, one in coco.imgs.items()}
    found = {(names[one["image_id"]], one["face"]): one for one in coco.anns.values()}
    for row, points in zip(faces.itertuples(), landmark_points(faces), strict=True):
        one = found[row.item, row.face]
        keypoints = np.reshape(one["keypoints"], (68, 3))
        assert np.abs(keypoints[:, :2] - points).max() < 0.01 and one["num_keypoints"] == 68
        assert np.allclose(one["bbox"], [row.left, row.top, row.right - row.left, row.bottom - row.top], atol=0.02)
        assert one["detector"] == row.detector
        mask = coco.annToMask(one)
        inside = keypoints[keypoints[:, 2] == 2]
        assert mask.sum() == one["area"] and mask[inside[30:, 1].astype(int), inside[30:, 0].astype(int)].mean() > 0.9
    assert len(face_category()["keypoints"]) == 68


def test_a_point_beyond_the_border_or_below_a_mask_is_flagged_as_hidden(face):
    points = face[1] + [90, 0]
    width, height = face[0].shape[1::-1]
    hidden = np.zeros(68, bool)
    hidden[30] = True
    one = face_annotation(points, hidden, width, height)
    flags = np.array(one["keypoints"][2::3])
    assert (flags == np.where(hidden | (points[:, 0] > width - 0.5), 1, 2)).all() and 1 < (flags == 1).sum() < 60
    assert coco_mask.decode(one["segmentation"]).shape == (height, width)


def test_pictures_masks_and_faces_of_an_experiment_are_read_back_equal(exported):
    folder = exported.root / "results/unmask/exports/coco"
    rows, crops = rows_of(exported, "unmask/pairs/photos"), rows_of(exported, "photos/crops")
    count = 0
    for split in ("train", "val", "test"):
        coco = COCO(str(folder / f"{split}.json"))
        for number, image in coco.imgs.items():
            shown = cv2.imread(str(folder / "images" / split / image["file_name"]))[..., ::-1]
            shard, row = rows[image["item"], 0]
            assert (shown == shard.tensor("input", row)).all()
            face, mask = (coco.loadAnns(coco.getAnnIds(number, kind))[0] for kind in coco.getCatIds(["face", "map"]))
            assert (coco.annToMask(mask) * 255 == shard.tensor("map", row)).all()
            assert mask["kind"] == shard.scalars("kind")[row]
            of_crop, at = crops[(image["item"],)]
            points = np.reshape(face["keypoints"], (68, 3))
            assert np.abs(points[:, :2] - of_crop.tensor("landmarks", at)).max() < 0.01
            assert points[33, 2] == 1 and points[19, 2] == 2  # below the nose a mask lies, on a brow none
            count += 1
    assert count == len(read_table(exported.root / "results/unmask/splits.parquet")) - quarantined(exported)


PLACES = {"photos": "photos/index.parquet", "unmask": "unmask/splits.parquet"}


def kept(project: Project, owner: str, rows: dict) -> int:
    """Return how many rows are of items that are in a split; copies of other pictures are in none."""
    items = set(read_table(project.root / "results" / PLACES[owner])["item"])
    count = sum(item in items for item, *_ in rows)
    assert 10 < count <= len(rows)
    return count


def quarantined(project: Project) -> int:
    lost = read_table(project.root / "results/unmask/quarantine.parquet")
    return (lost["stage"] == "make_pairs").sum()


@pytest.mark.parametrize(("owner", "kind"), [("photos", "photos/crops"), ("unmask", "unmask/pairs/photos")])
def test_parquet_is_loaded_by_datasets_with_its_splits(exported, tmp_path, owner, kind):
    datasets = pytest.importorskip("datasets", reason="read back with datasets: `make test` installs it")
    folder = exported.root / "results" / owner / "exports/parquet"
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    table = read_table(exported.root / "results" / PLACES[owner])
    splits = dict(zip(table["item"], table["split"], strict=True))
    rows, seen = rows_of(exported, kind), 0
    for split, part in loaded.items():
        for row in part:
            assert splits[row["item"]] == split and row["source"] == "photos"
            shard, at = rows[(row["item"],) if owner == "photos" else (row["item"], row["variant"])]
            for name in ("image",) if owner == "photos" else ("input", "target", "map"):
                assert (np.asarray(row[name]) == shard.tensor(name, at)).all()
            if owner == "photos":
                assert (np.float32(row["landmarks"]) == shard.tensor("landmarks", at)).all()
            seen += 1
    assert seen == kept(exported, owner, rows) and set(loaded) == {"train", "val", "test"}
    head, text = re.match(r"---\n(.*?)---\n(.*)", (folder / "README.md").read_text(), re.S).groups()
    assert [one["name"] for one in yaml.safe_load(head)["dataset_info"]["features"]] == loaded["test"].column_names
    assert "CC BY 4.0" in text and "given in writing" in text
    assert ("excludes commercial use" in text) == (owner == "photos")  # of which the landmarks are part


@pytest.mark.parametrize(("owner", "kind"), [("photos", "photos/crops"), ("unmask", "unmask/pairs/photos")])
def test_tars_are_read_by_webdataset(exported, owner, kind):
    webdataset = pytest.importorskip("webdataset", reason="read back with webdataset: `make test` installs it")
    folder = exported.root / "results" / owner / "exports/webdataset"
    rows, seen = rows_of(exported, kind), 0
    for path in folder.glob("*.tar"):
        for sample in webdataset.WebDataset(str(path), shardshuffle=False).decode("pil"):
            told = sample["json"]
            shard, at = rows[(told["item"],) if owner == "photos" else (told["item"], told["variant"])]
            first = "image" if owner == "photos" else "input"
            assert (np.asarray(sample["png"]) == shard.tensor(first, at)).all()
            if owner == "unmask":
                assert (np.asarray(sample["map.png"])[..., 0] == shard.tensor("map", at)).all()
                assert told["kind"] == shard.scalars("kind")[at]
            else:
                assert (np.float32(told["landmarks"]) == shard.tensor("landmarks", at)).all()
            seen += 1
    assert seen == kept(exported, owner, rows)


def test_equal_data_are_equal_files(exported, tmp_path):
    results = exported.root / "results"
    shards = sorted((results / "unmask/pairs/photos").glob("*.arrow"))
    export_webdataset(results / "unmask/splits.parquet", shards, tmp_path / "again")
    first, second = (
        {path.name: sha256_of(path) for path in files_in(folder)}
        for folder in (results / "unmask/exports/webdataset", tmp_path / "again")
    )
    assert first == second


def test_nothing_to_export_is_said(exported, tmp_path):
    results = exported.root / "results"
    write_table(tmp_path / "splits.parquet", [], SPLITS)
    with pytest.raises(UserError, match="there is nothing to export"):
        export_webdataset(tmp_path / "splits.parquet", [results / "unmask/pairs/photos/00000.arrow"], tmp_path / "x")


def test_the_card_tells_what_the_workflow_has_written_and_the_hub_reads_it(exported):
    results = exported.root / "results"
    text = (results / "unmask/checkpoints/README.md").read_text()
    summary = json.loads((results / "unmask/metrics.json").read_text())
    means = dict(scores_of(summary))[""]
    for network in ("map", "edit"):
        assert f"`{sha256_of(results / f'unmask/checkpoints/{network}.safetensors')}`" in text
    for score in ("psnr_composite_hole", "psnr_copy_hole"):
        assert f"| {score} | {means[f'mean_{score}']:.4g} |" in text
    assert "| photos | find_landmarks | no face | 1 |" in text and "| photos | index_source |" in text
    assert "excludes commercial use" in text and "given in writing" in text and "Scores of `copy`" in text
    assert "commands.apply results/unmask/checkpoints" in text and "results/unmask/exports/edit.onnx" in text
    hub = pytest.importorskip("huggingface_hub", reason="read back with huggingface_hub: `make test` installs it")
    card = hub.ModelCard(text)
    values = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert values["psnr_copy_hole"] == means["mean_psnr_copy_hole"] and card.data.license == "other"
    assert hub.DatasetCard.load(results / "photos/exports/parquet/README.md").data.license == "other"


def test_a_card_is_made_by_a_whole_run_and_other_exports_are_not(finished):
    results = finished.root / "results"
    assert (results / "unmask/checkpoints/README.md").is_file() and not list(results.glob("*/exports"))
    assert "| photos | not stated | not stated |" in (results / "unmask/checkpoints/README.md").read_text()


def test_networks_are_targets_and_one_that_is_not_there_is_named(exported):
    pytest.importorskip("onnxruntime", reason="networks are exported with onnx and onnxruntime: `make exports`")
    refused = exported.run("results/unmask/exports/paint.onnx")
    assert refused.returncode == 1
    assert (
        "unmask has no network 'paint'; write results/unmask/exports/NETWORK.onnx with one of: map, edit"
        in refused.stderr
    )
    exported.said("results/unmask/exports/edit.onnx")
    check = json.loads((exported.root / "results/unmask/exports/edit.json").read_text())
    assert check["consent"] == {"photos": TERMS["consent"]} and check["licences"]["photos"] == TERMS["licence"]
    assert check["crops"] == {"photos": {"frame": "celeba", "size": 64}}


def test_the_example_of_the_docs_runs_with_onnxruntime_and_opencv_alone(exported, astronaut):
    pytest.importorskip("onnxruntime", reason="the example runs the file with onnxruntime: `make exports`")
    page = (ROOT / "docs/exports.md").read_text()
    (code,) = re.findall(r"```python\n(import cv2.*?)```", page, re.S)
    assert set(re.findall(r"^import (\w+)", code, re.M)) == {"cv2", "numpy", "onnxruntime"}
    exported.said("results/unmask/exports/edit.onnx")
    cv2.imwrite(str(exported.root / "crop.png"), cv2.resize(astronaut[:300, 70:370, ::-1], (64, 64)))
    subprocess.run([sys.executable, "-c", code], cwd=exported.root, check=True)
    assert cv2.imread(str(exported.root / "edited.png")).shape == (64, 64, 3)
