"""An editor that samples: its pictures go through the stages to scores and figures, and to one's own files."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from own_things import SIZE, save_unmask
from PIL import Image
from pydantic import ValidationError

from workflow_scripts.commands import apply
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard, ShardedTensors, write_shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.metrics.pictures import compare_pictures
from workflow_scripts.stages.removal.edit_faces import edit_faces
from workflow_scripts.stages.removal.score_outputs import score_outputs
from workflow_scripts.systems._removal.config import Evaluation
from workflow_scripts.systems._removal.figures import draw_samples
from workflow_scripts.systems._removal.scores import measure_frechet, square_around
from workflow_scripts.systems.unmask.config import Experiment
from workflow_scripts.systems.unmask.training import build_system
from workflow_scripts.training.data import to_float

SOURCE, ITEMS, SAMPLES = "people", ("a.png", "b.png", "c.png"), 4
COLUMNS = {"item": pa.string(), "variant": pa.int32()}, (np.uint8, (SIZE, SIZE, 3)), (np.uint8, (SIZE, SIZE))
BOX = np.s_[30:50, 10:50]
UNET = {"blocks": 3, "channels": 4, "max_channels": 4}
FLOW = {"mean": UNET, "detail": UNET, "unet": {"channels": [8, 8], "blocks": 1}, "steps": 2}
SMALL = UNET | {"squeeze_excitation": []}
EDIT = {"unet": SMALL, "sampling": FLOW}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    """A map network that finds an occluder everywhere, and an editor that samples and has learnt nothing."""
    return save_unmask(tmp_path_factory.mktemp("checkpoints"), edit=EDIT)


@pytest.fixture(scope="module")
def made(checkpoints, astronaut_crop, tmp_path_factory) -> SimpleNamespace:
    """Shards of three items, of which one has an empty predicted map, edited and scored."""
    root = tmp_path_factory.mktemp("made")
    target = astronaut_crop
    masked, hole = target.copy(), np.zeros((SIZE, SIZE), np.uint8)
    masked[BOX], hole[BOX] = (40, 90, 200), 255
    paths = {kind: root / kind / SOURCE / "00000.arrow" for kind in ("pairs", "maps", "outputs", "crops")}
    key, picture, plane = COLUMNS
    shown = {"variant": 0, "kind": "cloth", "input": masked, "target": target, "map": hole}
    pairs = [{"item": item} | shown for item in ITEMS]
    write_shard(paths["pairs"], pairs, key | {"kind": pa.string(), "input": picture, "target": picture, "map": plane})
    maps = [{"item": item, "variant": 0, "map": hole * (item != "c.png")} for item in ITEMS]
    write_shard(paths["maps"], maps, key | {"map": plane})
    nowhere = np.full((68, 2), np.nan, np.float32)
    crops = [{"item": item, "landmarks": nowhere} for item in ITEMS]
    write_shard(paths["crops"], crops, {"item": pa.string(), "landmarks": (np.float32, (68, 2))})
    splits = [{"source": SOURCE, "item": item, "split": "test", "scored": True, "seen": False} for item in ITEMS]
    columns = [("source", pa.string()), ("item", pa.string()), ("split", pa.string())]
    write_table(root / "splits.parquet", splits, pa.schema([*columns, ("scored", pa.bool_()), ("seen", pa.bool_())]))

    def edit(output: Path, samples: int, diversity: float = 1.0) -> Shard:
        given = checkpoints / "edit.safetensors", root / "splits.parquet", paths["pairs"], paths["maps"]
        edit_faces("unmask", SOURCE, 1, samples, diversity, *given, output, 1, 0)
        return Shard(output)

    edit(paths["outputs"], SAMPLES)
    table = root / "metrics.parquet"
    score_outputs(
        SOURCE, root / "splits.parquet", *(paths[kind] for kind in ("pairs", "maps", "outputs", "crops")), table
    )
    rows = read_table(table).set_index("item", drop=False)
    return SimpleNamespace(root=root, paths=paths, edit=edit, rows=rows, hole=hole > 0, target=target, masked=masked)


@pytest.fixture(scope="module")
def astronaut_crop() -> np.ndarray:
    from skimage import data

    return cv2.resize(data.astronaut()[:300, 70:370], (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def test_samples_differ_in_the_map_alone_and_the_first_is_the_items(made):
    outputs = Shard(made.paths["outputs"])
    for row in range(2):
        samples = outputs.tensor("samples", row)
        assert samples.shape == (SAMPLES, SIZE, SIZE, 3)
        assert np.array_equal(samples[0], outputs.tensor("composite", row))
        assert (samples[:, ~made.hole] == made.masked[~made.hole]).all()
        assert (samples[0] != samples[1])[made.hole].any()
    assert (outputs.tensor("samples", 0)[0] != outputs.tensor("samples", 1)[0]).any()  # noise is that of the item
    assert (outputs.tensor("samples", 2) == made.masked).all()


def test_the_first_samples_are_the_same_whatever_their_number(made, tmp_path):
    few, one = made.edit(tmp_path / "2.arrow", 2), made.edit(tmp_path / "1.arrow", 1)
    whole = Shard(made.paths["outputs"]).tensor("samples", 0)
    assert np.array_equal(few.tensor("samples", 0), whole[:2])
    assert "samples" not in one.columns and np.array_equal(one.tensor("composite", 0), whole[0])
    still = made.edit(tmp_path / "still.arrow", 2, diversity=0.0).tensor("samples", 0)
    assert np.array_equal(still[0], still[1])


def test_scores_are_those_of_all_samples(made):
    samples = Shard(made.paths["outputs"]).tensor("samples", 0)
    likeness = [compare_pictures(one, made.target, made.hole).psnr_hole for one in samples]
    row = made.rows.loc["a.png"]
    assert row.psnr_best_hole == pytest.approx(max(likeness)) and row.psnr_mean_hole == pytest.approx(np.mean(likeness))
    assert row.psnr_composite_hole == pytest.approx(likeness[0]) and row.psnr_best_hole > row.psnr_mean_hole
    spread = np.sqrt(np.mean([samples[:, made.hole, colour].astype(float).var(axis=0) for colour in range(3)]))
    assert row.spread == pytest.approx(spread) and spread > 0
    bare = made.rows.loc["c.png"]
    assert np.isnan(bare.spread) and bare.psnr_best_hole == pytest.approx(bare.psnr_copy_hole)


def test_the_painter_learns_as_without_a_flow_which_begins_at_its_picture(made):
    """Nothing of the flow's losses reaches the painter, and the flow has gradients everywhere."""
    plain = {"unet": SMALL, "perceptual": "none", "losses": {"whole": 0, "mask": 0}}
    columns = {"input": made.masked[None], "target": made.target[None], "map": made.hole[None].astype(np.uint8) * 255}
    batch = to_float({name: torch.from_numpy(np.repeat(x, 2, axis=0)) for name, x in columns.items()})
    gradients = []
    for sampling in (None, FLOW | {"perceptual": "none"}):
        torch.manual_seed(0)
        system = build_system("edit", Experiment(system="unmask", edit=plain | {"sampling": sampling}), {})
        network, shown = system.networks["edit"], batch | system.prepare(batch, [5, 6])
        painter = network if sampling is None else network.painter
        torch.manual_seed(1)
        for parameter in painter.parameters():
            torch.nn.init.normal_(parameter, 0, 0.1)
        (update,) = system.training_step(shown, ())
        update.loss.backward()
        gradients.append([parameter.grad for parameter in painter.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert all(parameter.grad is not None for parameter in network.parameters())
    painted = painter(shown["filled"], shown["map"])
    start = network.start(painted, shown["filled"], shown["map"])
    inside = shown["map"].bool().expand_as(painted)
    assert torch.equal(start.filled[~inside], shown["input"][~inside])
    assert torch.allclose(start.filled[inside], painted[inside], atol=1e-6)


def test_the_gallery_shows_samples_beside_the_truth(made, tmp_path):
    pictures = ShardedTensors({kind: [made.paths[kind]] for kind in ("pairs", "outputs")})
    draw_samples(made.rows.dropna(subset="spread"), pictures, 3, tmp_path / "samples.png")
    with Image.open(tmp_path / "samples.png") as image:
        assert image.width > (2 + SAMPLES) * 128 and image.height > 2 * 128


def test_versions_of_ones_own_picture(checkpoints, astronaut, tmp_path):
    Image.fromarray(np.ascontiguousarray(astronaut[:300, 70:370])).save(tmp_path / "her.png")
    words = [str(checkpoints), str(tmp_path / "her.png"), "--output", str(tmp_path / "out"), "--search-side=640"]
    apply.main([*words, "--count", "3"])
    versions = [np.asarray(Image.open(tmp_path / f"out/her_0{number}.png")) for number in (1, 2, 3)]
    assert (versions[0] != versions[1]).any() and (versions[1] != versions[2]).any()
    assert (tmp_path / "out/her_sheet.png").is_file()
    with pytest.raises(UserError, match="--count is 1 to"):
        apply.main([*words, "--count", "0"])
    plain = save_unmask(tmp_path / "plain")
    with pytest.raises(UserError, match="paints one face only"):
        apply.main([str(plain), *words[1:], "--count", "2"])


def test_keys_that_exclude_each_other_are_named():
    with pytest.raises(ValidationError, match="draws noise of its own; write `fill: none` or `fill: around`"):
        Experiment(system="unmask", edit={"sampling": {}, "fill": "noise"})
    trained = {"epochs": 3, "learning_rate": 5e-4}
    experiment = Experiment(system="unmask", edit={"sampling": {}, "training": trained, "border": {"margin": 1}})
    assert experiment.weights_of("edit") == ("efficientnet_lite0",) and experiment.samples == 8
    again = Experiment.parse(experiment.slice("edit", "evaluation"))
    assert again.edit == experiment.edit
    with pytest.raises(ValueError, match=r"edit.sampling.unet.channels: 5 levels need a side"):
        deep = {"cell": 8, "unet": {"channels": [8] * 5}, "mean": UNET}
        Experiment(system="unmask", edit={"sampling": deep}).edit.check_size("edit", 128)


def test_a_square_holds_the_hole_and_its_rim_and_stays_in_the_picture():
    hole = np.zeros((64, 64), bool)
    hole[20:30, 30:50] = True
    assert square_around(hole) == (slice(11, 39), slice(26, 54))
    hole[20:64] = True
    assert square_around(hole) == (slice(0, 64), slice(0, 64))
    low = np.zeros((64, 64), bool)
    low[58:64, 0:10] = True
    assert square_around(low) == (slice(46, 64), slice(0, 18))
    assert square_around(np.zeros((64, 64), bool)) == (slice(0, 64), slice(0, 64))


def test_the_distance_around_the_hole_sees_more_of_what_was_painted(made, efficientnet_lite0):
    found = measure_frechet(
        Evaluation(),
        [made.root / "metrics.parquet"],
        [made.paths["pairs"]],
        [made.paths["outputs"]],
        efficientnet_lite0,
    )
    assert found["images"] == len(ITEMS) and found["absent"] is None
    assert found["hole"]["copy"] > found["distance"]["copy"] > 0
    assert found["hole"].keys() == found["distance"].keys() == {"copy", "raw", "composite"}
