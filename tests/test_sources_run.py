"""Pairs, clips and pictures that are easily taken for something else, through the real workflow."""

import cv2
import numpy as np
import pytest
from PIL import Image
from projects import Project, tiny_config
from source_files import write
from test_pictures_shown import ADOBE, as_adobe, encoded, float_tiff, with_chunk
from test_video_shown import MATRICES
from test_video_shown import write as write_clip

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.sources._pictures import TURNS

# What turns a shown picture into the stored one, by the orientation that turns it back.
BACK = TURNS | {6: TURNS[8], 8: TURNS[6]}


def masked(picture: np.ndarray) -> np.ndarray:
    occluded = picture.copy()
    occluded[95:150, 70:130] = (120, 160, 200)
    return occluded


@pytest.fixture(scope="module")
def portrait(astronaut) -> np.ndarray:
    return np.ascontiguousarray(cv2.resize(astronaut[:300, 70:370], (192, 192), interpolation=cv2.INTER_AREA))


@pytest.fixture(scope="module")
def project(made_once, astronaut, portrait) -> Project:
    def fill(folder):
        made = Project.create(folder / "project", astronaut)
        other = np.ascontiguousarray(portrait[:, ::-1] // 2 + np.uint8(60))
        pictures = {"Ann_0001": portrait, "Bob_0001": other, "Eve_0002": portrait, "1/7": portrait, "2/7": other}
        occluded = {f"{name}_surgical": masked(pictures[name]) for name in ("Ann_0001", "Bob_0001")}
        occluded |= {"Eve_0002_cloth": masked(other), "7_N95": masked(portrait)}
        for side, shown in (("bare", pictures), ("masked", occluded)):
            write(made.root / side, {f"{name}.png": encoded(Image.fromarray(shown[name]), "PNG") for name in shown})
        for orientation, (a, b, c, d) in MATRICES.items():
            stored = Image.fromarray(portrait)
            stored = np.asarray(stored.transpose(BACK[orientation]) if orientation > 1 else stored)
            matrix = [65536 * a, 65536 * b, 0, 65536 * c, 65536 * d, 0, 0, 0, 1 << 30]
            write_clip(made.root / f"clips/{orientation}.mp4", [stored] * 2, matrix=matrix)
        write_clip(
            made.root / "clips/askew.mp4", [portrait] * 2, matrix=[46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30]
        )
        grey = np.ascontiguousarray(portrait[..., 1])
        twelve = cv2.imencode(".png", np.round(grey / 255 * 4095).astype(np.uint16))[1].tobytes()
        odd = {"adobe.jfif": encoded(Image.fromarray(as_adobe(portrait)), "JPEG", icc_profile=ADOBE, quality=98)}
        odd |= {"stated.png": with_chunk(twelve, b"sBIT", b"\x0c"), "twelve.png": twelve, "floats.tif": float_tiff()}
        odd |= {"a.jxl": b"\xff\x0a", "clip.mts": b"G@", "plain.png": encoded(Image.fromarray(portrait), "PNG")}
        write(made.root / "odd", odd)
        common = {"crop": {"size": 64, "frame": "whole"}, "faces": {"on_no_face": "whole"}}
        sources = {
            "given": {"type": "pairs", "clean": "bare", "occluded": "masked"},
            "clips": {"type": "video", "path": "clips"},
            "odd": {"type": "folder", "path": "odd"},
        }
        config = tiny_config() | {"sources": {name: keys | common for name, keys in sources.items()}, "experiments": {}}
        made.configure(config)
        targets = [f"results/{name}/{file}" for name in sources for file in ("crops/00000.arrow", "quarantine.parquet")]
        made.said(*targets)

    return Project(made_once("sources", fill) / "project")


def results(project: Project, source: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the crops by item, and the reasons of what is quarantined."""
    shard = Shard(project.root / f"results/{source}/crops/00000.arrow")
    lost = read_table(project.root / f"results/{source}/quarantine.parquet")
    crops = {item: shard.tensor("image", row) for row, item in enumerate(shard.items)}
    return crops, dict(zip(lost["item"], lost["reason"], strict=True))


def test_pairs_are_of_one_person_each(project):
    crops, lost = results(project, "given")
    assert set(crops) == {"occluded/Ann_0001_surgical.png", "occluded/Bob_0001_surgical.png"}
    assert lost == {
        "occluded/Eve_0002_cloth.png": "not the same picture",
        "occluded/7_N95.png": "ambiguous name",
        "clean/1/7.png": "ambiguous name",
        "clean/2/7.png": "ambiguous name",
    }
    index = read_table(project.root / "results/given/index/00000.parquet")
    pairs = dict(zip(index["item"], index["file"], strict=True))
    assert all(pairs[item] == f"clean/{item[9:17]}.png" for item in crops)


def test_clips_come_out_upright_and_not_mirrored(project, portrait):
    crops, lost = results(project, "clips")
    assert lost == {"askew.mp4": "video shown askew"} and len(crops) == len(MATRICES)
    for item, crop in crops.items():
        assert np.abs(crop.astype(int) - crops["1.mp4#000000"]).mean() < 4, item
    assert np.abs(crops["1.mp4#000000"].astype(int) - cv2.resize(portrait, (64, 64))).mean() < 9


def test_pictures_have_the_colours_and_depths_that_they_state(project):
    crops, lost = results(project, "odd")
    assert lost == {
        "twelve.png": "nearly black",
        "floats.tif": "pixel format not supported",
        "a.jxl": "not a picture file",
        "clip.mts": "not a picture file",
    }
    plain = crops["plain.png"].astype(int)
    assert np.abs(crops["adobe.jfif"] - plain).mean() < 3
    assert np.abs(crops["stated.png"] - plain[..., 1:2]).mean() < 1
