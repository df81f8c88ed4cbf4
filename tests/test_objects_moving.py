"""Squares of videos: which frames are taken, what their masks show, and one shard through Snakemake."""

import re

import jinja2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from motion_scenes import render, write_clip
from projects import Project

from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import VideoSource
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import MOTION, read_table, write_table
from workflow_scripts.motion.masks import decode_mask, encode_mask
from workflow_scripts.stages.generation.make_objects import make_objects
from workflow_scripts.stages.reporting.write_overview import family_templates, format_number
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems._generation.comparison import compare
from workflow_scripts.systems._generation.config import Squares
from workflow_scripts.systems._generation.moving import motion_masks, refuse_frames
from workflow_scripts.systems._generation.published import PUBLISHED
from workflow_scripts.systems._generation.squares import make_squares
from workflow_scripts.systems.objects.config import Experiment

FRAMES = 14
LETTERBOX = {"size": 32, "fit": "letterbox"}


def votes(*boxes: tuple[int, int, int, int], around: int = 20) -> np.ndarray:
    """A mask that is 100 in boxes and little around them."""
    mask = np.full((32, 32), around, np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 100
    return mask


def squares_of(mask: np.ndarray, **keys):
    config = Squares(size=32, min_area=0, **keys)
    return make_squares(np.full((32, 32, 3), 90, np.uint8), motion_masks(encode_mask(mask), 70, config), config)


def test_a_mask_shows_how_much_speaks_for_motion_and_its_foreground_is_the_object():
    (square,) = squares_of(votes((0, 0, 16, 16), (20, 20, 24, 24)))
    assert {*np.unique(square.mask)} == {51, 255} and (square.mask[:16, :16] == 255).all()
    assert square.area == pytest.approx((256 + 16) / 1024) and square.objects == 2
    assert (square.category, square.label, square.annotation) == ("moving object", -1, -1)


def test_each_blob_is_an_object_and_shows_nothing_of_the_others():
    first, second = squares_of(votes((0, 0, 10, 10), (20, 20, 30, 30)), unit="object", margin=1.0)
    assert (first.variant, second.variant) == (0, 1) and first.area == second.area == pytest.approx(100 / 1024)
    assert first.mask.max() == second.mask.max() == 255
    assert (first.mask > 127).mean() < 0.25 and (first.mask == 0).any() and (first.mask > 40).mean() > 0.8


def test_a_frame_without_foreground_is_a_square_only_of_the_whole_picture():
    (square,) = squares_of(votes(around=0))
    assert square.area == 0 and not square.mask.any() and (square.image == 90).all()
    for keys in ({"unit": "object"}, {"background": "black"}):
        with pytest.raises(BadItem, match="nothing moves"):
            squares_of(votes(), **keys)


def test_frames_are_chosen_by_shot_and_filter_whatever_their_order():
    names = [f"a.mp4#{number:06d}" for number in range(20)]
    rows = {
        "clip": "a.mp4",
        "shot": [0] * 8 + [1] * 12,
        "area": 0.1,
        "filtered": [True] * 4 + [False] * 4 + [True] * 12,
    }
    frames = pd.DataFrame(rows, index=names)
    refused = refuse_frames(frames, Squares(per_shot=5))
    assert {name for name, bad in refused.items() if bad.reason == "not filtered"} == set(names[4:8])
    kept = sorted(set(names) - set(refused))
    assert kept[:4] == names[:4] and len(kept) == 9 and kept[4:] != names[8:13]
    assert sorted(set(names) - set(refuse_frames(frames.iloc[::-1], Squares(per_shot=5)))) == kept
    more = set(names) - set(refuse_frames(frames, Squares(per_shot=6)))
    assert set(kept) < more and len(more) == 10
    assert len(refuse_frames(frames, Squares(per_shot=5, motion="unfiltered"))) == 10


def test_every_frame_with_a_mask_is_a_square_or_in_quarantine(tmp_path):
    pictures, truths = render("static", frames=FRAMES)
    write_clip(tmp_path / "films/clip.mp4", pictures)
    source = VideoSource(type="video", path=str(tmp_path / "films"), every=1)
    index, motion, prints, output, lost = (tmp_path / f"{name}" for name in ("i", "motion", "prints", "out", "lost"))
    index_source(source, 1, 0, 1, index, tmp_path / "rejected")
    items = sorted(read_table(index)["item"])
    rows = [
        {
            **{"item": item, "shot": 0, "height": 120, "width": 160, "camera": "static", "blobs": 1},
            **{"mask": encode_mask(truth.astype(np.uint8) * 80), "area": truth.mean(), "filtered": number > 3},
        }
        for number, (item, truth) in enumerate(zip(items[1:], truths[1:], strict=True))  # the first has no mask
    ]
    write_table(motion, rows, MOTION)
    write_shard(prints, [{"item": item} for item in items[:-1]], {"item": pa.string()})  # the last is not decoded
    make_objects(source, Squares(per_shot=6, **LETTERBOX), index, prints, motion, output, lost)
    shard, reasons = Shard(output), read_table(lost).set_index("item")["reason"]
    assert reasons.value_counts().to_dict() == {"not filtered": 4, "other frames of the shot": 2}
    assert sorted([*shard.items, *reasons.index]) == items[1:-1] and len(shard) == 6
    for row, item in enumerate(shard.items):
        truth = truths[items.index(item)]
        assert shard.tensor("mask", row)[4:28].max() == 204 and not shard.tensor("mask", row)[:4].any()
        assert shard.scalars("area")[row] == pytest.approx(truth.mean())
        orange = shard.tensor("image", row)[..., 0].astype(int) - shard.tensor("image", row)[..., 2]
        assert orange[shard.tensor("mask", row) > 190].mean() > 60 > orange[4:28].mean()


def configuration(**squares) -> dict:
    films = {"type": "video", "path": "films", "every": 1, "motion": {"superpixels": 150}}
    objects = {"system": "objects", "train": ["films"], "test": ["films"], "squares": {**LETTERBOX, **squares}}
    return {"sources": {"films": films}, "experiments": {"objects": objects}}


def test_a_shard_is_made_from_video_files_through_snakemake(tmp_path, astronaut):
    project = Project.create(tmp_path / "project", astronaut, photos=False)
    write_clip(project.root / "films/clip.mp4", render("static", frames=FRAMES)[0])
    project.configure(configuration(per_shot=4))
    project.said("results/objects/squares/films/00000.arrow")
    shard = Shard(project.root / "results/objects/squares/films/00000.arrow")
    masks = read_table(project.root / "results/films/motion/00000.parquet").set_index("item")["mask"]
    assert len(shard) == 4 and set(shard.items) <= set(masks.index)
    for row, item in enumerate(shard.items):
        mean = np.rint(decode_mask(masks[item]) * 2.55).mean()
        assert shard.tensor("mask", row)[4:28].mean() == pytest.approx(mean, abs=2)


def test_an_experiment_needs_motion_of_videos_and_objects_of_annotated_pictures():
    config = configuration()
    config["sources"]["toys"] = {"type": "coco", "path": "coco", "set": "toys"}
    config["experiments"]["objects"]["test"] = ["films", "toys"]
    checked = load_config(config)
    assert checked.needs_of("films") == ("pictures", "motion") and checked.needs_of("toys") == ("pictures", "objects")
    config["experiments"]["objects"] |= {"gan": {"labels": True}, "squares": {"categories": ["cat"]}}
    with pytest.raises(UserError, match=r"gan\.labels: 'films' has no categories"):
        load_config(config)
    del config["sources"]["films"]["every"]
    with pytest.raises(UserError, match="per_second: motion is seen between frames"):
        load_config(config | {"experiments": configuration()["experiments"]})


def view(name: str, kind: str, source: str, gain: float, **squares) -> dict:
    """Return what the page shows of an experiment whose generators gain by the mask channel."""

    def entry(channels: int, value: float) -> dict:
        distances = {"frechet": 9.0, "kernel": 0.1, "precision": 0.5, "recall": 0.5}
        described = {"efficientnet_lite0": {"score": {"mean": value}, "test": distances}}
        return {"channels": channels, "described": described}

    noise = [0.0, 0.1, -0.1]
    networks = {f"rgb{number}": entry(3, 7 + value) for number, value in enumerate(noise)}
    networks |= {f"masked{number}": entry(4, 7 + gain - value / 2) for number, value in enumerate(noise)}
    summary = {
        "comparison": compare(networks, ["efficientnet_lite0"]),
        "scores": [{"kind": None}, {"kind": kind}],
        "real": {"train": {"described": networks["rgb0"]["described"]}},
        "published": [row._asdict() for row in PUBLISHED["objects"]],
    }
    keys = {"system": "objects", "train": [source], "test": [source], "squares": squares}
    return {"name": name, "experiment": Experiment.model_validate(keys), "summary": summary}


def test_one_table_says_for_each_data_set_whether_the_mask_helps():
    groups = [
        [view("coco", "cat", "coco", 1.0)],
        [
            view("moving", "moving object", "films", -1.0),
            view("all_frames", "moving object", "films", 0.02, motion="unfiltered"),
        ],
    ]
    environment = jinja2.Environment(loader=jinja2.PrefixLoader(family_templates()), undefined=jinja2.StrictUndefined)
    environment.filters["number"] = format_number
    page = environment.get_template("generation/compared.html.jinja2").render(groups=groups)
    rows = [[re.sub("<.*?>", "", cell) for cell in re.findall("<td.*?</td>", row)] for row in page.split("<tr")]
    answers = {row[0]: row for row in rows if row and row[2]}
    assert {name: row[1:3] for name, row in answers.items()} == {
        "coco": ["coco", "helps"],
        "moving": ["films (filtered)", "harms"],
        "all_frames": ["films (unfiltered)", "no difference shown"],
    }
    for row in answers.values():
        assert row[3] == "EfficientNet-Lite0 score" and "[" in row[7] and 0 < float(row[8]) <= 1 and row[9] != "–"
    assert len(re.findall("<table", page)) == 1 and "published" in page
