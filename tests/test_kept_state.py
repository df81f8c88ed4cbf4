"""What a checkpoint holds: the best or the last state, of a whole network or of adapters on a base model.

A tiny system of the tests (`systems/adapted`) goes through the real stage. It learns to add a change to a linear layer.
In the watched items only half of that change is wanted, so that its best state lies in the middle of the training.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from workflow_scripts import systems
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import sha256_of
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import TRAINING, read_table, write_table
from workflow_scripts.stages.experiments.train_network import train_network
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.data import Items
from workflow_scripts.training.device import warn_if_busy
from workflow_scripts.training.loop import Trainer
from workflow_scripts.training.system import Score

WIDTH, TRAINED, WATCHED = 8, 16, 6
CPU = torch.device("cpu")
EPOCH = TRAINED // 4  # steps


@pytest.fixture(autouse=True)
def adapted(monkeypatch) -> None:
    """The system `adapted` can be imported like those of the project."""
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(Path(__file__).parent / "systems")])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with `base.safetensors`, a shard of float columns, and its table of splits."""
    folder = tmp_path_factory.mktemp("latents")
    rng = np.random.default_rng(0)
    base = rng.normal(0, 0.3, (WIDTH, WIDTH)).astype(np.float32)
    change = (rng.normal(0, 0.5, (WIDTH, 2)) @ rng.normal(0, 0.5, (2, WIDTH))).astype(np.float32)
    save_file({"weight": torch.from_numpy(base)}, folder / "base.safetensors")
    rows, splits = [], []
    for number in range(TRAINED + WATCHED):
        split, share = ("train", 1.0) if number < TRAINED else ("val", 0.5)
        latent = rng.normal(0, 1, WIDTH).astype(np.float32)
        rows.append({"item": f"{number:02d}", "latent": latent, "wanted": (base + np.float32(share) * change) @ latent})
        splits.append({"source": "made", "item": f"{number:02d}", "split": split})
    columns = {"item": pa.string(), "latent": (np.float32, (WIDTH,)), "wanted": (np.float32, (WIDTH,))}
    write_shard(folder / "latents/made/00000.arrow", rows, columns)
    write_table(folder / "training.parquet", splits, TRAINING)
    write_table(folder / "unwatched.parquet", splits[:TRAINED], TRAINING)
    return folder


def train(data: Path, out: Path, splits: str = "training.parquet", **loop) -> Path:
    from workflow_scripts.systems.adapted.config import Experiment

    train_network(
        experiment=Experiment(system="adapted", layer={"training": loop}),
        network="layer",
        seed=1,
        splits=data / splits,
        shards=[data / "latents/made/00000.arrow"],
        weights=[data / "base.safetensors"],
        output=out / "layer.safetensors",
        sidecar=out / "layer.json",
        curves=out / "curves.parquet",
        previews=out / "previews",
        resume=out / "resume",
        live=out / "live",
        code="code:code,lock:lock",
    )
    return out / "layer.safetensors"


def sidecar(checkpoint: Path) -> dict:
    return json.loads(checkpoint.with_suffix(".json").read_text())


def errors(out: Path) -> dict[int, float]:
    """Return step -> error of the watched items."""
    curves = read_table(out / "curves.parquet")
    return curves[(curves["split"] == "val") & (curves["name"] == "error")].set_index("step")["value"].to_dict()


def error_of(checkpoint: Path, data: Path) -> float:
    """Return the error of a checkpoint's network on the watched items."""
    network = load_network(checkpoint, CPU, {"base": data / "base.safetensors"})
    shard = Shard(data / "latents/made/00000.arrow")
    latent, wanted = (
        torch.from_numpy(shard.tensors(name, range(TRAINED, len(shard)))) for name in ("latent", "wanted")
    )
    with torch.inference_mode():
        return (network(latent) - wanted).square().mean().item()


@pytest.mark.parametrize("ema", [0, 0.5])
def test_the_best_state_is_kept_and_described(data, tmp_path, capfd, ema):
    checkpoint = train(data, tmp_path, ema=ema)
    found = errors(tmp_path)
    best = min(found, key=found.get)
    assert EPOCH < best < max(found) and found[best] < 0.8 * found[max(found)]
    assert sidecar(checkpoint)["kept"] == {"step": best, "score": "error", "value": found[best]}
    assert sidecar(checkpoint)["steps"] == 12 * EPOCH
    assert error_of(checkpoint, data) == pytest.approx(found[best], rel=1e-5)
    assert f"layer: the state of step {best} of {12 * EPOCH} is kept: error" in capfd.readouterr().err


def test_the_last_state_is_kept_where_that_is_wanted(data, tmp_path, capfd):
    checkpoint = train(data, tmp_path, keep="last")
    found = errors(tmp_path)
    assert sidecar(checkpoint)["kept"] == {"step": 12 * EPOCH, "score": "error", "value": found[12 * EPOCH]}
    assert error_of(checkpoint, data) == pytest.approx(found[12 * EPOCH], rel=1e-5)
    assert "is kept, as configured" in capfd.readouterr().err


def test_without_watched_items_the_last_state_is_kept_and_one_line_says_so(data, tmp_path, capfd):
    checkpoint = train(data, tmp_path / "best", "unwatched.parquet", patience=1)
    assert sidecar(checkpoint)["kept"] == {"step": 12 * EPOCH, "score": "error", "value": None}
    assert capfd.readouterr().err.count("is kept, as none was judged: no item is watched\n") == 1
    last = train(data, tmp_path / "last", "unwatched.parquet", keep="last")
    assert checkpoint.read_bytes() == last.read_bytes()


@pytest.mark.parametrize("keep", ["best", "last"])
def test_patience_ends_a_training_and_more_of_it_continues_it(data, tmp_path, keep):
    impatient = train(data, tmp_path / "parts", keep=keep, patience=2)
    found = errors(tmp_path / "parts")
    best = min(found, key=found.get)
    assert sidecar(impatient)["steps"] == max(found) == best + 2 * EPOCH < 12 * EPOCH
    assert sidecar(impatient)["kept"]["step"] == (best if keep == "best" else max(found))

    whole = train(data, tmp_path / "whole", keep=keep, patience=4)
    assert sidecar(whole)["steps"] == best + 4 * EPOCH
    again = train(data, tmp_path / "parts", keep=keep, patience=4)
    assert again.read_bytes() == whole.read_bytes()


class Killed(BaseException):
    """The process is gone: nothing more is written."""


@pytest.mark.parametrize(("ema", "schedule"), [(0, "constant"), (0.5, "constant"), (0, "cosine")])
def test_a_training_killed_before_or_after_its_best_state_ends_with_the_same_bytes(
    data, tmp_path, monkeypatch, ema, schedule
):
    """Its last state was saved in the middle of an epoch, three steps before."""
    loop = {"ema": ema, "schedule": schedule, "patience": 4, "save_every": 3}
    whole = train(data, tmp_path / "whole", **loop)
    best, steps = sidecar(whole)["kept"]["step"], sidecar(whole)["steps"]
    train_on = Trainer._train_on
    for death in {best - 2, min(best + 5, steps - 1), steps - 1}:

        def train_or_die(self, *args, death=death):
            if self.step == death:
                raise Killed
            train_on(self, *args)

        out = tmp_path / str(death)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Trainer, "_train_on", train_or_die)
            train(data, out, **loop)
        assert not (out / "layer.safetensors").exists()
        parts = train(data, out, **loop)
        assert parts.read_bytes() == whole.read_bytes()
        assert sidecar(parts) == sidecar(whole)
        assert errors(out) == errors(tmp_path / "whole")


def test_more_epochs_continue_a_training_and_its_best_state(data, tmp_path):
    """At twelve epochs the best state lies behind: it must come from the first part."""
    whole = train(data, tmp_path / "whole", epochs=15)
    train(data, tmp_path / "parts", epochs=12)
    parts = train(data, tmp_path / "parts", epochs=15)
    assert sidecar(parts)["kept"]["step"] < 12 * EPOCH
    assert parts.read_bytes() == whole.read_bytes()


def test_only_the_adapters_are_saved_and_the_base_is_named(data, tmp_path):
    checkpoint = train(data, tmp_path)
    assert load_file(checkpoint).keys() == {"down.weight", "up.weight"}
    digest = sha256_of(data / "base.safetensors")
    assert sidecar(checkpoint)["bases"] == {"base": {"file": "base.safetensors", "sha256": digest}}
    assert sidecar(checkpoint)["shapes"] == {"latent": [WIDTH], "wanted": [WIDTH]}
    assert not any("base" in name for name in load_file(tmp_path / "resume/state.safetensors"))
    network = load_network(checkpoint, CPU, {"base": data / "base.safetensors"})
    assert torch.equal(network.base.weight, load_file(data / "base.safetensors")["weight"])


def test_a_base_that_is_absent_or_another_file_is_named_with_the_remedy(data, tmp_path):
    checkpoint = train(data, tmp_path, epochs=1)
    digest = sha256_of(data / "base.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.eye(WIDTH)}, other)
    for weights, wrong in (
        ({}, "no file was given for it; "),
        ({"base": tmp_path / "gone.safetensors"}, f"there is no {tmp_path / 'gone.safetensors'}; put that file there"),
        ({"base": other}, f"{other} has {sha256_of(other)}; put the right file there, or train the adapters again"),
    ):
        with pytest.raises(UserError) as raised:
            load_network(checkpoint, CPU, weights)
        assert str(raised.value).count("\n") == 0
        assert f"a file base.safetensors of SHA-256 {digest}, but {wrong}" in str(raised.value)


def test_adapters_of_another_shape_or_with_a_tensor_too_few_are_refused(data, tmp_path):
    checkpoint = train(data, tmp_path, epochs=1)
    tensors = load_file(checkpoint)
    for wrong in ({"down.weight": tensors["down.weight"]}, tensors | {"up.weight": torch.zeros(WIDTH, 3)}):
        save_file(wrong, checkpoint)
        with pytest.raises(UserError, match=r"up\.weight.*delete both and train again"):
            load_network(checkpoint, CPU, {"base": data / "base.safetensors"})


def test_rates_of_several_groups_all_fall_as_the_schedule_says(data, tmp_path, monkeypatch):
    seen = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self, *args: (seen.append([group["lr"] for group in self.param_groups]), step(self, *args))[1],
    )
    train(data, tmp_path, schedule="cosine", epochs=2)
    assert seen[0] == [1e-2, 2e-2]
    assert all(up == pytest.approx(2 * down) for down, up in seen)
    assert seen[-1][0] < 1e-3


def test_columns_may_have_any_shape_but_the_same_in_all_shards(tmp_path):
    for name, width in (("a", 3), ("b", 4)):
        columns = {"item": pa.string(), "text": (np.float32, (2, width)), "latent": (np.float32, (5,))}
        row = {"item": name, "text": np.ones((2, width), np.float32), "latent": np.zeros(5, np.float32)}
        write_shard(tmp_path / name / "00000.arrow", [row], columns)
    paths = [tmp_path / name / "00000.arrow" for name in ("a", "b")]
    wanted = {("a", "a"), ("b", "b")}
    items = Items({"latent": paths}, wanted)
    assert items.gather([0, 1], CPU)["latent"].shape == (2, 5)
    assert Items({"latent": paths[:1], "text": paths[:1]}, {("a", "a")}).shapes() == {"latent": [5], "text": [2, 3]}
    with pytest.raises(UserError, match=r"column 'text' has items of shape \(2, 3\) in .*a/00000.arrow and \(2, 4\)"):
        Items({"latent": paths, "text": paths}, wanted)


def test_the_best_of_scores_is_the_first_of_equals_and_a_number():
    values = {1: 2.0, 2: 5.0, 3: float("nan"), 4: 5.0, 5: float("inf")}
    assert Score("psnr", higher_is_better=True).best(values) == 2
    assert Score("error", higher_is_better=False).best(values) == 1
    assert Score("error", higher_is_better=False).best({1: float("nan")}) is None


@pytest.mark.parametrize(("threads", "load", "said"), [(2, 1.5, True), (2, 0.2, False), (1, 4.0, False)])
def test_several_threads_on_a_busy_machine_are_named(monkeypatch, capsys, threads, load, said):
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    warn_if_busy(threads)
    assert ("this machine is busy" in capsys.readouterr().err) == said
