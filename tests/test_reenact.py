"""Driven faces: scores beside the copier, videos in time and marked, the page, and one command from clip to clip."""

import itertools
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from film_files import assert_marked, frames_of
from PIL import Image
from projects import ROOT, Project, overview_arguments
from weights import landmark_model, landmark_weights

from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import INDEX, QUARANTINE, SPLITS, read_table, write_table
from workflow_scripts.metrics.frames import find_points, flicker, nearest_face
from workflow_scripts.metrics.landmarks import normalised_mean_error
from workflow_scripts.reporting import films
from workflow_scripts.stages.experiments import draw_figures, summarize_scores
from workflow_scripts.stages.reenactment import score_frames, write_videos
from workflow_scripts.stages.reporting import write_overview
from workflow_scripts.systems._reenactment import charts
from workflow_scripts.systems._reenactment.report import find_videos

SIDE = 128
PICTURE = (np.uint8, (SIDE, SIDE, 3))
TRAINED, HELD_OUT, DRIVEN = 6, 4, 8
LOST = (3, 4)  # frames of the driver without a face
# Seconds; the frame rate varies, and the clip does not begin at 0.
TIMES = np.cumsum([0.5, 0.04, 0.1, 0.04, 0.02, 0.3, 0.04, 0.05])


def moved(face, right: float, down: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the face's crop and landmarks, moved by some pixels."""
    picture, points = face
    matrix = np.float32([[SIDE / 256, 0, right], [0, SIDE / 256, down]])
    shown = cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return shown, (points * SIDE / 256 + (right, down)).astype(np.float32)


def write_source(root: Path, source: str, frames: list, times, splits: list[str], outputs, lost=()) -> list[dict]:
    """Write all that the stages read of one source of one clip; return its rows of `splits`."""
    items = [f"clip.mp4#{number:06d}" for number in range(len(frames))]
    index = [
        {"item": item, "file": "clip.mp4", "frame": number, "time": float(time), "shot": 0, "split": split}
        for number, (item, time, split) in enumerate(zip(items, times, splits, strict=True))
    ]
    whole = [number for number in range(len(frames)) if number not in lost]
    for path in (root / source / "index/00000.parquet", root / source / "index.parquet"):
        write_table(path, index, INDEX)
    gone = [
        {"item": items[number], "stage": "find_landmarks", "reason": "no face", "detail": "none"} for number in lost
    ]
    write_table(root / source / "quarantine.parquet", gone, QUARANTINE)
    home, blank = root / "reenact", np.zeros((SIDE, SIDE, 3), np.uint8)
    points = {"landmarks": (np.float32, (68, 2))}
    rows = [{"item": items[n], "image": frames[n][0], "landmarks": frames[n][1]} for n in whole]
    write_shard(root / source / "crops/00000.arrow", rows, {"item": pa.string(), "image": PICTURE, **points})
    rows = [
        {"item": items[n], "input": frames[n][0] // 2, "target": frames[n][0], "landmarks": frames[n][1]}
        | {
            "clamped": 12.0 * (n == 0),
            "eased": 0.0,
            "follows": n - 1 in whole,
            "previous": frames[n - 1][0] if n - 1 in whole else blank,
        }
        for n in whole
    ]
    columns = {"item": pa.string(), "follows": pa.bool_(), **dict.fromkeys(("clamped", "eased"), pa.float32())}
    columns |= {**dict.fromkeys(("input", "target", "previous"), PICTURE)}
    write_shard(home / f"drawings/{source}/00000.arrow", rows, columns | points)
    rows = [{"item": items[n], "output": outputs[n]} for n in whole]
    write_shard(home / f"driven/{source}/00000.arrow", rows, {"item": pa.string(), "output": PICTURE})
    write_table(home / f"quarantine/draw_landmarks/{source}/00000.parquet", [], QUARANTINE)
    return [
        {"source": source, "item": items[n], "split": splits[n], "seen": False, "scored": splits[n] != "train" or n < 2}
        for n in whole
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory, face) -> Path:
    """A results folder up to the summary: perfect outputs for the target's own frames, a frozen face when driven."""
    root = tmp_path_factory.mktemp("reenact") / "results"
    own = [moved(face, 2 * n, n) for n in range(TRAINED + HELD_OUT)]
    splits = ["train"] * TRAINED + ["test"] * HELD_OUT
    rows = write_source(root, "woman", own, 0.04 * np.arange(len(own)), splits, [picture for picture, _ in own])
    drives = [moved(face, 3 * (n % 3), n) for n in range(DRIVEN)]
    frozen = [own[0][0]] * DRIVEN
    rows += write_source(root, "man", drives, TIMES, ["apply"] * DRIVEN, frozen, LOST)
    home = root / "reenact"
    write_table(home / "splits.parquet", rows, SPLITS)
    write_table(home / "quarantine/assign_splits.parquet", [], QUARANTINE)
    for source, frames in (("woman", own), ("man", drives)):
        shards = [f"--{kind}={home / kind / source / '00000.arrow'}" for kind in ("drawings", "driven")]
        score_frames.main(
            [
                f"--source={source}",
                f"--splits={home / 'splits.parquet'}",
                *shards,
                f"--crops={root / source / 'crops/00000.arrow'}",
                "--model",
                str(landmark_weights()),
                "--references",
                str(home / "drawings/woman/00000.arrow"),
                f"--output={home / 'metrics' / source / '00000.parquet'}",
            ]
        )
        clip = root.parent / source / "clip.mp4"
        clip.parent.mkdir()
        times = TIMES if source == "man" else 0.04 * np.arange(len(own))
        films.write_mp4(clip, [(time, picture) for time, (picture, _) in zip(times, frames, strict=True)])
    sources = ("man", "woman")
    summarize_scores.main(
        [
            "--experiment",
            json.dumps({"system": "reenact"}),
            "--metrics",
            *(str(home / "metrics" / source / "00000.parquet") for source in sources),
            "--shards",
            *(str(home / "drawings" / source / "00000.arrow") for source in sources),
            "--quarantine",
            *(str(path) for path in sorted((home / "quarantine").rglob("*.parquet"))),
            f"--output={home / 'metrics.parquet'}",
            f"--summary={home / 'metrics.json'}",
            f"--quarantined={home / 'quarantine.parquet'}",
        ]
    )
    return root


def film(results: Path, source: str, folder: Path, **video) -> Path:
    """Write a source's videos; return their folder."""
    home = results / "reenact"
    write_videos.main(
        [f"--video={json.dumps(video)}", f"--name={source}", f"--splits={home / 'splits.parquet'}"]
        + [f"--source={json.dumps({'type': 'video', 'path': str(results.parent / source)})}"]
        + [f"--index={results / source / 'index/00000.parquet'}"]
        + [f"--{kind}={home / kind / source / '00000.arrow'}" for kind in ("drawings", "driven")]
        + [f"--output={folder / source}", f"--digests={folder / source}.json"]
    )
    return folder / source


def test_a_perfect_output_has_the_truths_scores_and_beats_the_copier(results):
    rows = read_table(results / "reenact/metrics.parquet")
    test = rows[rows["split"] == "test"]
    assert len(test) == HELD_OUT and (test["psnr_output"] == 100).all() and (test["ssim_output"] > 0.9999).all()
    assert (test["psnr_nearest"] < 40).all() and (test["nme_nearest"] > test["nme_output"]).all()
    assert (test["flicker_output"] == 0).all() and (test["change_output"] == test["change_driver"]).all()
    assert np.allclose(test["identity_output"], test["identity_driver"])
    assert np.allclose(test["nme_output"], test["nme_driver"]) and (test["nme_output"] < 0.04).all()
    assert set(test["nearest_item"]) == {f"clip.mp4#{TRAINED - 1:06d}"}
    step = np.hypot(2, 1)
    assert np.allclose(test["nearest_distance"], step * (1 + np.arange(HELD_OUT)), rtol=1e-4)


def test_a_training_frame_is_not_its_own_nearest(results):
    rows = read_table(results / "reenact/metrics.parquet")
    training = rows[rows["split"] == "train"]
    assert len(training) == 2 and (training["nearest_item"] != training["item"]).all()


def test_a_frozen_face_flickers_and_frames_after_a_gap_have_no_change(results):
    driven = read_table(results / "reenact/metrics.parquet").query("source == 'man'").set_index("item")
    assert driven["psnr_output"].isna().all() and len(driven) == DRIVEN - len(LOST)
    first = ["clip.mp4#000000", "clip.mp4#000005"]  # of the clip, and after the frames that were lost
    assert driven.loc[first, "change_output"].isna().all() and driven.loc[first, "flicker_output"].isna().all()
    others = driven.drop(index=first)
    assert (others["change_output"] == 0).all() and (others["flicker_output"] > 1).all()


def test_flicker_is_least_for_the_change_of_the_driver():
    faithful, frozen, jumping = (flicker(change, 4.0) for change in (4.2, 0.0, 16.0))
    assert faithful < 0.1 and frozen > 1 and jumping > 1
    assert flicker(0.0, 0.0) == 0


@pytest.mark.parametrize("side", [64, 256])
def test_landmarks_are_found_on_small_outputs_in_their_own_pixels(face, side):
    picture, points = face
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    assert normalised_mean_error(find_points(small, landmark_model()), (points + 0.5) * side / 256 - 0.5) < 0.05
    assert find_points(np.full((side, side, 3), 90, np.uint8), landmark_model()) is None


def test_the_nearest_face_is_the_least_mean_distance(face):
    _, points = face
    row, distance = nearest_face(points, np.stack([points + 5, points + np.array([0, 2]), points - 9]))
    assert (row, distance) == (1, pytest.approx(2))


def test_the_summary_tells_own_frames_from_driven_ones_and_the_gap(results):
    summary = json.loads((results / "reenact/metrics.json").read_text())
    entries = {(entry["split"], entry["source"]): entry for entry in summary["scores"]}
    assert set(entries) == {
        (s, n) for s, source in (("test", "woman"), ("train", "woman"), ("apply", "man")) for n in (None, source)
    }
    assert entries["test", None]["mean"]["psnr_output"] == 100 and entries["apply", None]["mean"]["psnr_output"] is None
    assert entries["apply", "man"]["mean"]["found_driver"] == 1
    assert entries["apply", "man"]["mean"]["clamped"] == pytest.approx(1 / 6)
    assert entries["apply", "man"]["mean"]["eased"] == 0
    assert summary["gaps"][0]["gap"]["psnr_output"] == 0 and summary["items"]["man"] == {"paired": 6, "scored": 6}


def test_videos_keep_the_drivers_time_at_a_variable_frame_rate(results, tmp_path):
    folder = film(results, "man", tmp_path)
    shown = frames_of(folder / "clip.mp4")
    assert [time for time, _ in shown] == pytest.approx(TIMES - TIMES[0], abs=1e-4)
    assert shown[0][1].shape == (256, 768, 3)
    with av.open(str(folder / "clip.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(TIMES[-1] - TIMES[0] + 0.05, abs=1e-3)
    with Image.open(folder / "clip.gif") as gif:
        lengths = [gif.info["duration"] for number in range(gif.n_frames) if gif.seek(number) is None]
    assert sum(lengths[:-1]) / 1000 <= TIMES[-1] - TIMES[0] + 0.01


@pytest.mark.parametrize("lost_frames", ["hold", "blank"])
def test_a_lost_frame_is_held_or_blank_and_the_driver_shown(results, tmp_path, lost_frames):
    shown = [strip for _, strip in frames_of(film(results, "man", tmp_path, lost_frames=lost_frames) / "clip.mp4")]
    assert len(shown) == DRIVEN
    for number in LOST:
        driver, drawing, output = np.split(shown[number].astype(int), 3, axis=1)
        before = shown[LOST[0] - 1][:, 512:].astype(int)
        assert driver.mean() > 30 and drawing.max() < 12
        assert abs(output - before).mean() < 2 if lost_frames == "hold" else output.max() < 12


def test_only_the_held_out_frames_of_the_target_are_shown(results, tmp_path):
    assert len(frames_of(film(results, "woman", tmp_path) / "clip.mp4")) == HELD_OUT


def test_every_file_is_marked_and_equal_each_time(results, tmp_path):
    first, second = film(results, "man", tmp_path / "a"), film(results, "man", tmp_path / "b")
    assert {path.name for path in first.iterdir()} == {"clip.mp4", "clip.gif", "clip.png"}
    for path in first.iterdir():
        assert_marked(path)
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_a_visible_mark_changes_the_output_alone(results, tmp_path):
    plain = frames_of(film(results, "man", tmp_path / "plain") / "clip.mp4")[0][1]
    labelled = frames_of(film(results, "man", tmp_path / "labelled", visible_mark=True) / "clip.mp4")[0][1]
    change = abs(plain.astype(int) - labelled).max(axis=2)
    assert change[:, 520:].max() > 100 and change[:, :500].max() < 40 and change[:180, 520:].max() < 40


def test_figures_and_page_show_the_videos_and_are_marked(results, tmp_path):
    home = results / "reenact"
    curves = pd.DataFrame({"step": [1, 2], "epoch": 1, "split": "train", "name": "render l1", "value": [2.0, 1.0]})
    write_table(home / "curves/render.parquet", curves)
    (home / "previews/render").mkdir(parents=True)
    config = {"system": "reenact", "train": ["woman"], "test": ["woman"], "apply": ["man"], "gallery": 2}
    draw_figures.main(
        [
            f"--experiment={json.dumps(config)}",
            f"--metrics={home / 'metrics.parquet'}",
            f"--curves={home / 'curves/render.parquet'}",
            f"--output={home / 'figures'}",
            "--index",
            *(str(results / source / "index.parquet") for source in ("man", "woman")),
            "--shards",
            *map(str, sorted((home / "drawings").rglob("*.arrow"))),
            *map(str, sorted((home / "driven").rglob("*.arrow"))),
            f"--digests={home / 'figures.json'}",
        ]
    )
    names = {
        "first_look.png",
        "applied_man.png",
        "gallery_woman.png",
        "time_man.svg",
        "time_woman.svg",
        "curves_render.svg",
    }
    assert {path.name for path in (home / "figures").iterdir()} == names
    for path in (home / "figures").glob("*.png"):
        assert_marked(path)
    for source in ("man", "woman"):
        film(results, source, home / "videos")
    page = tmp_path / "overview.html"
    write_overview.main(overview_arguments(results, {"reenact": config}, [], page, ["man", "woman"]))
    text = page.read_text()
    assert text.count("data:video/mp4;base64,") == 2 and "pictures only" in text and "100.00 dB" in text
    assert "man drives: in 17 % of the frames the head is turned less" in text


def test_a_large_video_is_shown_by_a_small_copy(results, tmp_path, monkeypatch):
    monkeypatch.setattr(write_videos, "PAGE_BYTES", 1000)
    folder = film(results, "man", tmp_path / "videos")
    (found,) = find_videos(folder)
    assert found["page"] == folder / "clip_page.mp4" and found["shortened"] and found["whole"] == "clip.mp4"
    assert frames_of(found["page"])[0][1].shape == (128, 384, 3)
    assert_marked(found["page"])


def test_the_configuration_of_make_run_plans_every_stage(tmp_path, astronaut):
    project = Project.create(tmp_path, astronaut)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["experiments"] = {"reenact": config["experiments"]["reenact"]}
    config["sources"] = {name: config["sources"][name] for name in ("woman", "man")}
    project.configure(config)
    stages = project.planned()
    assert stages["draw_landmarks"] == stages["drive_faces"] == stages["score_frames"] == stages["write_videos"] == 2
    assert stages["summarize_scores"] == stages["draw_figures"] == stages["train_network"] == 1
    assert not {"make_pairs", "predict_maps", "edit_faces", "score_outputs"} & set(stages)


def test_the_chart_over_time_shows_all_of_every_clip_and_no_two_names_in_one_place(monkeypatch):
    clips = [("short.mp4", 1, 0.1), *((f"clip of somebody who speaks {n}.mp4", 5, n) for n in range(20))]
    rows = [
        {"file": name, "time": 0.04 * frame, "shot": 0}
        | {f"{score}_{of}": value for score in ("nme", "change") for of in charts.LINES}
        for name, frames, value in clips
        for frame in range(frames)
    ]
    figures = []
    monkeypatch.setattr(charts, "save_chart", lambda figure, path: figures.append(figure))
    charts.draw_time(pd.DataFrame(rows), Path("unused.svg"))
    (figure,) = figures
    figure.canvas.draw()
    assert all(axis.get_ylim()[0] == 0 and axis.get_ylim()[1] > 19 for axis in figure.axes)
    boxes = [label.get_window_extent() for label in figure.axes[1].get_xticklabels() if label.get_text()]
    assert boxes and all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
    charts.plt.close(figure)
