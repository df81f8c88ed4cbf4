"""Completions are scored by hand-computed numbers, methods stay apart, and the page shows them in their order."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from projects import overview_arguments
from weights import landmark_model, landmark_weights

from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import INDEX, Quarantine, read_table, write_table
from workflow_scripts.metrics.found_faces import find_face
from workflow_scripts.reporting.galleries import gallery_size
from workflow_scripts.stages.completion import merge_scores, score_completions, score_keypoints
from workflow_scripts.stages.experiments import draw_figures, summarize_scores
from workflow_scripts.stages.reporting import write_overview
from workflow_scripts.systems._completion import curve, scores
from workflow_scripts.systems._completion.columns import KEYPOINTS, METRICS
from workflow_scripts.systems._completion.guides import hidden_points

SIDE, SHIFT = 96, 4
ITEMS = {"a.png": "test", "b.png": "test", "c.png": "train"}
CONFIG = {"system": "diverse", "train": ["people"], "test": ["people"], "gallery": 4}
METHODS = ("regression", "de", "flow", "nearest")  # whose completions are made by hand
PICTURE, PLANE, POINTS = (np.uint8, (SIDE, SIDE, 3)), (np.uint8, (SIDE, SIDE)), (np.float32, (68, 2))


@pytest.fixture(scope="module")
def face(astronaut) -> SimpleNamespace:
    """A face whose grey levels leave room for what is added to them, with the landmarks that are found in it."""
    image = cv2.resize(astronaut[0:192, 128:320], (SIDE, SIDE), interpolation=cv2.INTER_AREA).clip(30, 215)
    points = find_face(image, landmark_model()).astype(np.float32)
    left, top = np.floor(points.min(axis=0)).astype(int) - 6
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + 6
    holes = {"40-50": np.zeros((SIDE, SIDE), bool), "parts": np.zeros((SIDE, SIDE), bool)}
    holes["40-50"][max(0, top) : bottom, max(0, left) : right] = True
    mouth = np.rint(points[48:68]).astype(int)
    holes["parts"][mouth[:, 1].min() - 3 : mouth[:, 1].max() + 4, mouth[:, 0].min() - 3 : mouth[:, 0].max() + 4] = True
    return SimpleNamespace(image=image, points=points, holes=holes)


def completed(face, method: str, knob: float, move: str) -> list[np.ndarray]:
    """Return what a method paints before it is cut out by the hole, for two samples, or one of the mean completion."""
    if method == "regression":
        return [face.image + np.uint8(20)]
    if method == "de":
        return [np.full_like(face.image, 90), np.full_like(face.image, 120)]
    if method == "nearest":
        return [face.image[:, ::-1], face.image[::-1]]
    image = np.roll(face.image, SHIFT, axis=0) if move else face.image
    return [image + np.uint8(10 * knob), image + np.uint8(20 * knob)]


def rows_of(face, method: str):
    knobs = (1.0,) if method in ("regression", "nearest") else (0.0, 0.5, 1.0)
    for item, split in ITEMS.items():
        for variant, hole in enumerate(face.holes.values()):
            ways = [(knob, "") for knob in knobs if knob == 1 or item == "a.png"]
            ways += [(1.0, "open_mouth")] if len(knobs) > 1 and split == "test" and variant == 0 else []
            for knob, move in ways:
                hidden = hidden_points(face.points, hole)[:, None]
                asked = face.points + np.float32([0, SHIFT if move else 0]) * hidden
                samples = [np.where(hole[..., None], made, face.image) for made in completed(face, method, knob, move)]
                row = {"item": item, "variant": variant, "knob": knob, "move": move, "asked": asked}
                yield row | {"samples": np.stack(samples)}


def write_inputs(face, home: Path) -> None:
    """Write what the stages before leave: holes, predicted keypoints, completions, splits, an empty quarantine."""
    shapes = [("40-50", "strokes"), ("parts", "mouth")]
    keys = [(item, variant) for item in ITEMS for variant in range(len(shapes))]
    holes = (
        {"item": item, "variant": variant, "kind": shapes[variant][0], "shape": shapes[variant][1]}
        | {"target": face.image, "hole": face.holes[shapes[variant][0]] * np.uint8(255), "landmarks": face.points}
        for item, variant in keys
    )
    columns = {"item": pa.string(), "variant": pa.int32(), "kind": pa.string(), "shape": pa.string()}
    columns |= {"target": PICTURE, "hole": PLANE, "landmarks": POINTS}
    write_shard(home / "holes/people/00000.arrow", holes, columns)
    spread = np.full(68, 2, np.float32)
    found = (
        {"item": item, "variant": variant, "landmarks": face.points + 1, "spread": spread} for item, variant in keys
    )
    columns = {"item": pa.string(), "variant": pa.int32(), "landmarks": POINTS, "spread": (np.float32, (68,))}
    write_shard(home / "keypoints/people/00000.arrow", found, columns)
    for method in METHODS:
        rows = list(rows_of(face, method))
        columns = {"item": pa.string(), "variant": pa.int32(), "knob": pa.float32(), "move": pa.string()}
        columns |= {"asked": POINTS, "samples": (np.uint8, rows[0]["samples"].shape)}
        write_shard(home / f"completed_{method}/people/00000.arrow", rows, columns)
    splits = [{"source": "people", "item": item, "split": split} for item, split in ITEMS.items()]
    write_table(home / "splits.parquet", pd.DataFrame(splits).assign(seen=False, scored=True))
    Quarantine("make_holes").write(home / "quarantine/make_holes/people/00000.parquet")


@pytest.fixture(scope="module")
def scored(face, tmp_path_factory, efficientnet_lite0) -> SimpleNamespace:
    """The scores of all methods on three faces, gathered and summarised by the stages' command lines."""
    root = tmp_path_factory.mktemp("completion")
    home = root / "faces"
    write_inputs(face, home)
    parts = {method: home / f"scores_{method}/people/00000.parquet" for method in (*METHODS, KEYPOINTS)}
    for method in METHODS:
        options = {"source": "people", "method": method, "distance": "efficientnet_lite0"}
        options |= {"splits": home / "splits.parquet", "holes": home / "holes/people/00000.arrow"}
        options |= {"completed": home / f"completed_{method}/people/00000.arrow", "model": landmark_weights()}
        options |= {"weights": efficientnet_lite0, "output": parts[method]}
        score_completions.main([f"--{name}={value}" for name, value in options.items()])
    write_table(parts[KEYPOINTS], keypoint_rows(), METRICS)
    table = home / "metrics/people/00000.parquet"
    merge_scores.main(["--scores", *map(str, parts.values()), f"--output={table}"])
    kinds = ("holes", *(f"completed_{method}" for method in METHODS))
    shards = {kind: str(home / kind / "people/00000.arrow") for kind in kinds}
    outputs = {"output": "metrics.parquet", "summary": "metrics.json", "quarantined": "quarantine.parquet"}
    summarize_scores.main(
        [f"--experiment={json.dumps(CONFIG)}", f"--metrics={table}", "--shards", *shards.values()]
        + [f"--weights={efficientnet_lite0}", f"--quarantine={home / 'quarantine/make_holes/people/00000.parquet'}"]
        + [f"--{name}={home / file}" for name, file in outputs.items()]
    )
    summary = json.loads((home / "metrics.json").read_text(encoding="utf-8"))
    shards["keypoints"] = str(home / "keypoints/people/00000.arrow")
    return SimpleNamespace(
        root=root, home=home, shards=shards, rows=read_table(home / "metrics.parquet"), summary=summary
    )


def keypoint_rows() -> list[dict]:
    """Return keypoints of four test holes: dlib finds a face in the second and the last one."""
    place = {"source": "people", "split": "test", "seen": False, "method": KEYPOINTS, "knob": 1.0, "move": ""}
    places = [("a.png", 0, "40-50"), ("a.png", 1, "parts"), ("b.png", 0, "40-50"), ("b.png", 1, "parts")]
    rows = [place | {"item": item, "variant": number, "kind": kind} for item, number, kind in places]
    found = [{"dlib_found": 0.0}, {"dlib_found": 1.0, "dlib_nme_in": 0.08, "dlib_nme_out": 0.02}] * 2
    return [
        row | dlib | {"nme_in": error, "nme_out": 0.01}
        for row, dlib, error in zip(rows, found, (0.06, 0.02, 0.08, 0.04), strict=True)
    ]


def one(rows: pd.DataFrame, **wanted) -> pd.Series:
    """Return the only row that has these values."""
    for name, value in ({"item": "a.png", "variant": 0, "knob": 1, "move": ""} | wanted).items():
        rows = rows[rows[name] == value]
    (row,) = rows.itertuples()
    return row


def test_every_completion_has_its_row_and_the_table_is_sorted(scored):
    made = sum(len(Shard(scored.home / f"completed_{method}/people/00000.arrow")) for method in METHODS)
    assert len(scored.rows) == made + len(keypoint_rows())
    keys = scored.rows[["source", "item", "variant", "method", "knob", "move"]]
    assert not keys.duplicated().any() and keys.equals(keys.sort_values(list(keys.columns), ignore_index=True))


def test_best_and_mean_are_those_of_the_samples(scored, face):
    """An error of 10 grey levels has 28.13 dB, of 20 levels 22.11 dB; over the whole picture it is thinned out."""
    row = one(scored.rows, method="flow")
    by_hand = [20 * np.log10(255 / 10), 20 * np.log10(255 / 20)]
    assert row.psnr_best_hole == pytest.approx(by_hand[0]) and row.psnr_mean_hole == pytest.approx(np.mean(by_hand))
    assert row.area == pytest.approx(face.holes["40-50"].mean())
    assert row.psnr_best_whole == pytest.approx(by_hand[0] - 10 * np.log10(row.area))
    assert row.samples == 2 and one(scored.rows, method="regression").samples == 1
    assert one(scored.rows, method="flow", knob=0).psnr_mean_hole == 100


def test_diversity_grows_with_the_knob_and_a_single_completion_has_none(scored):
    diversity = [one(scored.rows, method="flow", knob=knob).diversity_hole for knob in (0, 0.5, 1)]
    assert diversity[0] == pytest.approx(0, abs=1e-6) and 0 < diversity[1] < diversity[2]
    assert one(scored.rows, method="nearest").diversity_hole > diversity[2]
    assert one(scored.rows, method="regression").diversity_hole == 0


def test_a_face_that_is_painted_over_is_not_found(scored):
    grey, ours = (one(scored.rows, method=method) for method in ("de", "flow"))
    assert grey.found == 0 and np.isnan(grey.nme_truth) and grey.found_truth == 1
    assert ours.found == 1 and ours.nme_truth < 0.03
    assert one(scored.rows, method="flow", knob=0).nme_truth == pytest.approx(ours.nme_floor)


def test_moves_are_scored_by_the_points_that_they_concern(scored, face):
    """The picture in the hole went down by `SHIFT` pixels, and so did the keypoints that were asked for."""
    moved = one(scored.rows, method="flow", move="open_mouth")
    eyes = np.linalg.norm(face.points[36] - face.points[45])
    assert moved.moved_points == hidden_points(face.points, face.holes["40-50"]).sum() > 60
    assert moved.nme_unmoved == pytest.approx(SHIFT / eyes, rel=0.15)
    assert moved.nme_asked < moved.nme_unmoved / 3
    assert np.isnan(moved.psnr_best_hole) and np.isnan(moved.diversity_hole)


def test_identity_is_measured_at_knob_one_alone(scored):
    row = one(scored.rows, method="flow")
    assert row.identity_truth > 0.95 and 0 <= row.identity_spread < 0.05
    assert one(scored.rows, method="nearest").identity_truth < row.identity_truth
    assert np.isnan(one(scored.rows, method="flow", knob=0.5).identity_truth)
    assert np.isnan(one(scored.rows, method="regression").identity_spread)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_a_face_is_found_in_crops_of_any_size_at_its_place(astronaut, side):
    image = cv2.resize(astronaut[0:192, 128:320], (side, side), interpolation=cv2.INTER_AREA)
    points = (find_face(image, landmark_model()) + 0.5) / side
    assert np.abs(points[36:48].mean(axis=0) - [0.5, 0.5]).max() < 0.2
    reference = (find_face(astronaut[0:192, 128:320], landmark_model()) + 0.5) / 192
    assert np.linalg.norm(points - reference, axis=1).mean() < 0.02
    assert find_face(np.full_like(image, 90), landmark_model()) is None


def test_methods_are_never_averaged_together(scored):
    tested = [entry for entry in scored.summary["scores"] if entry["split"] == "test" and entry["source"] is None]
    assert [entry["method"] for entry in tested if entry["kind"] is None] == ["nearest", "regression", "de", "flow"]
    for entry in tested:
        rows = scored.rows[(scored.rows["split"] == "test") & (scored.rows["method"] == entry["method"])]
        rows = rows[(rows["knob"] == 1) & (rows["move"] == "")]
        rows = rows if entry["kind"] is None else rows[rows["kind"] == entry["kind"]]
        assert entry["items"] == len(rows) in (2, 4)
        assert entry["mean"]["psnr_best_hole"] == pytest.approx(rows["psnr_best_hole"].mean())
    gaps = [gap for gap in scored.summary["gaps"] if gap["source"] is None]
    assert [gap["method"] for gap in gaps] == ["nearest", "regression", "de", "flow"]
    assert all(gap["gap"]["psnr_best_hole"] == pytest.approx(0) for gap in gaps)  # all items are the same face


def test_the_curve_has_the_same_holes_at_every_knob(scored):
    entries = {(entry["method"], entry["knob"]): entry for entry in scored.summary["curve"]}
    assert set(entries) == {
        *(("nearest", 1.0), ("regression", 1.0)),
        *((method, knob) for method in ("de", "flow") for knob in (0.0, 0.5, 1.0)),
    }
    assert {entry["items"] for entry in entries.values()} == {2}  # the two holes of a.png


def test_keypoints_are_scored_beside_dlibs(scored, face):
    """The predicted points lie one pixel to the right and below, and say that they are two pixels unsure."""
    output = scored.root / "keypoints.parquet"
    options = {"source": "people", "splits": scored.home / "splits.parquet", "model": landmark_weights()}
    options |= {"holes": scored.home / "holes/people/00000.arrow", "output": output}
    options |= {"keypoints": scored.home / "keypoints/people/00000.arrow"}
    score_keypoints.main([f"--{name}={value}" for name, value in options.items()])
    rows = read_table(output)
    eyes = np.linalg.norm(face.points[36] - face.points[45])
    assert list(zip(rows["item"], rows["variant"], strict=True)) == [(item, v) for item in ITEMS for v in (0, 1)]
    assert rows["nme_in"].to_numpy() == pytest.approx(np.sqrt(2) / eyes, rel=1e-3)
    assert rows["z2_in"].to_numpy() == pytest.approx(1 / 4, rel=1e-3)
    assert set(rows.loc[rows["kind"] == "40-50", "dlib_found"]) == {0}


def test_keypoints_compare_where_dlib_finds_a_face(scored):
    entries = {entry["kind"]: entry["mean"] for entry in scored.summary["keypoints"]}
    assert set(entries) == {None, "40-50", "parts"}
    assert entries[None]["nme_in"] == pytest.approx(0.05) and entries[None]["dlib_nme_in"] == pytest.approx(0.08)
    assert entries[None]["nme_in_where_dlib"] == pytest.approx(0.03) and entries[None]["dlib_found"] == 0.5
    assert entries["40-50"]["dlib_nme_in"] is None and entries["40-50"]["dlib_found"] == 0


def test_the_summary_compares_ours_with_the_mean_and_counts_faces(scored):
    summary = scored.summary
    assert summary["against_mean"] == {"dB": pytest.approx(20 * np.log10(2)), "pairs": 4}
    assert [(entry["method"], entry["items"]) for entry in summary["moves"]] == [("de", 2), ("flow", 2)]
    found = {(entry["method"], entry["holes"]): entry for entry in summary["found"]}
    assert found["flow", "small"]["found"] == found["flow", "small"]["truth"] == 1
    distance = summary["frechet"]["distance"]
    assert distance["flow"] < distance["de"] and distance["flow"] < distance["nearest"]
    assert (
        summary["frechet"]["features"] == "efficientnet_lite0"
        and "4 pictures of 2 faces" in summary["frechet"]["warning"]
    )
    assert summary["distance"] == "efficientnet_lite0 distance"


POINT = [(0.02, 0.1), (0.04, 0.3), (0.05, 0.2), (0.06, 0.5)]  # error and diversity; the third is beaten by the second


@pytest.mark.parametrize(
    ("error", "diversity"),
    [(0.01, None), (0.02, 0.1), (0.03, 0.2), (0.05, 0.4), (0.06, 0.5), (0.2, 0.5)],
)
def test_diversity_at_an_error_is_interpolated_along_the_curve(error, diversity):
    found = curve.diversity_at(POINT, error)
    assert found is None if diversity is None else found == pytest.approx(diversity)


def test_ours_is_compared_with_the_better_variational_method_by_the_smaller_ratio():
    def entries(method: str, points: list) -> list[dict]:
        means = [(knob, {"nme_truth": error, "diversity_hole": spread}) for knob, error, spread in points]
        return [{"method": method, "knob": knob, "mean": mean} for knob, mean in means]

    ours = entries("flow", [(0.5, 0.02, 0.1), (1.0, 0.04, 0.3)])
    pii, de = entries("pii", [(0.0, 0.03, 0.0), (1.0, 0.03, 0.1)]), entries("de", [(1.0, 0.04, 0.2)])
    found = curve.compare_diversity([*ours, *pii, *de])
    assert [row["ratio"] for row in found["points"]] == [None, pytest.approx(2.0), pytest.approx(1.5)]
    assert found["at_one"] == pytest.approx(1.5)
    never = curve.compare_diversity([*ours, *entries("pii", [(1.0, 0.01, 0.1)])])
    assert never["at_one"] is None and never["points"][0]["ours"] is None
    assert curve.compare_diversity(ours) is None and curve.compare_diversity(pii) is None


def test_too_few_or_no_completions_give_reasons_and_no_numbers(scored):
    experiment = SimpleNamespace(evaluation=SimpleNamespace(features="none", distance="efficientnet_lite0"))
    nothing = scored.rows[scored.rows["split"] == "nowhere"]
    summary = scores.summarize(experiment, nothing, [], {}, {})
    assert "no feature network" in summary["frechet"]["absent"]
    assert summary["against_mean"] is None and summary["against_variational"] is None
    assert summary["curve"] == summary["moves"] == summary["found"] == summary["keypoints"] == []


@pytest.fixture(scope="module")
def shown(scored) -> SimpleNamespace:
    """The figures, and the page as text."""
    home, root = scored.home, scored.root
    steps = [{"step": step, "epoch": 0, "split": "train", "name": "loss", "value": 1.0} for step in range(3)]
    write_table(home / "curves/flow.parquet", pd.DataFrame(steps))
    options = {"experiment": json.dumps(CONFIG), "metrics": home / "metrics.parquet", "output": home / "figures"}
    options |= {"curves": home / "curves/flow.parquet", "digests": home / "figures.json"}
    draw_figures.main([*(f"--{name}={value}" for name, value in options.items()), "--shards", *scored.shards.values()])
    write_table(root / "people/index.parquet", [{"item": item} for item in ITEMS], INDEX)
    Quarantine("index_source").write(root / "people/quarantine.parquet")
    write_overview.main(overview_arguments(root, {"faces": CONFIG}, [], root / "overview.html"))
    return SimpleNamespace(figures=home / "figures", page=(root / "overview.html").read_text(encoding="utf-8"))


def test_figures_show_what_their_names_say(shown):
    methods = {f"samples_{method}.png" for method in ("nearest", "de", "flow")} | {"moves_de.png", "moves_flow.png"}
    others = {"first_look.png", "methods.png", "tradeoff.svg", "keypoints.png", "curves_flow.svg"}
    assert {path.name for path in shown.figures.iterdir()} == methods | others
    with Image.open(shown.figures / "samples_flow.png") as picture:
        assert picture.size == gallery_size(4, 4, SIDE)  # given, two completions, truth; two of each kind of hole
    with Image.open(shown.figures / "methods.png") as picture:
        assert picture.size == gallery_size(4, 7, SIDE)  # ours twice
    with Image.open(shown.figures / "moves_flow.png") as picture:
        assert picture.size == gallery_size(2, 6, SIDE)


def test_the_page_tells_methods_apart_and_that_published_numbers_do_not_compare(shown):
    page = shown.page
    order = ["nearest faces", "mean completion", "DE-GAN", "flow, ours", "PICNet"]
    places = [page.index(f'<td class="text">{name}') if name != "PICNet" else page.index(f">{name}<") for name in order]
    assert places == sorted(places)
    assert "Published numbers do not compare with these" in page and "it is not FID" in page
    assert "+6.02 dB" in page and "efficientnet_lite0 distance" in page
    assert "LPIPS" in page.split("their diversity is ")[1][:10]
