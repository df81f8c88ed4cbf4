"""GANs: losses against values by hand, classes that split as known clusters do, trainings that go on bit for bit."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.models.gan import ClassHead, class_parameters
from workflow_scripts.stages.experiments.train_network import main
from workflow_scripts.systems.objects.config import Experiment
from workflow_scripts.systems.objects.splitting import inherit, split_classes, split_in_two
from workflow_scripts.systems.objects.training import (
    GanTraining,
    adversarial_loss,
    build_system,
    gradient_penalty,
    kernel_shares,
)
from workflow_scripts.training.data import Items

SIDE, TRAINED, WATCHED = 32, 32, 6
COLOURS = [(230, 40, 40), (40, 230, 40), (40, 40, 230), (235, 235, 235)]
LOOP = {"batch_size": 8, "precision": "fp32", "threads": 1, "preview_items": 2, "betas": [0.0, 0.9], "keep": "last"}
GAN = {
    "channels": 8,
    "latent": 8,
    "discriminator_steps": 2,
    "splitting": {"every": 1, "min_items": 10, "max_classes": 4},
    "training": LOOP | {"epochs": 3, "learning_rate": 1e-3, "schedule": "linear", "ema": 0.9, "flip": True},
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    """A folder with `training.parquet` and squares in four colours, each with a mask and a label."""
    folder, rng, rows = tmp_path_factory.mktemp("squares"), np.random.default_rng(0), []
    for number in range(TRAINED + WATCHED):
        colour = np.array(COLOURS[number % 4])
        image = np.clip(colour + rng.integers(-10, 10, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[8:24, 4 : 12 + number % 8] = 255
        image[mask > 0] //= 3
        row = {"item": f"{number:02d}", "variant": 0, "image": image, "mask": mask, "label": np.array([number % 4])}
        rows.append(row)
    tensors = {"image": (np.uint8, (SIDE, SIDE, 3)), "mask": (np.uint8, (SIDE, SIDE)), "label": (np.int64, (1,))}
    write_shard(folder / "squares/toys/00000.arrow", rows, {"item": pa.string(), "variant": pa.int32()} | tensors)
    splits = [
        {"source": "toys", "item": row["item"], "split": "train" if number < TRAINED else "val"}
        for number, row in enumerate(rows)
    ]
    write_table(folder / "training.parquet", splits, pa.schema([(name, pa.string()) for name in splits[0]]))
    return folder


def experiment(**gan) -> dict:
    return {"system": "objects", "train": ["toys"], "test": ["toys"], "squares": {"size": SIDE}, "gan": GAN | gan}


def train(shards: Path, out: Path, network: str, values: dict) -> None:
    paths = {"output": f"{network}.safetensors", "sidecar": f"{network}.json", "curves": "curves.parquet"}
    paths |= {"previews": "previews", "resume": "resume", "live": "live"}
    main(
        [
            *("--experiment", json.dumps(values), "--network", network, "--seed", "1", "--code", "code:a,lock:b"),
            *("--splits", str(shards / "training.parquet")),
            *("--shards", *map(str, shards.glob("*/*/*.arrow"))),
            *(part for name, path in paths.items() for part in (f"--{name}", str(out / path))),
        ]
    )


def system_of(shards: Path, network: str = "rgb1", **gan) -> tuple[GanTraining, Items]:
    made = build_system(network, Experiment.model_validate(experiment(**gan)), {})
    columns = {column: [shards / f"{kind}/toys/00000.arrow"] for column, kind in made.columns.items()}
    items = Items(columns, {("toys", f"{number:02d}") for number in range(TRAINED)})
    made.begin(items)
    return made, items


def batch_of(made: GanTraining, items: Items, positions: list[int]) -> dict:
    batch = made.to_tensors(items.gather(positions, torch.device("cpu")))
    batch |= made.prepare(batch, positions)
    settings = Experiment.model_validate(experiment()).gan.training.model_copy(update={"flip": False})
    return made.augment(batch, [items.keys[p] for p in positions], 1, 0, settings)


def test_each_adversarial_loss_is_what_the_formula_gives():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 0.0])
    assert adversarial_loss(real, fake, "wasserstein").item() == pytest.approx(-0.5 - 1.25)
    assert adversarial_loss(real, fake, "hinge").item() == pytest.approx((0 + 0.5) / 2 + (0 + 1) / 2)
    by_hand = np.mean(np.log1p(np.exp([-2.0, -0.5]))) + np.mean(np.log1p(np.exp([-1.0, 0.0])))
    assert adversarial_loss(real, fake, "non_saturating").item() == pytest.approx(by_hand, rel=1e-6)


def test_the_gradient_penalty_of_a_linear_judge_is_known():
    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1))

        def forward(self, x):
            return (x * self.weight).sum(dim=(1, 2, 3)), None

    judge = Linear()
    penalty = gradient_penalty(judge, torch.randn(4, 2, 1, 1), torch.randn(4, 2, 1, 1))
    assert penalty.item() == pytest.approx((5 - 1) ** 2, rel=1e-6)
    penalty.backward()  # d/dw (|w| - 1)² = 2 (|w| - 1) w / |w|
    assert judge.weight.grad.flatten().tolist() == pytest.approx([2 * 4 * 0.6, 2 * 4 * 0.8], rel=1e-5)


def test_the_parts_of_the_losses_are_weighted_as_configured(shards):
    made, items = system_of(shards, labels=False, class_weight=2.0, generator_class_weight=0.5)
    batch = batch_of(made, items, list(range(8)))
    made.networks["rgb1"].counts.copy_(torch.tensor([16, 16, 0, 0]))
    judged, generated = made.training_step(batch, True)
    parts = judged.parts
    expected = -parts["apart"] + 10 * parts["penalty"] + 2 * parts["class"]
    assert judged.network == "discriminator" and judged.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert generated.network == "rgb1" and set(generated.parts) == {"class"}
    assert parts["class"].item() < 2 * np.log(2)  # classes that are not used take no part


def test_the_generator_learns_at_every_nth_step(shards):
    made, items = system_of(shards)
    batch = batch_of(made, items, list(range(8)))
    courses = [made.course(step, 0.5) for step in range(4)]
    updates = [[update.network for update in made.training_step(batch, course)] for course in courses]
    assert updates == [["discriminator"], ["discriminator", "rgb1"]] * 2


def test_the_fourth_channel_is_the_mask(shards):
    made, items = system_of(shards, "masked1")
    real = made._real(batch_of(made, items, [0]))
    assert real.shape == (1, 4, SIDE, SIDE) and set(real[0, 3].unique().tolist()) == {-1.0, 1.0}
    assert real[0, 3, 10, 6] == 1 and real[0, 3, 0, 0] == -1


def test_kernel_shares_are_a_squared_distance_of_means():
    first, second = torch.tensor([[1.0], [0.0]]), torch.tensor([[2.0], [0.0]])
    within, other = (8 + 1 + 1 + 1) / 4, (125 + 1 + 1 + 1) / 4
    across = (27 + 1 + 1 + 1) / 4
    assert kernel_shares(first, second).mean().item() == pytest.approx(within + other - 2 * across)
    assert kernel_shares(first, first).mean().item() == pytest.approx(0, abs=1e-6)


def clusters(rng: np.random.Generator, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    centres = np.array([[0, 0, 0], [0, 6, 0], [20, 0, 0], [20, 0, 6]])
    truth = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(truth))
    return (centres[truth] + rng.normal(0, 0.5, (len(truth), 3)))[order].astype(np.float32), truth[order]


def test_known_clusters_are_found_by_splitting_twice():
    features, truth = clusters(np.random.default_rng(1), [40, 30, 50, 20])
    labels, parents = split_classes(features, np.zeros(140, int), 1, 20, 8)
    assert parents == [0] and len({*zip(labels, truth // 2, strict=True)}) == 2
    labels, parents = split_classes(features, labels, 2, 20, 8)
    assert sorted(parents) == [0, 1]
    assert len({*zip(labels, truth, strict=True)}) == 4  # each class is one cluster and each cluster one class


def test_small_classes_stay_whole_and_the_number_of_classes_is_limited():
    features, truth = clusters(np.random.default_rng(1), [40, 30, 50, 20])
    halves = (truth // 2).astype(int)
    assert split_classes(features, halves, 2, 70, 8)[1] == []
    assert split_classes(features, halves, 2, 69, 8)[1] == [0, 1]
    assert split_classes(features, halves, 2, 20, 3)[1] == [0]
    assert not split_in_two(np.ones((5, 3))).any()


def test_children_inherit_rows_and_moments_of_their_parents():
    head = ClassHead(3, 4)
    optimizer = torch.optim.Adam(head.parameters(), 0.1)
    head(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    inherit(class_parameters(head), [1, 0], 2, optimizer)
    for values in (
        head.weight,
        head.bias,
        optimizer.state[head.weight]["exp_avg"],
        optimizer.state[head.bias]["exp_avg_sq"],
    ):
        assert torch.equal(values[2], values[1]) and torch.equal(values[3], values[0])
        assert not torch.equal(values[0], values[1])


def test_classes_split_by_the_colours_that_the_discriminator_tells_apart(shards):
    made, items = system_of(shards, splitting={"every": 2, "min_items": 9, "max_classes": 4})
    batches = [batch_of(made, items, list(range(start, start + 8))) for start in range(0, TRAINED, 8)]
    optimizers = {name: torch.optim.Adam(network.parameters()) for name, network in made.networks.items()}
    average = build_system("rgb1", Experiment.model_validate(experiment()), {}).networks["rgb1"]
    judge, generator = made.networks["discriminator"], made.networks["rgb1"]
    made.epoch_begins(0, iter(batches), optimizers, average)
    assert generator.counts.tolist() == [TRAINED, 0, 0, 0]
    made.epoch_begins(1, iter(batches), optimizers, average)
    assert generator.counts.tolist() == [TRAINED, 0, 0, 0]
    torch.nn.init.normal_(judge.head.weight)
    made.epoch_begins(2, iter(batches), optimizers, average)
    assert (generator.counts > 0).tolist() == [True, True, False, False]
    assert torch.equal(judge.head.weight[1], judge.head.weight[0])
    made.epoch_begins(4, iter(batches), optimizers, average)
    colours = {(int(one), number % 4) for number, one in enumerate(judge.classes)}
    assert generator.counts.sum() == TRAINED and len(colours) == 4  # no colour is in two classes
    assert judge.training and batch_of(made, items, [5])["class"].item() == judge.classes[5]


def test_given_labels_are_the_classes_from_the_first_epoch_on(shards):
    values = experiment(labels=True, splitting=None)
    values["squares"]["categories"] = ["red", "green", "blue", "white"]
    made = build_system("rgb1", Experiment.model_validate(values), {})
    columns = {column: [shards / "squares/toys/00000.arrow"] for column in made.columns}
    items = Items(columns, {("toys", f"{number:02d}") for number in range(10)})
    made.begin(items)
    made.epoch_begins(0, [batch_of(made, items, list(range(10)))], {}, None)
    assert made.networks["rgb1"].counts.tolist() == [3, 3, 2, 2]
    assert batch_of(made, items, [1, 6])["class"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("network", "gan"),
    [
        ("masked1", {}),
        ("rgb2", {"architecture": "dcgan", "loss": "non_saturating", "gradient_penalty": 0, "splitting": None}),
        ("rgb1", {"loss": "hinge", "gradient_penalty": 0, "spectral_norm": True}),
    ],
)
def test_a_training_that_was_cut_goes_on_bit_for_bit(shards, tmp_path, network, gan, monkeypatch):
    values = experiment(**gan)
    values["gan"]["training"] = GAN["training"] | {"save_every": 3}
    train(shards, tmp_path / "whole", network, values)
    from workflow_scripts.training.loop import Trainer

    class Cut(Exception):
        pass

    save, saved = Trainer._save, []

    def save_and_die(trainer, is_good):
        save(trainer, is_good)
        saved.append(trainer.step)
        if len(saved) == 2:
            raise Cut

    monkeypatch.setattr(Trainer, "_save", save_and_die)
    with pytest.raises(Cut):
        train(shards, tmp_path / "cut", network, values)
    monkeypatch.undo()
    assert saved == [3, 6]  # within the second epoch, after classes were split
    train(shards, tmp_path / "cut", network, values)
    whole, again = (load_file(tmp_path / f"{name}/{network}.safetensors") for name in ("whole", "cut"))
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name
    if "splitting" not in gan:
        assert (whole["counts"] > 0).sum() > 1
    curves = read_table(tmp_path / "cut/curves.parquet")
    assert curves.equals(read_table(tmp_path / "whole/curves.parquet"))


def test_seeds_differ_and_the_first_is_the_configurations():
    chosen = Experiment.model_validate(experiment())
    assert chosen.seed_of("rgb1", 7) == chosen.seed_of("masked1", 7) == chosen.seed_of("segment", 7) == 7
    assert chosen.seed_of("rgb2", 7) == chosen.seed_of("masked2", 7) != 7


def test_the_network_that_finds_objects_learns_them(shards, tmp_path):
    values = experiment() | {
        "segment": {
            "unet": {"blocks": 3, "channels": 8, "max_channels": 16},
            "training": LOOP | {"epochs": 6, "learning_rate": 5e-3, "keep": "best", "betas": [0.9, 0.999]},
        }
    }
    train(shards, tmp_path, "segment", values)
    curves = read_table(tmp_path / "curves.parquet")
    found = curves[(curves["split"] == "val") & (curves["name"] == "iou")]["value"]
    assert found.max() > 0.8
