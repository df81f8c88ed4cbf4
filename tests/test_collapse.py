"""A training that has failed ends with one line, goes back to its last good state, or is spoken of, as configured.

Both failures are provoked in a tiny system of the tests (`systems/duel`), which goes through the real stage: a
discriminator that tells all outputs from real vectors, and a generator whose completions are equal because the squared
error asks for the mean.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from safetensors import safe_open

from workflow_scripts import systems
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import TRAINING, read_table, write_table
from workflow_scripts.stages.experiments.train_network import train_network
from workflow_scripts.training.live import LiveCurves
from workflow_scripts.training.loop import Trainer

WIDTH, TRAINED, WATCHED = 4, 64, 8
EPOCH = TRAINED // 16  # steps


@pytest.fixture(autouse=True)
def duel(monkeypatch) -> None:
    """The system `duel` can be imported like those of the project."""
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(Path(__file__).parent / "systems")])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with a shard of vectors, and the table of splits."""
    folder = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    rows, splits = [], []
    for number in range(TRAINED + WATCHED):
        given = rng.normal(0, 0.5, WIDTH).astype(np.float32)
        wanted = (given + rng.normal(0, 0.5, WIDTH)).clip(-2, 2).astype(np.float32)
        rows.append({"item": f"{number:02d}", "given": given, "wanted": wanted})
        splits.append({"source": "made", "item": f"{number:02d}", "split": "train" if number < TRAINED else "val"})
    columns = {"item": pa.string(), "given": (np.float32, (WIDTH,)), "wanted": (np.float32, (WIDTH,))}
    write_shard(folder / "vectors/made/00000.arrow", rows, columns)
    write_table(folder / "training.parquet", splits, TRAINING)
    return folder


def train(data: Path, out: Path, generator: dict, **loop) -> Path:
    from workflow_scripts.systems.duel.config import Experiment

    train_network(
        experiment=Experiment(system="duel", generator=generator | {"training": loop}),
        network="generator",
        seed=1,
        splits=data / "training.parquet",
        shards=[data / "vectors/made/00000.arrow"],
        output=out / "generator.safetensors",
        sidecar=out / "generator.json",
        curves=out / "curves.parquet",
        previews=out / "previews",
        resume=out / "resume",
        live=out / "live",
        code="code:code,lock:lock",
    )
    return out / "generator.safetensors"


# The outputs reach a part of the real vectors' range, so that the judge wins the faster, the faster it learns.
WINS = {"reach": 0.4, "judge_rate": 0.02}
EQUAL = {"squared": 1.0, "adversarial": 0.0}
KINDS = {
    "judge": (WINS, {"epochs": 40}, "the judge tells all outputs apart: judge total is 0.", "lower `judge_rate`"),
    "diversity": (
        EQUAL,
        {"epochs": 40, "learning_rate": 1e-2},
        "completions of one item are equal: diversity is 0.",
        "lower `squared`",
    ),
}


def sidecar(out: Path) -> dict:
    return json.loads((out / "generator.json").read_text())


def curve(out: Path, split: str, name: str) -> list[tuple[int, float]]:
    """Return (step, value) in the order in which they came."""
    curves = read_table(out / "curves.parquet")
    chosen = curves[(curves["split"] == split) & (curves["name"] == name)]
    return list(zip(chosen["step"], chosen["value"], strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_training_stops_with_one_line(data, tmp_path, kind):
    generator, loop, what, remedy = KINDS[kind]
    with pytest.raises(UserError) as raised:
        train(data, tmp_path, generator, **loop)
    line = str(raised.value)
    assert line.startswith("step ") and what in line and line.count("\n") == 0
    assert f"; {remedy}, or write `on_collapse: rewind` to go on from the last good state" in line
    assert not (tmp_path / "generator.safetensors").exists()
    assert cv2.imread(str(tmp_path / "live/curves.png")) is not None  # what led to it can be seen


def test_a_healthy_training_is_the_same_whatever_is_wanted_of_a_failed_one(data, tmp_path):
    found = {}
    for wanted in ("stop", "rewind", "warn"):
        found[wanted] = train(data, tmp_path / wanted, {}, epochs=8, on_collapse=wanted).read_bytes()
        assert sidecar(tmp_path / wanted)["rewinds"] == []
        assert (tmp_path / wanted / "resume/good.safetensors").exists() == (wanted == "rewind")
    assert found["stop"] == found["rewind"] == found["warn"]


def test_a_judge_that_won_learns_more_slowly_from_the_last_good_state_on(data, tmp_path, capfd):
    train(data, tmp_path, WINS, epochs=40, on_collapse="rewind")
    (rewind,) = sidecar(tmp_path)["rewinds"]
    assert rewind["slows"] == ["judge"] and rewind["to"] < rewind["at"]
    assert rewind["reason"] in capfd.readouterr().err
    lost, kept = (curve(tmp_path, split, "judge total") for split in ("rewound train", "train"))
    assert lost[0][0] > rewind["to"] and lost[-1][0] == rewind["at"]
    assert all(value < 0.3 for _, value in lost[-4:])
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    assert kept[-1][0] == 40 * EPOCH
    # Other random numbers: the first values after the rewind are others, before the slower judge could matter.
    squared = [curve(tmp_path, split, "generator squared") for split in ("rewound train", "train")]
    again = [value for step, value in squared[1] if step > rewind["to"]]
    assert squared[0][0][1] != again[0]


def test_a_training_that_fails_again_and_again_goes_back_three_times(data, tmp_path, capfd):
    generator, loop, what, remedy = KINDS["diversity"]
    with pytest.raises(UserError) as raised:
        train(data, tmp_path, generator, on_collapse="rewind", **loop)
    assert what in str(raised.value)
    assert str(raised.value).endswith(f", after 3 rewinds; {remedy}")
    said = [line for line in capfd.readouterr().err.splitlines() if "back to the good state of step" in line]
    assert [line[-6:] for line in said] == ["1 of 3", "2 of 3", "3 of 3"]
    assert all("half the learning rate of generator and judge" in line for line in said)
    lost = curve(tmp_path, "rewound val", "diversity")
    assert min(value for _, value in lost) < 0.08


def test_a_warning_lets_a_stopped_training_go_on(data, tmp_path, capfd):
    with pytest.raises(UserError):
        train(data, tmp_path / "parts", WINS, epochs=40)
    assert "lower `judge_rate`" not in capfd.readouterr().err
    parts = train(data, tmp_path / "parts", WINS, epochs=40, on_collapse="warn")
    said = capfd.readouterr().err
    assert "generator: going on from step" in said
    assert "judge total is 0." in said and "; lower `judge_rate`\n" in said
    whole = train(data, tmp_path / "whole", WINS, epochs=40, on_collapse="warn")
    assert parts.read_bytes() == whole.read_bytes()


def test_a_loss_that_is_not_finite_goes_back_too(data, tmp_path, capfd):
    with pytest.raises(UserError, match=r"of network '\w+' is \w+, after 3 rewinds; lower `learning_rate`"):
        train(data, tmp_path, {"judge_rate": 1e30}, on_collapse="rewind")
    assert capfd.readouterr().err.count("back to the good state of step 0, with other random numbers") == 3


def test_a_good_state_that_is_damaged_ends_with_one_line(data, tmp_path, monkeypatch):
    good = tmp_path / "resume/good.safetensors"
    with dying(monkeypatch, 100):
        train(data, tmp_path, WINS, epochs=40, on_collapse="rewind")
    good.write_bytes(good.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"judge total is .*good\.safetensors is no good state; delete .*resume and"):
        train(data, tmp_path, WINS, epochs=40, on_collapse="rewind")


class Killed(BaseException):
    """The process is gone: nothing more is written."""


@contextmanager
def dying(monkeypatch, calls: int, method: str = "_train_on", owner: type = Trainer) -> Iterator[None]:
    """A training dies before so many calls of a method."""
    called, whole = itertools.count(1), getattr(owner, method)

    def call_or_die(self, *args):
        if next(called) == calls:
            raise Killed
        return whole(self, *args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, method, call_or_die)
        yield


def content(out: Path) -> dict[str, bytes]:
    """Return the files of a training by name, and its curves."""
    names = ("generator.safetensors", "generator.json", "curves.parquet")
    return {name: (out / name).read_bytes() for name in names} | {
        path.name: path.read_bytes() for path in (out / "resume").iterdir()
    }


@pytest.fixture(scope="module")
def rewound(data, tmp_path_factory) -> Path:
    """A training that went back once, which nothing has interrupted."""
    folder = tmp_path_factory.mktemp("rewound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systems, "__path__", [*systems.__path__, str(Path(__file__).parent / "systems")])
        train(data, folder, WINS, epochs=40, save_every=6, ema=0.5, on_collapse="rewind")
    return folder


BACK = 110  # steps until it goes back, as the test makes sure


@pytest.mark.parametrize(
    "death",
    [
        pytest.param((BACK - 3,), id="when the judge was winning"),
        pytest.param((1, "go_back", LiveCurves), id="while it went back"),
        pytest.param((BACK + 1,), id="when it had just gone back"),
        pytest.param((BACK + 75,), id="long after"),
    ],
)
def test_a_training_killed_before_or_after_it_went_back_ends_with_the_same_bytes(
    data, rewound, tmp_path, monkeypatch, death
):
    assert [rewind["at"] for rewind in sidecar(rewound)["rewinds"]] == [BACK]
    loop = {"epochs": 40, "save_every": 6, "ema": 0.5, "on_collapse": "rewind"}
    with dying(monkeypatch, *death):
        train(data, tmp_path, WINS, **loop)
    assert not (tmp_path / "generator.safetensors").exists()
    train(data, tmp_path, WINS, **loop)
    assert content(tmp_path) == content(rewound)


def test_a_good_state_keeps_its_distance_from_the_limits(rewound):
    """It is the newest end of an epoch with at least twice the loss that is the limit; it is a state like others."""
    with safe_open(rewound / "resume/good.safetensors", "pt") as file:
        step = json.loads(file.metadata()["state"][64:])["step"]
    values = dict(curve(rewound, "train", "judge total"))
    assert step % EPOCH == 0 and values[step] >= 0.6
    assert not any(value >= 0.6 for later, value in values.items() if later >= step + 6 + EPOCH and later % EPOCH == 0)
