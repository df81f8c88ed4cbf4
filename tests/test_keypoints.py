"""Landmarks of faces with holes: the formulas, that the network learns and knows where it is unsure, the scores."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn
from weights import landmark_model

from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import SPLITS, write_table
from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.alignment import transform_points
from workflow_scripts.faces.drawings import draw_face
from workflow_scripts.faces.mean_face import CELEBA_LANDMARKS
from workflow_scripts.metrics.frames import find_points
from workflow_scripts.stages.completion.predict_keypoints import predict_keypoints
from workflow_scripts.systems._completion.config import CELL, Evaluation, KeypointNetwork
from workflow_scripts.systems._completion.guides import hidden_points
from workflow_scripts.systems._completion.holes import part_hole
from workflow_scripts.systems._completion.inference import find_keypoints
from workflow_scripts.systems._completion.keypoint_scores import keypoint_scores
from workflow_scripts.systems._completion.keypoint_training import KeypointTraining, negative_log_likelihood
from workflow_scripts.systems._completion.networks import START, KeypointFinder
from workflow_scripts.systems.diverse.config import Experiment
from workflow_scripts.systems.diverse.networks import build_network
from workflow_scripts.training.checkpoint import save_checkpoint

SIZE = 64
FACE = (CELEBA_LANDMARKS - CELEBA_LANDMARKS.mean(axis=0)) * 0.5 + SIZE / 2
SMALL = {"unet": {"blocks": 5, "channels": 16, "max_channels": 64}}


class Logits(nn.Module):
    """Stands for the U-Net: the same maps for every picture."""

    def __init__(self, places: torch.Tensor, spreads: torch.Tensor):
        super().__init__()
        self.maps = torch.cat([places, spreads])[None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.maps.expand(len(x), -1, -1, -1)


def found_with(places: torch.Tensor, spreads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the finder says of maps (68, 16, 16)."""
    finder = KeypointFinder(KeypointNetwork(**SMALL))
    finder.unet = Logits(places, spreads)
    points, spread = finder(torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE))
    return points[0], spread[0]


def test_a_landmark_is_the_mean_of_its_distribution():
    places = torch.full((68, 16, 16), -1e4)
    places[0, 3, 10] = 0  # row 3, column 10
    places[1, 3, [4, 5]] = 0  # two cells beside each other, equally likely
    places[2, [0, 1], 15] = torch.tensor([1.0, 3.0]).log()  # one three times as likely
    points, _ = found_with(places, torch.zeros(68, 16, 16))
    assert points[0].tolist() == [10 * CELL + 1.5, 3 * CELL + 1.5]  # the middle of the cell's pixels
    assert points[1].tolist() == pytest.approx([4.5 * CELL + 1.5, 3 * CELL + 1.5])
    assert points[2].tolist() == pytest.approx([15 * CELL + 1.5, 0.75 * CELL + 1.5])


def test_the_spread_is_read_where_the_landmark_is():
    places, spreads = torch.full((68, 16, 16), -1e4), torch.zeros(68, 16, 16)
    places[:, 3, 10] = 0
    spreads[0, 3, 10], spreads[1, 9, 9] = 1.5, 7.0
    _, spread = found_with(places, spreads)
    assert spread[:2].tolist() == pytest.approx([SIZE * np.exp(START + 1.5), SIZE * np.exp(START)])


def test_likelihood_by_hand_and_least_at_the_true_spread():
    value = negative_log_likelihood(torch.tensor([5.0]), torch.tensor([2.0]))
    assert value.item() == pytest.approx(25 / 8 + 2 * np.log(2))
    errors = 3 * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    spreads = torch.linspace(2, 4, 21)
    values = [negative_log_likelihood(errors.norm(dim=1), spread).mean() for spread in spreads]
    assert spreads[int(np.argmin(values))] == pytest.approx(3, abs=0.11)


def drawn_faces(count: int, seed: int) -> dict[str, torch.Tensor]:
    """Drawings of faces at several places, and landmarks and holes as the columns of a shard."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list] = {"target": [], "hole": [], "landmarks": []}
    for _ in range(count):
        turn, scale = rng.uniform(-0.2, 0.2), rng.uniform(0.7, 1.1)
        matrix = scale * np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0]])
        face = transform_points(matrix, FACE - SIZE / 2) + SIZE / 2 + rng.uniform(-6, 6, 2)
        columns["hole"].append(255 * part_hole("mouth" if rng.random() < 0.5 else "eyes", face, SIZE, 0.15))
        face[groups.MOUTH] += rng.uniform(-5, 5, 2)  # what neither the hole nor the rest of the face tells
        columns["target"].append(draw_face(face, SIZE))
        columns["landmarks"].append(face)
    types = {"target": np.uint8, "hole": np.uint8, "landmarks": np.float32}
    return {name: torch.from_numpy(np.stack(values).astype(types[name])) for name, values in columns.items()}


def batch_of(training: KeypointTraining, columns: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The columns as the loop gives them to the training."""
    batch = training.to_tensors(columns)
    return batch | training.prepare(batch, range(len(batch["target"])))


@pytest.fixture(scope="module")
def learned() -> tuple[KeypointTraining, dict[str, torch.Tensor]]:
    """A small network that has learned from drawn faces, and faces that it has not seen."""
    torch.manual_seed(0)
    config = KeypointNetwork(**SMALL)
    training = KeypointTraining(config, KeypointFinder(config))
    network = training.networks["keypoints"]
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    batch = batch_of(training, drawn_faces(256, 1))
    for step in range(400):
        chosen = torch.randperm(256, generator=torch.Generator().manual_seed(step))[:16]
        for update in training.training_step({name: x[chosen] for name, x in batch.items()}, 0.0):
            optimizer.zero_grad()
            update.loss.backward()
            optimizer.step()
    network.eval()
    return training, batch_of(training, drawn_faces(64, 2))


def test_it_finds_landmarks_and_is_less_sure_of_hidden_ones(learned):
    training, batch = learned
    with torch.no_grad():
        points, spread = training.networks["keypoints"](batch["holed"], batch["hole"])
    truth = batch["landmarks"][:, 0]
    errors = (points - truth).norm(dim=-1)
    holes = batch["hole"][:, 0].numpy() > 0.5
    hidden = torch.from_numpy(np.stack([hidden_points(*pair) for pair in zip(truth.numpy(), holes, strict=True)]))
    mean_face = (truth.mean(dim=0) - truth).norm(dim=-1).mean()
    assert errors.mean() < 0.5 * mean_face
    mouth = torch.zeros(68, dtype=bool)
    mouth[groups.MOUTH] = True
    unknown, seen = hidden & mouth, ~hidden & mouth
    assert errors[unknown].mean() > 1.5 * errors[seen].mean()
    assert spread[unknown].mean() > 1.3 * spread[seen].mean()
    # It is about as far off as it says.
    assert 0.5 < (errors.square().mean() / 2 / spread.square().mean()).sqrt() < 2


def test_validation_scores_are_those_of_the_metrics(learned):
    training, batch = learned
    with torch.no_grad():
        scores = training.validate(training.networks["keypoints"], batch)
        points, _ = training.networks["keypoints"](batch["holed"], batch["hole"])
    truth = batch["landmarks"][0, 0].numpy()
    eyes = np.linalg.norm(truth[36] - truth[45])
    expected = np.linalg.norm(points[0].numpy() - truth, axis=1).mean() / eyes
    assert scores["nme"][0].item() == pytest.approx(expected, rel=1e-5)
    assert scores["nme"].shape == scores["likelihood"].shape == (64,)


def test_mirrored_items_stay_in_step(learned):
    training, batch = learned
    mirrored = training.mirror(batch)
    face = mirrored["landmarks"][0, 0].numpy()
    assert face[36, 0] < face[45, 0]  # the right eye stays at the viewer's left
    holes = (batch["hole"][0, 0].numpy() > 0.5, mirrored["hole"][0, 0].numpy() > 0.5)
    before = hidden_points(batch["landmarks"][0, 0].numpy(), holes[0])
    assert np.array_equal(hidden_points(face, holes[1]), before[groups.MIRRORED]) and before.any()
    again = training.mirror(mirrored)
    assert all(torch.allclose(again[name], x) for name, x in batch.items())


def test_landmarks_move_with_their_picture(learned):
    """Of a picture whose values are the coordinates, each landmark shows after the move what it showed before."""
    training, batch = learned
    count, size = len(batch["target"]), batch["target"].shape[-1]
    axis = torch.arange(size, dtype=torch.float32)
    places = torch.stack([axis.expand(size, size), axis[:, None].expand(size, size), 0 * axis.expand(size, size)])
    batch = dict(batch) | {"target": places.expand(count, 3, size, size).contiguous()}
    settings = KeypointNetwork(training={"move": 0.1, "jitter": 0, "flip": False}).training
    keys = [("s", f"{number}", 0) for number in range(count)]
    moved = training.augment(batch, keys, 1, 0, settings)
    assert set(moved["hole"].unique().tolist()) <= {0, 1}
    seen = 0
    for number in range(count):
        for before, after in zip(batch["landmarks"][number, 0], moved["landmarks"][number, 0], strict=True):
            if bool(
                (after > 2).all() and (after < size - 3).all() and (before > 2).all() and (before < size - 3).all()
            ):
                column, row = (after + 0.5).long().tolist()
                nearest = moved["target"][number, :2, row, column]
                assert (nearest - before).abs().max() < 1.2
                seen += 1
    assert seen > 20 * count
    assert (moved["landmarks"] - batch["landmarks"]).abs().amax(dim=(1, 2, 3)).min() > 1


def test_colours_that_change_do_not_fill_the_hole(learned):
    training, batch = learned
    settings = KeypointNetwork(training={"jitter": 0.5, "flip": True}).training
    keys = [("s", f"{number}", 0) for number in range(len(batch["target"]))]
    columns = training.augment(batch, keys, 1, 0, settings)
    assert not (columns["holed"] * columns["hole"]).any()
    assert not torch.equal(columns["target"], batch["target"])


def test_what_lies_in_the_hole_is_not_looked_at(learned):
    training, _ = learned
    columns = drawn_faces(1, 3)
    image, hole = columns["target"][0].numpy(), columns["hole"][0].numpy() > 0
    other = np.where(hole[..., None], np.uint8(200), image)
    network = training.networks["keypoints"]
    for first, second in zip(find_keypoints(network, image, hole), find_keypoints(network, other, hole), strict=True):
        assert np.array_equal(first, second) and first.dtype == np.float32


def test_scores_by_hand(astronaut):
    truth = find_points(astronaut[:256, 96:352], landmark_model())
    picture, hole = astronaut[:256, 96:352], part_hole("mouth", truth, 256, 0.05)
    hidden = hidden_points(truth, hole)
    points = truth + np.where(hidden[:, None], [3.0, 4.0], [0.0, 1.0])  # 5 pixels off in the hole, 1 outside
    scores = keypoint_scores(picture, hole, truth, points, np.full(68, 2.0), landmark_model())
    eyes = np.linalg.norm(truth[36] - truth[45])
    assert scores["nme_in"] == pytest.approx(5 / eyes) and scores["nme_out"] == pytest.approx(1 / eyes)
    assert scores["spread_in"] == pytest.approx(2 / eyes)
    assert scores["z2_in"] == pytest.approx(25 / 2 / 4) and scores["z2_out"] == pytest.approx(1 / 2 / 4)
    assert scores["dlib_found"] == 1 and 0 < scores["dlib_nme_out"] < 0.2


def test_scores_where_dlib_finds_no_face_and_no_point_is_outside(astronaut):
    picture = astronaut[:256, 96:352]
    truth = find_points(picture, landmark_model())
    hole = np.ones((256, 256), bool)
    hole[0] = False
    scores = keypoint_scores(picture, hole, truth, truth, np.ones(68), landmark_model())
    assert scores == {"nme_in": 0, "z2_in": 0, "spread_in": pytest.approx(scores["spread_in"]), "dlib_found": 0}


def test_default_size():
    network = build_network("keypoints", Experiment(system="diverse"))
    assert sum(x.numel() for x in network.parameters()) == 1_819_944


def test_too_deep_a_network_is_refused_for_small_pictures():
    KeypointNetwork().check_size("keypoints", 64)
    with pytest.raises(ValueError, match=r"keypoints\.unet\.blocks"):
        KeypointNetwork(unet={"blocks": 11}).check_size("keypoints", 64)


def test_the_stage_finds_the_landmarks_of_scored_items(tmp_path: Path):
    experiment = Experiment(system="diverse", keypoints=SMALL)
    torch.manual_seed(0)
    network = build_network("keypoints", experiment).eval()
    description = {"system": "diverse", "network": "keypoints", "config": experiment.model_dump(mode="json")}
    checkpoint = tmp_path / "keypoints.safetensors"
    save_checkpoint(checkpoint, checkpoint.with_suffix(".json"), network, description | {"bases": {}})
    columns = drawn_faces(4, 5)
    keys = [("a", 0), ("a", 1), ("b", 0), ("c", 0)]
    rows = [
        {"item": item, "variant": variant, "target": columns["target"][n].numpy(), "hole": columns["hole"][n].numpy()}
        for n, (item, variant) in enumerate(keys)
    ]
    types = {"item": pa.string(), "variant": pa.int32()}
    types |= {"target": (np.uint8, (SIZE, SIZE, 3)), "hole": (np.uint8, (SIZE, SIZE))}
    holes, splits, output = tmp_path / "holes.arrow", tmp_path / "splits.parquet", tmp_path / "keypoints.arrow"
    write_shard(holes, rows, types)
    places = [("s", "a", True), ("s", "b", False), ("s", "c", True), ("other", "b", True)]
    write_table(
        splits,
        [
            {"source": source, "item": item, "split": "test", "seen": False, "scored": scored}
            for source, item, scored in places
        ],
        SPLITS,
    )
    predict_keypoints(Evaluation(), "s", checkpoint, splits, holes, output, 1, 0)
    found = Shard(output)
    assert list(found.row_numbers()) == [("a", 0), ("a", 1), ("c", 0)]
    points, spread = find_keypoints(network, rows[3]["target"], rows[3]["hole"] > 0)
    assert np.allclose(found.tensor("landmarks", 2), points, atol=1e-4) and np.allclose(
        found.tensor("spread", 2), spread
    )
