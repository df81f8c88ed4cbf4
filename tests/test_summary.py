"""The summary of a source: from real pictures through the stages before it to numbers, figures and the page."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from projects import overview_arguments
from weights import landmark_weights

from workflow_scripts.config.sources import FolderSource
from workflow_scripts.core.tables import INDEX, LANDMARKS, Quarantine, merge_tables, read_table, write_table
from workflow_scripts.faces.landmark_groups import MIRRORED
from workflow_scripts.faces.pose import GENERIC_HEAD, head_roll, head_yaw
from workflow_scripts.reporting.style import shorten, text_font
from workflow_scripts.stages.faces.crop_faces import crop_faces
from workflow_scripts.stages.faces.find_landmarks import find_landmarks
from workflow_scripts.stages.reporting import summarize_source, write_overview
from workflow_scripts.stages.sources.index_source import index_source

TURN = 20  # degrees, clockwise as seen
FIGURES = {
    *("items.svg", "quarantine.svg", "sizes.svg", "faces.svg", "scores.svg", "pose.svg", "landmarks.svg"),
    *("accepted.png", "rejected.png"),
}


@dataclass
class Made:
    """A source's results, two shards, and the configuration that made them."""

    home: Path
    config: str

    def summarize(self, output: Path) -> dict:
        """Run the stage by its command line and return the numbers."""
        summarize_source.main(
            ["--source", self.config, "--name", self.home.name, "--output", str(output), "--digests", f"{output}.json"]
            + ["--stages", "index_source", "find_landmarks", "crop_faces"]
            + [f"--{name}={self.home / name}.parquet" for name in ("index", "quarantine")]
            + ["--landmarks", *map(str, sorted((self.home / "landmarks").iterdir()))]
            + ["--crops", *map(str, sorted((self.home / "crops").iterdir()))]
        )
        return json.loads((output / "summary.json").read_text(encoding="utf-8"))


def run_stages(folder: Path, home: Path, shards: int) -> Made:
    """Run all stages before the summary on a folder of pictures."""
    source = FolderSource(type="folder", path=str(folder), crop={"size": 64})
    for number in range(shards):
        index, landmarks = home / f"index/{number}.parquet", home / f"landmarks/{number}.parquet"
        lost = {name: home / f"lost/{name}{number}.parquet" for name in ("index", "landmarks", "crops")}
        index_source(source, 1, number, shards, index, lost["index"])
        find_landmarks(source, index, landmark_weights(), landmarks, lost["landmarks"])
        crop_faces(source, index, landmarks, home / f"crops/{number}.arrow", lost["crops"])
    merge_tables(sorted((home / "index").iterdir()), home / "index.parquet")
    merge_tables(sorted((home / "lost").iterdir()), home / "quarantine.parquet")
    return Made(home, source.model_dump_json())


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    """Return the astronaut turned clockwise around her face."""
    matrix = cv2.getRotationMatrix2D((225, 110), -degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (512, 512), borderMode=cv2.BORDER_REFLECT)[:300, 60:360]


@pytest.fixture(scope="module")
def made(astronaut, tmp_path_factory) -> Made:
    """Three portraits, a picture without a face, a truncated one and a file that is none, summarised."""
    root = tmp_path_factory.mktemp("summary")
    folder = root / "photos"
    folder.mkdir()
    for name, degrees in {"upright": 0, "clockwise": TURN, "counter": -TURN}.items():
        Image.fromarray(turned(astronaut, degrees)).save(folder / f"{name}.png")
    Image.new("RGB", (200, 100), "teal").save(folder / "no_face.png")
    (folder / "cut.png").write_bytes((folder / "upright.png").read_bytes()[:20_000])
    (folder / "notes.txt").write_text("words")
    return run_stages(folder, root / "results/photos", shards=2)


@pytest.fixture(scope="module")
def summary(made) -> dict:
    return made.summarize(made.home / "summary")


def test_items_in_are_items_out_plus_quarantined(summary):
    items = summary["items"]
    assert (items["found"], items["files"], items["frames"], items["cropped"]) == (6, 5, 0, 3)
    assert items["lost"] == {"find_landmarks": 2, "index_source": 1}
    assert items["left_after"] == {"found": 6, "index_source": 5, "find_landmarks": 3, "crop_faces": 3}
    assert items["unaccounted"] == 0
    assert items["found"] == items["cropped"] + sum(row["items"] for row in summary["quarantined"])
    reasons = {(row["stage"], row["reason"], row["items"]) for row in summary["quarantined"]}
    assert reasons == {
        ("find_landmarks", "no face", 1),
        ("find_landmarks", "truncated picture", 1),
        ("index_source", "not a picture file", 1),
    }


def test_sizes_faces_and_detectors_are_those_of_the_pictures(summary):
    sizes = summary["sizes"]
    assert sizes["most_frequent"] == {"width": 300, "height": 300, "items": 4} and sizes["distinct"] == 2
    assert (sizes["width"]["min"], sizes["height"]["min"], sizes["height"]["max"]) == (200, 100, 300)
    assert summary["faces"] == {"per_picture": {"0": 1, "1": 3}, "none": 0.25, "several": 0}
    assert sum(row["faces"] for row in summary["detectors"]) == 3
    assert all(row["score"]["min"] > 0 for row in summary["detectors"])
    assert summary["crops"] == {"size": 64}


def test_roll_is_the_angle_by_which_the_portrait_was_turned(summary, made):
    upright = summary["pose"]["roll"]["median"]
    assert abs(upright) < 10
    assert summary["pose"]["roll"]["max"] - upright == pytest.approx(TURN, abs=3)
    assert summary["pose"]["roll"]["min"] - upright == pytest.approx(-TURN, abs=3)
    table = pd.concat(map(read_table, sorted((made.home / "landmarks").iterdir()))).set_index("item")
    points = table.loc[["upright.png", "clockwise.png"], summarize_source.POINTS].to_numpy().reshape(2, 68, 2)
    roll = head_roll(points)
    assert roll[1] - roll[0] == pytest.approx(TURN, abs=3)


def seen_head(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return landmarks (1, 68, 2) of the generic head, seen from a metre away; of those it lacks, only the eyes'."""
    y, p, r = np.radians([yaw, pitch, roll])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    head = np.array(list(GENERIC_HEAD.values())) @ (tilt @ turn @ nod).T
    points = np.zeros((1, 68, 2))
    points[0, list(GENERIC_HEAD)] = head[:, :2] * (1000 / (100 - head[:, 2:])) + 100
    for inner, outer in ((36, 39), (42, 45)):
        points[0, inner : outer + 1] = np.linspace(points[0, inner], points[0, outer], 4)
        points[0, outer + 1 : outer + 3] = points[0, [inner, outer]].mean(axis=0)
    return points


@pytest.mark.parametrize("yaw", [-45, -20, 0, 20, 45])
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (12, 0), (-12, 15)])
def test_yaw_of_the_generic_head_is_found_with_its_sign(yaw, pitch, roll):
    assert head_yaw(seen_head(yaw, pitch, roll))[0] == pytest.approx(yaw, abs=5)


def test_yaw_of_a_mirrored_portrait_has_the_other_sign(made):
    table = pd.concat(map(read_table, sorted((made.home / "landmarks").iterdir()))).set_index("item")
    points = table.loc[["upright.png"], summarize_source.POINTS].to_numpy().reshape(1, 68, 2)
    mirrored = (points * [-1, 1])[:, MIRRORED]
    assert head_yaw(mirrored)[0] == pytest.approx(-head_yaw(points)[0], abs=0.01)
    assert abs(head_yaw(points)[0]) < 25


def test_yaw_of_coinciding_landmarks_is_absent():
    assert np.isnan(head_yaw(np.ones((1, 68, 2)))).all()


def test_figures_are_complete_and_the_same_every_time(made, summary, tmp_path):
    first = {path.name: path.read_bytes() for path in (made.home / "summary").iterdir()}
    assert set(first) == FIGURES | {"summary.json"}
    made.summarize(tmp_path / "again")
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == first
    for name, data in first.items():
        assert str(made.home.parent.parent).encode() not in data, name


def test_rejected_pictures_are_shown_and_unreadable_ones_are_labelled(made, summary):
    sheet = np.asarray(Image.open(made.home / "summary/rejected.png"))
    teal = (sheet == (0, 128, 128)).all(axis=-1)
    assert teal.sum() == 126 * 63  # the picture without a face, whole, as wide as its tile
    empty = (sheet == (238, 240, 243)).all(axis=-1)
    assert 126 * 126 < empty.sum() < 2 * 126 * 126  # the other two, but for edge and label


def test_every_reason_is_shown_before_any_is_shown_often():
    rows = [{"item": f"{number}.jpg", "stage": "find_landmarks", "reason": "no face"} for number in range(500)]
    rows += [{"item": f"x{number}.jpg", "stage": "crop_faces", "reason": "degenerate landmarks"} for number in range(3)]
    chosen = summarize_source.choose_rejected(pd.DataFrame(rows))
    assert len(chosen) == summarize_source.REJECTED
    assert chosen["reason"].value_counts().to_dict() == {"no face": 21, "degenerate landmarks": 3}
    again = summarize_source.choose_rejected(pd.DataFrame(rows[::-1]))
    assert again["item"].tolist() == chosen["item"].tolist()


def test_a_source_without_a_face_has_no_empty_panel(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (200, 100), "teal").save(folder / "no_face.png")
    found = run_stages(folder, tmp_path / "results/photos", shards=1).summarize(tmp_path / "summary")
    assert found["items"]["found"] == 1 and found["items"]["cropped"] == found["items"]["unaccounted"] == 0
    assert found["pose"]["roll"] is None and found["detectors"] == [] and found["crops"] == {"size": None}
    shown = {path.name for path in (tmp_path / "summary").iterdir()}
    assert shown == {"items.svg", "quarantine.svg", "sizes.svg", "faces.svg", "rejected.png", "summary.json"}


def test_an_empty_source_has_a_summary(made, tmp_path):
    home = tmp_path / "results/nothing"
    write_table(home / "index.parquet", [], INDEX)
    Quarantine("index_source").write(home / "quarantine.parquet")
    write_table(home / "landmarks/0.parquet", [], LANDMARKS)
    source = FolderSource.model_validate_json(made.config)
    crop_faces(source, home / "index.parquet", home / "landmarks/0.parquet", home / "crops/0.arrow", home / "lost")
    found = Made(home, made.config).summarize(home / "summary")
    assert found["items"]["found"] == 0 and found["sizes"] is None and found["faces"]["none"] is None
    assert {path.name for path in (home / "summary").iterdir()} == {"items.svg", "summary.json"}
    assert "0 items" in page(home.parent, ["nothing"])


def page(results: Path, sources: list[str]) -> str:
    """Write the overview of sources without any experiment and return it."""
    output = results / "overview.html"
    write_overview.main(overview_arguments(results, {}, sources, output))
    return output.read_text(encoding="utf-8")


def test_the_page_has_a_section_of_the_source(made, summary):
    text = page(made.home.parent, ["photos"])
    section = text[text.index('id="source-photos"') : text.index('id="items"')]
    assert "6 items" in section and "3 with a usable face, 3 quarantined" in section and "300 × 300" in section
    assert section.count("<img") == len(FIGURES) and section.count('src="data:image/') == len(FIGURES)
    assert 'href="#source-photos"' in text
    words = re.sub(r"<[^>]+>", " ", section)
    assert "generic 3D head" in words and "nan" not in words.lower().split() and "None" not in words


def test_the_page_warns_of_items_that_went_missing(made, summary, tmp_path):
    home = tmp_path / "results/photos"
    shutil.copytree(made.home, home)
    index = read_table(home / "index.parquet")
    extra = index.iloc[:1].assign(item="lost.png", file="lost.png")
    write_table(home / "index.parquet", pd.concat([index, extra]), INDEX)
    assert Made(home, made.config).summarize(home / "summary")["items"]["unaccounted"] == 1
    assert "1 items are neither in the crops nor in the quarantine" in page(home.parent, ["photos"])


def test_a_text_is_shortened_to_its_width():
    font = text_font("DejaVuSans", 11)
    assert shorten("short.jpg", font, 126) == "short.jpg"
    short = shorten("a very long name of a file that says nothing.jpg", font, 126)
    assert font.getlength(short) <= 126 and short.startswith("a very") and short.endswith("g.jpg") and "…" in short
