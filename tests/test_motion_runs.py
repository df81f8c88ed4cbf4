"""From video files and a DAVIS folder to masks, scores and exported PNG files, through Snakemake."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from motion_scenes import render, write_clip, write_davis
from PIL import Image
from projects import Project

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import VideoSource
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.overlap import iou
from workflow_scripts.motion.masks import decode_mask
from workflow_scripts.stages.motion.segment_motion import segment_motion
from workflow_scripts.stages.sources.index_source import index_source

MOTION = {"superpixels": 150, "frames": 40}


@pytest.fixture(scope="module")
def scenes() -> dict:
    return {camera: render(camera, frames=14) for camera in ("static", "translating", "shaking")}


@pytest.fixture(scope="module")
def project(tmp_path_factory, astronaut, scenes) -> Project:
    """Clips and a DAVIS folder of rendered scenes, run to the page, with exported masks."""
    project = Project.create(tmp_path_factory.mktemp("moving"), astronaut, photos=False)
    for camera in ("static", "shaking"):
        write_clip(project.root / f"films/{camera}.mp4", scenes[camera][0])
    cut = np.concatenate([scenes["static"][0], 255 - scenes["shaking"][0][:6]])
    write_clip(project.root / "films/cut.mp4", cut)
    write_davis(project.root / "davis", {name: scenes[name] for name in ("static", "translating")})
    sources = {
        "films": {"type": "video", "path": "films", "every": 1, "needs": ["motion"], "motion": MOTION},
        "davis": {"type": "davis", "path": "davis", "set": "480p/val", "motion": MOTION},
    }
    project.configure({"sources": sources, "experiments": {}, "shard_size": 20})
    project.said("all", "results/films/export_motion", "results/davis/export_motion")
    return project


def table_of(project: Project, source: str) -> pd.DataFrame:
    shards = sorted((project.root / f"results/{source}/motion").glob("*.parquet"))
    return pd.concat([read_table(path) for path in shards]).set_index("item")


def test_every_frame_of_a_video_has_a_mask_or_a_reason(project, scenes):
    rows, lost = table_of(project, "films"), read_table(project.root / "results/films/quarantine.parquet")
    assert len(rows) == 14 * 3 and len(lost) == 6
    assert {*lost["item"]} == {f"cut.mp4#{number:06d}" for number in range(14, 20)}
    assert set(lost["reason"]) == {"shot too short"} and "motion needs 10" in lost["detail"][0]
    for camera in ("static", "shaking"):
        own = rows[rows.index.str.startswith(camera)]
        masks = [decode_mask(mask) for mask in own["mask"]]
        assert {mask.shape for mask in masks} == {(120, 160)} and max(mask.max() for mask in masks) <= 100
        scores = [iou(mask >= 70, truth) for mask, truth in zip(masks, scenes[camera][1], strict=True)]
        assert np.mean(scores) >= 0.75
        assert own["area"].tolist() == pytest.approx([np.mean(mask >= 70) for mask in masks])
        assert own["filtered"].all() and set(own["blobs"]) == {1} and set(own["shot"]) == {0}
    assert set(rows[rows.index.str.startswith("static")]["camera"]) == {"static"}


def test_a_davis_folder_is_scored_without_the_first_and_last_frames(project, scenes):
    scores = read_table(project.root / "results/davis/motion_scores.parquet").set_index("sequence")
    summary = json.loads((project.root / "results/davis/motion_scores.json").read_text())
    rows = table_of(project, "davis")
    for name in ("static", "translating"):
        masks = [decode_mask(rows.loc[f"{name}/{number:05d}.jpg", "mask"]) >= 70 for number in range(1, 13)]
        truths = scenes[name][1][1:-1]
        expected = np.mean([iou(mask, truth) for mask, truth in zip(masks, truths, strict=True)])
        assert scores.loc[name, "j_mean"] == pytest.approx(expected) and expected >= 0.75
        assert scores.loc[name, "frames"] == 12 and 0.5 < scores.loc[name, "f_mean"] <= 1
    assert summary["j_mean"] == pytest.approx(scores["j_mean"].mean())
    assert (summary["sequences"], summary["frames"], summary["rejected"]) == (2, 24, [])


def test_the_page_shows_frames_with_outlines(project):
    sheet = np.asarray(Image.open(project.root / "results/films/summary/motion.png").convert("RGB")).astype(int)
    assert np.count_nonzero(sheet[..., 0] - sheet[..., 1:].max(axis=2) > 130) > 24 * 50  # red, around 24 objects
    assert "with the outline of what moves in them" in (project.root / "results/overview.html").read_text()


def test_masks_are_exported_as_davis_has_them(project):
    for source, name in (("davis", "static/00003"), ("films", "static.mp4/000003")):
        picture = Image.open(project.root / f"results/{source}/export_motion/{name}.png")
        assert picture.mode == "P" and picture.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
        indices = np.asarray(picture)
        item = {"davis": "static/00003.jpg", "films": "static.mp4#000003"}[source]
        assert np.array_equal(indices == 1, decode_mask(table_of(project, source).loc[item, "mask"]) >= 70)
        assert {*np.unique(indices)} == {0, 1}


def test_a_changed_annotation_runs_the_scores_again_and_nothing_else(project, tmp_path):
    copy = project.copy(tmp_path / "copy")
    assert not copy.planned()
    path = copy.root / "davis/Annotations/480p/static/00004.png"
    cv2.imwrite(str(path), 255 - cv2.imread(str(path), 0))
    (copy.root / "davis/Annotations/480p/static/00005.png").write_bytes(b"no picture")
    assert set(copy.planned()) == {"score_motion"}
    copy.said()
    summary = json.loads((copy.root / "results/davis/motion_scores.json").read_text())
    before = json.loads((project.root / "results/davis/motion_scores.json").read_text())
    assert summary["j_mean"] < before["j_mean"] and summary["frames"] == 23
    assert [row["annotation"] for row in summary["rejected"]] == ["static/00005.png"]


def segmented(tmp_path, name: str, pictures: np.ndarray, **keys) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of motion and of quarantine of one clip."""
    home = tmp_path / name
    write_clip(home / "films/clip.mp4", pictures, keys.pop("rate", 25))
    source = VideoSource(type="video", path=str(home / "films"), every=1, motion=MOTION | keys)
    paths = [home / f"{file}.parquet" for file in ("index", "lost", "motion", "quarantine")]
    index_source(source, 1, 0, 1, *paths[:2])
    segment_motion(source, paths[0], *paths[2:])
    return read_table(paths[2]), read_table(paths[3])


def test_frames_that_are_far_apart_are_quarantined(tmp_path, scenes):
    rows, lost = segmented(tmp_path, "slow", scenes["static"][0], rate=2)
    assert rows.empty and set(lost["reason"]) == {"frames too far apart"} and len(lost) == 14
    assert "are 0.50 s apart" in lost["detail"][0]


def test_a_long_shot_votes_in_parts_and_keeps_its_number(tmp_path, scenes):
    rows, lost = segmented(tmp_path, "parts", render("static", frames=24)[0], frames=12)
    assert len(rows) == 24 and lost.empty and set(rows["shot"]) == {0} and rows["filtered"].all()


def test_large_and_small_foregrounds_do_not_pass_the_filter(tmp_path, scenes):
    rows, _ = segmented(tmp_path, "large", scenes["static"][0], min_area=0.5, max_area=0.9)
    assert not rows["filtered"].any() and rows["area"].between(0.02, 0.5).all()
    rows, _ = segmented(tmp_path, "small", scenes["static"][0], min_area=0.001, max_area=0.01)
    assert not rows["filtered"].any()


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ({"type": "folder", "path": "photos"}, "only videos and sources of type davis have motion"),
        ({"type": "video", "path": "films"}, "per_second: motion is seen between frames .* write `every: 1`"),
        ({"type": "video", "path": "films", "every": 1, "subset": 0.5}, "subset: motion needs all frames"),
    ],
)
def test_sources_without_motion_are_refused_with_the_remedy(source, line):
    with pytest.raises(UserError, match=line):
        load_config({"sources": {"a": source | {"needs": ["motion"]}}})


def test_motion_is_made_of_davis_alone_and_of_videos_when_asked_for():
    video = {"type": "video", "path": "films", "every": 1}
    config = load_config({"sources": {"a": {"type": "davis", "path": "davis"}, "b": video | {"needs": ["motion"]}}})
    assert config.needs_of("a") == config.needs_of("b") == ("motion",)
    assert config.losing_stages("a") == ["index_source", "segment_motion"]
