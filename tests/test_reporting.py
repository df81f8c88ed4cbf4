"""From outputs to the page: scores, summary, figures and overview of a small experiment with known answers."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from projects import overview_arguments

from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import INDEX, LANDMARKS, QUARANTINE, SPLITS, Quarantine, read_table, write_table
from workflow_scripts.metrics.pictures import PSNR_CEILING
from workflow_scripts.reporting.galleries import Row, choose_by_rank, draw_gallery, gallery_size
from workflow_scripts.stages.experiments import draw_figures, summarize_scores
from workflow_scripts.stages.removal import score_outputs
from workflow_scripts.stages.reporting import summarize_source, write_overview
from workflow_scripts.systems._removal.figures import GALLERY

SIDE = 64
PICTURE, PLANE = (np.uint8, (SIDE, SIDE, 3)), (np.uint8, (SIDE, SIDE))
KEY = {"item": pa.string(), "variant": pa.int32()}
BOX = (slice(36, 56), slice(16, 48))  # where an occluder is painted
GREY = 120
SOURCES = ("people", "masked", "bare")
CONFIG = {
    "system": "unmask",
    "train": ["people"],
    "test": ["people"],
    "apply": ["masked", "bare"],
    "presence": {"occluded": "masked", "bare": "bare"},
    "evaluation": {"features": "none"},
    "gallery": 4,
}
PEOPLE = {  # item -> split, kind, what the network makes of it
    "a.png": ("test", "cloth", "perfect"),
    "b.png": ("test", "cloth", "grey"),
    "c.png": ("test", "surgical", "unseen"),
    "d.png": ("train", "surgical", "perfect"),
}


def people_rows(astronaut):
    """Four crops of the astronaut, each with a painted box, and outputs whose scores are known."""
    for number, (item, (split, kind, made)) in enumerate(PEOPLE.items()):
        target = astronaut[20 + number : 148 + number : 2, 160 : 160 + 2 * SIDE : 2].copy()
        occluded, truth = target.copy(), np.zeros((SIDE, SIDE), np.uint8)
        occluded[BOX], truth[BOX] = (30, 90, 200), 255
        coverage = truth.copy()
        coverage[BOX[0].stop - 1] = 127  # the last line is covered by less than half
        output = np.full_like(target, GREY) if made == "grey" else target
        found = np.zeros_like(truth) if made == "unseen" else truth
        composite = np.where(found[..., None] > 0, output, occluded)
        yield {
            **{"item": item, "variant": 0, "split": split, "kind": kind, "input": occluded, "target": target},
            **{"map": truth, "coverage": coverage, "found": found, "output": output, "composite": composite},
        }


def applied_rows(astronaut, areas):
    """Pictures without a truth, with predicted maps of so many lines."""
    picture = astronaut[20:148:2, 160:288:2]
    for number, lines in enumerate(areas):
        found = np.zeros((SIDE, SIDE), np.uint8)
        found[:lines] = 255
        yield {
            **{"item": f"{number}.png", "variant": 0, "split": "apply", "kind": None, "input": picture},
            **{"found": found, "output": picture, "composite": picture},
        }


@pytest.fixture(scope="module")
def results(astronaut, tmp_path_factory):
    """A results folder up to the quarantine and the overview, made by the stages' own command lines."""
    root = tmp_path_factory.mktemp("results")
    home = root / "small"
    rows = {
        "people": list(people_rows(astronaut)),
        "masked": list(applied_rows(astronaut, [8, 9, 10])),
        "bare": list(applied_rows(astronaut, [0, 0, 9])),
    }
    splits = []
    for source, of_source in rows.items():
        write_inputs(root, home, source, of_source)
        splits += [
            {
                "source": source,
                "item": row["item"],
                "split": row["split"],
                "seen": source == "bare" and row["item"] == "2.png",
                "scored": True,
            }
            for row in of_source
        ]
    write_table(home / "splits.parquet", sorted(splits, key=lambda row: (row["source"], row["item"])), SPLITS)
    leaks = Quarantine("assign_splits")
    leaks.add("twin.png", "also in the test set", "people/twin.png: its picture is in the test set; remove one")
    leaks.write(home / "quarantine/assign_splits.parquet")
    curve = [
        {"step": step, "epoch": step // 10, "split": split, "name": "loss", "value": 50.0 / (step + 1)}
        for step in range(40)
        for split in ("train", "val")
    ]
    write_table(home / "curves/map.parquet", pd.DataFrame(curve))
    shards = {
        kind: [str(home / kind / source / f"00000.{end}") for source in SOURCES]
        for kind, end in (("pairs", "arrow"), ("maps", "arrow"), ("outputs", "arrow"), ("metrics", "parquet"))
    }
    for source in SOURCES:
        score_outputs.main(
            [
                "--source",
                source,
                "--splits",
                str(home / "splits.parquet"),
                "--crops",
                str(root / source / "crops/00000.arrow"),
            ]
            + [f"--{kind}={home / kind / source / '00000.arrow'}" for kind in ("pairs", "maps", "outputs")]
            + ["--output", str(home / "metrics" / source / "00000.parquet")]
        )
    lost = [str(path) for path in sorted((home / "quarantine").rglob("*.parquet"))]
    tables = {name: str(home / file) for name, file in TABLES.items()}
    summarize_scores.main(
        ["--experiment", json.dumps(CONFIG), "--metrics", *shards["metrics"]]
        + ["--shards", *shards["pairs"], *shards["outputs"], "--quarantine", *lost]
        + [text for name, path in tables.items() for text in (f"--{name}", path)]
    )
    draw(home, shards, home / "figures")
    for source in SOURCES:
        summarize(root / source)
    return SimpleNamespace(root=root, home=home, shards=shards, page=page(root))


TABLES = {"output": "metrics.parquet", "summary": "metrics.json", "quarantined": "quarantine.parquet"}


def write_inputs(root, home, source, rows):
    """Write what the stages before the evaluation leave of one source."""
    truth = source == "people"
    points = np.full((68, 2), np.nan, np.float32)
    write_shard(
        root / source / "crops/00000.arrow",
        ({"item": row["item"], "image": row.get("target", row["input"]), "landmarks": points} for row in rows),
        {"item": pa.string(), "image": PICTURE, "landmarks": (np.float32, (68, 2))},
    )
    columns = {**KEY, "kind": pa.string(), "input": PICTURE}
    columns |= {"target": PICTURE, "map": PLANE, "coverage": PLANE} if truth else {}
    write_shard(
        home / "pairs" / source / "00000.arrow", ({name: row[name] for name in columns} for row in rows), columns
    )
    write_shard(
        home / "maps" / source / "00000.arrow",
        ({"item": row["item"], "variant": 0, "probability": row["found"], "map": row["found"]} for row in rows),
        {**KEY, "probability": PLANE, "map": PLANE},
    )
    columns = {**KEY, "output": PICTURE, "composite": PICTURE}
    write_shard(
        home / "outputs" / source / "00000.arrow", ({name: row[name] for name in columns} for row in rows), columns
    )
    indexed = [{"item": row["item"], "file": row["item"]} for row in rows]
    if truth:  # one picture without a face, one on which no occluder fits
        indexed += [{"item": "x.png", "file": "x.png"}, {"item": "y.png", "file": "y.png"}]
    write_table(root / source / "index.parquet", [row | {"width": SIDE, "height": SIDE} for row in indexed], INDEX)
    faceless, misfit = Quarantine("find_landmarks"), Quarantine("make_pairs")
    if truth:
        faceless.add("x.png", "no face", "x.png: no face was found; take a picture with one")
        misfit.add("y.png", "covers the eyes", "y.png: 30 % of the eyes")
    faceless.write(root / source / "quarantine.parquet")
    misfit.write(home / "quarantine/make_pairs" / source / "00000.parquet")


def draw(home, shards, folder):
    inputs = {
        "experiment": json.dumps(CONFIG),
        "metrics": home / "metrics.parquet",
        "curves": home / "curves/map.parquet",
    }
    inputs |= {"experiment": json.dumps(CONFIG), "output": folder, "digests": folder.with_suffix(".json")}
    drawn = [path for kind in ("pairs", "maps", "outputs") for path in shards[kind]]
    draw_figures.main([*(f"--{name}={value}" for name, value in inputs.items()), "--shards", *drawn])


def summarize(home):
    """Write the summary of a source that has crops, but no pictures of its own."""
    write_table(home / "landmarks/00000.parquet", [], LANDMARKS)
    config = json.dumps({"type": "folder", "path": str(home)})
    arguments = {"source": config, "name": home.name, "output": home / "summary", "digests": home / "summary.json"}
    arguments |= {name: home / f"{name}.parquet" for name in ("index", "quarantine")}
    arguments |= {"landmarks": home / "landmarks/00000.parquet", "crops": home / "crops/00000.arrow"}
    stages = ["--stages", "index_source", "find_landmarks", "crop_faces"]
    summarize_source.main([f"--{name}={value}" for name, value in arguments.items()] + stages)


def page(root):
    """Write the overview and return its text."""
    output = root / "overview.html"
    config = json.dumps({"small": CONFIG})
    write_overview.main(overview_arguments(root, json.loads(config), SOURCES, output))
    return output.read_text(encoding="utf-8")


def test_every_item_is_scored_against_its_own_truth(results, astronaut):
    table = read_table(results.home / "metrics.parquet").set_index(["source", "item"])
    assert len(table) == 10
    people = table.loc["people"]
    assert list(people["split"]) == ["test", "test", "test", "train"]
    assert people.loc["a.png", "psnr_composite_whole"] == PSNR_CEILING
    assert people.loc["a.png", "ssim_composite_hole"] == 1
    target = next(row["target"] for row in people_rows(astronaut) if row["item"] == "b.png")
    error = ((target[BOX].astype(float) - GREY) ** 2).mean()
    assert people.loc["b.png", "psnr_composite_hole"] == pytest.approx(10 * np.log10(255**2 / error))
    assert people.loc["b.png", "psnr_composite_whole"] == pytest.approx(
        10 * np.log10(255**2 / (error * 20 * 32 / SIDE**2))
    )
    assert people.loc["b.png", "psnr_raw_whole"] < people.loc["b.png", "psnr_composite_whole"]
    assert people.loc["c.png", "psnr_composite_whole"] == people.loc["c.png", "psnr_copy_whole"]
    assert (people.loc["a.png", "map_iou"], people.loc["c.png", "map_iou"]) == (1, 0)
    assert people["coverage_iou"].to_numpy() == pytest.approx(19 / 20)
    assert people["true_area"].to_numpy() == pytest.approx(20 * 32 / SIDE**2)


def test_what_needs_a_truth_or_landmarks_is_absent_without_them(results):
    table = read_table(results.home / "metrics.parquet").set_index("source")
    assert list(table.loc["masked", "predicted_area"] * SIDE) == [8, 9, 10]
    assert table.loc[["masked", "bare"], ["psnr_raw_whole", "map_iou", "true_area"]].isna().all(axis=None)
    assert table["identity_composite"].isna().all()


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_summary_is_json_with_means_by_split_and_kind(results):
    summary = json.loads((results.home / "metrics.json").read_text(encoding="utf-8"), parse_constant=refuse)
    table = read_table(results.home / "metrics.parquet")
    test = table[table["split"] == "test"]
    entries = {(row["split"], row["source"], row["kind"]): row for row in summary["scores"]}
    assert set(entries) == {
        *(("test", source, kind) for source in (None, "people") for kind in (None, "cloth", "surgical")),
        *(("train", source, kind) for source in (None, "people") for kind in (None, "surgical")),
    }
    assert entries["test", None, None]["items"] == 3
    assert entries["test", None, None]["mean"]["psnr_copy_hole"] == pytest.approx(test["psnr_copy_hole"].mean())
    assert entries["test", "people", "cloth"]["median"]["map_iou"] == 1
    assert entries["test", None, None]["mean"]["identity_raw"] is None
    assert entries["test", None, None]["count"]["identity_raw"] == 0
    gap = PSNR_CEILING - test["psnr_composite_whole"].mean()
    assert summary["gaps"][0]["gap"]["psnr_composite_whole"] == pytest.approx(gap)
    assert summary["frechet"]["distance"] is None and "features: none" in summary["frechet"]["absent"]
    assert {row["name"]: row["psnr"] for row in summary["published"]}["Din et al. 2020"] == 26.19


def test_presence_leaves_out_faces_that_were_trained_on(results):
    presence = json.loads((results.home / "metrics.json").read_text(encoding="utf-8"))["presence"]
    assert presence["area"] == 1  # with the seen one, whose map has nine lines, it would be less
    assert presence["items"] == {"masked": 3, "bare": 2}
    assert presence["seen"] == {"masked": 0, "bare": 1}


def test_quarantine_is_merged_with_its_source(results):
    rows = read_table(results.home / "quarantine.parquet")
    assert set(zip(rows["source"], rows["item"], rows["stage"], strict=True)) == {
        (None, "twin.png", "assign_splits"),
        ("people", "y.png", "make_pairs"),
    }
    assert rows.columns[1:].tolist() == QUARANTINE.names


def test_gallery_shows_the_chosen_items_pixel_by_pixel(results, astronaut):
    picture = np.asarray(Image.open(results.home / "figures/gallery_people.png"))
    assert picture.shape == (*gallery_size(3, len(GALLERY), SIDE)[::-1], 3)
    shown = {row["item"]: row for row in people_rows(astronaut)}["a.png"]["target"].repeat(2, 0).repeat(2, 1)
    right, top = picture.shape[1] - 12, 12 + 26
    assert np.array_equal(picture[top : top + 2 * SIDE, right - 2 * SIDE : right], shown)


def test_figures_are_complete_and_the_same_every_time(results, tmp_path):
    draw(results.home, results.shards, tmp_path / "figures")
    again = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    first = {path.name: path.read_bytes() for path in (results.home / "figures").iterdir()}
    assert first == again
    names = [
        "applied_bare.png",
        "applied_masked.png",
        "curves_map.svg",
        "first_look.png",
        "gallery_people.png",
        "presence.svg",
        "scores.svg",
    ]
    assert sorted(first) == names


def test_galleries_go_from_best_to_worst():
    scores = pd.Series({"low": 1.0, "absent": np.nan, "high": 9.0, "middle": 5.0, "lower": 3.0})
    assert (
        choose_by_rank(scores.dropna(), 3) == ["high", "middle", "low"]
        or choose_by_rank(scores.dropna(), 3)[0] == "high"
    )
    assert choose_by_rank(scores.drop(["absent", "lower"]), 2) == ["high", "low"]
    assert choose_by_rank(scores.drop(["absent", "lower"]), 3) == ["high", "middle", "low"]
    assert choose_by_rank(scores, 9) == ["high", "middle", "lower", "low", "absent"]
    assert choose_by_rank(scores, 2) == ["high", "absent"]


def test_page_needs_nothing_from_outside(results):
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", results.page) + re.findall(
        r"url\(([^)]*)", results.page
    )
    assert len(addresses) > 8
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in results.page and "<script" not in results.page


def test_page_shows_baseline_published_numbers_and_reasons(results):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", results.page))
    copy = read_table(results.home / "metrics.parquet").query("split == 'test'")["psnr_copy_whole"].mean()
    for shown in (
        "copy of the input 3 " + f"{copy:.2f}",
        "26.19",
        "no face",
        "covers the eyes",
        "also in the test set",
    ):
        assert shown in text
    assert "nan" not in text.lower().split()


def test_page_tells_items_that_went_missing(results):
    before = re.search(r'people</td><td>5</td><td>1</td><td>4</td>\s*<td class="">0</td>', results.page)
    index = results.root / "people/index.parquet"
    kept = index.read_bytes()
    write_table(index, pd.concat([read_table(index), pd.DataFrame([{"item": "z.png"}])]), INDEX)
    try:
        after = re.search(r'people</td><td>6</td><td>1</td><td>4</td>\s*<td class="bad">1</td>', page(results.root))
    finally:
        index.write_bytes(kept)
    assert before and after


def test_a_gallery_names_the_file_of_a_path_and_shows_all_of_another_text(tmp_path):
    def drawn(text: str, **keys) -> bytes:
        draw_gallery(["a"], [Row([[text]], [np.zeros((8, 8, 3), np.uint8)], **keys)], tmp_path / "gallery.png")
        return (tmp_path / "gallery.png").read_bytes()

    assert drawn("sub/b.png") == drawn("b.png") != drawn("f/1.8", are_paths=False) != drawn("1.8", are_paths=False)
