"""Training: both networks learn, a run that was cut goes on bit for bit, and what cannot work is named."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from tensorboardX.proto.event_pb2 import Event
from test_augmentation import flipped

from workflow_scripts.config.training import Training
from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.models.vgg19 import VGG19
from workflow_scripts.stages.experiments.train_network import main
from workflow_scripts.systems._removal.maps import difference_map
from workflow_scripts.systems.unmask.config import Experiment
from workflow_scripts.systems.unmask.inference import load_network
from workflow_scripts.training.augmentation import augment
from workflow_scripts.training.data import Items, epoch_batches, to_float
from workflow_scripts.training.losses import ssim_map

ROOT = Path(__file__).parent.parent
TRAIN = "workflow_scripts.stages.experiments.train_network"
SIDE, TRAINED, WATCHED = 32, 24, 8
SMALL = {"blocks": 5, "channels": 8, "max_channels": 16}
CPU = torch.device("cpu")
LOOP = {"batch_size": 8, "learning_rate": 2e-3, "precision": "fp32", "schedule": "constant", "flip": True, "threads": 1}
MAP = {"unet": SMALL | {"dropout": [0.1]}, "training": LOOP | {"epochs": 4, "jitter": 0.1}}
EDIT = {
    "unet": SMALL | {"atrous": True, "squeeze_excitation": [1]},
    "perceptual": "none",
    "discriminator_channels": 8,
    "training": LOOP | {"epochs": 4, "ema": 0.9, "clip": 100.0},
}
FLOW = {"cell": 2, "mean": SMALL | {"blocks": 3}, "detail": SMALL, "unet": {"channels": [8, 16], "blocks": 1}}
SAMPLE = EDIT | {"sampling": FLOW | {"perceptual": "none", "steps": 3}}


@pytest.fixture(scope="module")
def shards(astronaut_module, tmp_path_factory) -> Path:
    """A folder with `splits.parquet`, and `pairs` and `maps` shards of views of a portrait with a blue patch."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(TRAINED + WATCHED):
        top, left, side = rng.integers(0, 200), rng.integers(0, 200), rng.integers(150, 300)
        view = astronaut_module[top : top + side, left : left + side]
        target = cv2.resize(view, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        occluded = target.copy()
        row, column = rng.integers(4, 16, 2)
        occluded[row : row + 10, column : column + 10] = (40, 90, 200)
        found = difference_map(occluded, target)
        rows.append({"item": f"{index:02d}", "variant": 0, "input": occluded, "target": target, "map": found})
    picture, plane = (np.uint8, (SIDE, SIDE, 3)), (np.uint8, (SIDE, SIDE))
    columns = {"item": pa.string(), "variant": pa.int32(), "input": picture, "target": picture, "map": plane}
    for number in range(2):  # two shards: an item's shard must not matter
        write_shard(folder / f"pairs/astronaut/0000{number}.arrow", rows[number::2], columns)
        maps = ({name: row[name] for name in ("item", "variant", "map")} for row in rows[number::2])
        write_shard(
            folder / f"maps/astronaut/0000{number}.arrow",
            maps,
            {"item": pa.string(), "variant": pa.int32(), "map": plane},
        )
    splits = [
        {"source": "astronaut", "item": row["item"], "split": "train" if index < TRAINED else "val"}
        for index, row in enumerate(rows)
    ]
    write_table(folder / "splits.parquet", splits, pa.schema([(name, pa.string()) for name in splits[0]]))
    return folder


@pytest.fixture(scope="module")
def astronaut_module() -> np.ndarray:
    from skimage import data

    return data.astronaut()


def arguments(shards: Path, out: Path, network: str, config: dict) -> list[str]:
    experiment = {"system": "unmask", "train": ["astronaut"], "test": ["astronaut"], network: config}
    return [
        *("--experiment", json.dumps(experiment), "--network", network, "--seed", "1"),
        *("--splits", str(shards / "splits.parquet"), "--code", "code:digest,lock:digest"),
        *("--shards", *map(str, sorted(shards.glob("*/*/*.arrow")))),
        *("--output", str(out / "checkpoints" / f"{network}.safetensors")),
        *("--sidecar", str(out / "checkpoints" / f"{network}.json")),
        *(
            "--curves",
            str(out / "curves.parquet"),
            "--previews",
            str(out / "previews"),
            "--resume",
            str(out / "resume"),
            "--live",
            str(out / "live"),
        ),
    ]


def with_loop(config: dict, **keys) -> dict:
    return config | {"training": config["training"] | keys}


def weights(out: Path, network: str) -> dict[str, torch.Tensor]:
    return load_file(out / "checkpoints" / f"{network}.safetensors")


def assert_same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize(
    ("network", "config", "score"), [("map", MAP, "cross_entropy"), ("edit", EDIT, "l1"), ("edit", SAMPLE, "flow")]
)
def test_training_lowers_the_loss_and_leaves_all_its_files(shards, tmp_path, network, config, score):
    main(arguments(shards, tmp_path, network, with_loop(config, epochs=12)))

    curves = read_table(tmp_path / "curves.parquet")
    watched = curves[(curves["split"] == "val") & (curves["name"] == score)].sort_values("epoch")["value"].to_list()
    assert len(watched) == 12
    assert watched[-1] < 0.8 * watched[0]
    if config is EDIT:  # the mask discriminator joins after half of the 36 steps
        judged = curves.groupby("name")["step"].min()
        assert judged["whole total"] == 3
        assert judged["mask total"] > 18

    preview = cv2.imread(str(tmp_path / "previews/epoch_0012.png"))
    columns = {"cross_entropy": 3, "l1": 5, "flow": 6}[score]
    assert preview.shape == (6 * (SIDE + 2) - 2, columns * (SIDE + 2) - 2, 3)
    sidecar = json.loads((tmp_path / f"checkpoints/{network}.json").read_text())
    assert Experiment(**sidecar["config"]).system == "unmask"
    assert sidecar["steps"] == 36
    assert all(len(digest) == 64 for digest in sidecar["inputs"].values())
    assert sidecar["libraries"]["torch"] == torch.__version__


def test_the_published_losses_train_in_bf16(shards, tmp_path):
    """VGG19 (of random weights here), both discriminators, minimax; grey maps with Dice."""
    save_file(VGG19().state_dict(), tmp_path / "vgg19.safetensors")
    losses = {"perceptual": 1, "hole": 1, "composite": False, "adversarial": "minimax"}
    config = with_loop(EDIT, epochs=1, precision="bf16") | {"perceptual": "vgg19", "losses": losses, "mask_start": 0}
    main([*arguments(shards, tmp_path, "edit", config), "--weights", str(tmp_path / "vgg19.safetensors")])
    curves = read_table(tmp_path / "curves.parquet")
    found = curves[curves["split"] == "train"].set_index("name")["value"]
    parts = found[["edit l1", "edit ssim", "edit perceptual"]]
    assert (parts > 0).all()
    total = 100 * parts.sum() + 0.3 * found["edit whole"] + 0.7 * found["edit mask"]
    assert found["edit total"] == pytest.approx(total, rel=1e-4)
    assert found["edit whole"] < 0  # minimax: log(1 - D)

    main(
        arguments(shards, tmp_path, "map", with_loop(MAP, epochs=1, precision="bf16") | {"channels": "grey", "dice": 1})
    )
    assert weights(tmp_path, "map")["unet.encoder.0.0.0.weight"].shape == (8, 1, 3, 3)


@pytest.mark.parametrize(("network", "config"), [("map", MAP), ("edit", EDIT)])
def test_a_training_goes_on_bit_for_bit_and_more_epochs_continue_it(shards, tmp_path, network, config):
    """4 epochs, and 2 raised to 4: dropout, augmentation, averages and moments must all match."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    config = config | {"losses": {"hole": 3}, "mask_start": 0} if network == "edit" else config
    main(arguments(shards, whole, network, config))
    main(arguments(shards, parts, network, with_loop(config, epochs=2)))
    halfway = weights(parts, network)
    main(arguments(shards, parts, network, config))

    assert_same(weights(whole, network), weights(parts, network))
    assert any(not torch.equal(halfway[name], value) for name, value in weights(whole, network).items())
    sidecar = json.loads((parts / f"checkpoints/{network}.json").read_text())
    assert sidecar["epochs"] == [2, 4]  # a schedule that looks ahead depends on both
    assert read_table(whole / "curves.parquet").equals(read_table(parts / "curves.parquet"))


LONG = with_loop(MAP, schedule="cosine", epochs=25, save_every=7)


@pytest.fixture(scope="module")
def whole(shards, tmp_path_factory) -> Path:
    """A training of LONG that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    main(arguments(shards, folder, "map", LONG))
    return folder


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_training_goes_on_from_its_last_state(shards, whole, tmp_path, capfd, kill):
    """A signal in the middle of an epoch, at a step that no setting names."""
    killed = tmp_path / "killed"

    command = [
        sys.executable,
        "-m",
        TRAIN,
        *arguments(shards, killed, "map", LONG),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (killed / "resume/state.safetensors").is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(kill)
    if kill == signal.SIGTERM:
        assert process.wait() == 1
        assert "error: stopped at step" in process.stderr.read()
    else:
        assert process.wait() == -kill
    assert not (killed / "checkpoints").exists()

    main(arguments(shards, killed, "map", LONG))
    assert "map: going on from step" in capfd.readouterr().err
    assert_same(weights(whole, "map"), weights(killed, "map"))
    assert read_table(whole / "curves.parquet").equals(read_table(killed / "curves.parquet"))


def test_a_state_of_other_settings_is_named_and_not_mixed_in(shards, tmp_path, capfd):
    used, fresh = tmp_path / "used", tmp_path / "fresh"
    main(arguments(shards, used, "map", with_loop(MAP, epochs=1)))
    other = with_loop(MAP, epochs=1, learning_rate=1e-3)
    main(arguments(shards, used, "map", other))
    assert "is of other settings, data or code: starting afresh" in capfd.readouterr().err
    main(arguments(shards, fresh, "map", other))
    assert_same(weights(used, "map"), weights(fresh, "map"))


OTHER = {
    "code": ("--code", "code:other,lock:digest"),
    "libraries": ("--code", "code:digest,lock:other"),
    "seed": ("--seed", "2"),
}


@pytest.mark.parametrize("option, value", OTHER.values(), ids=OTHER)
def test_other_code_libraries_or_seed_start_afresh(shards, tmp_path, capfd, option, value):
    command = arguments(shards, tmp_path, "map", with_loop(MAP, epochs=1))
    main(command)
    main([*command, option, value])
    assert "starting afresh" in capfd.readouterr().err


def test_a_finished_training_taken_up_again_writes_the_same_files(shards, tmp_path):
    command = arguments(shards, tmp_path, "map", with_loop(MAP, epochs=1))
    main(command)
    checkpoint = tmp_path / "checkpoints/map.safetensors"
    first = checkpoint.read_bytes()
    for path in [checkpoint, *tmp_path.glob("previews/*")]:
        path.unlink()
    main(command)
    assert checkpoint.read_bytes() == first
    assert [path.name for path in tmp_path.glob("previews/*")] == ["epoch_0001.png"]


def damage_state(data: bytes, change: str) -> bytes:
    """Return a resume state cut off, with another step, without a tensor, or with one changed bit of a tensor."""
    if change == "cut":
        return data[: len(data) // 2]
    if change == "bit":
        return data[:-1] + bytes([data[-1] ^ 1])
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    if change == "step":
        state = header["__metadata__"]["state"]
        header["__metadata__"]["state"] = re.sub(r'"step": \d+', '"step": -5', state, count=1)
    else:
        last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"])
        data = data[: 8 + size + header.pop(last)["data_offsets"][0]]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


@pytest.mark.parametrize("change", ["cut", "bit", "step", "tensor"])
def test_a_damaged_state_is_named_and_not_used(shards, whole_map, tmp_path, capfd, change):
    state = tmp_path / "resume/state.safetensors"
    state.parent.mkdir()
    state.write_bytes(damage_state((whole_map / "resume/state.safetensors").read_bytes(), change))
    main(arguments(shards, tmp_path, "map", with_loop(MAP, epochs=1)))
    assert "is damaged: starting afresh" in capfd.readouterr().err
    assert_same(weights(tmp_path, "map"), weights(whole_map, "map"))


def test_a_loss_that_is_not_finite_stops_with_step_network_and_loss(shards, tmp_path):
    config = with_loop(MAP, learning_rate=1e30, save_every=1)
    command = [
        sys.executable,
        "-m",
        TRAIN,
        *arguments(shards, tmp_path, "map", config),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: step ")
    assert "of network 'map' is" in line
    assert "learning_rate" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "checkpoints").exists()
    header_and_weights = load_file(tmp_path / "resume/state.safetensors")
    assert all(value.isfinite().all() for name, value in header_and_weights.items() if name.startswith("network"))


def test_absent_weights_end_with_one_line(shards, tmp_path):
    config = EDIT | {"perceptual": "efficientnet_lite0"}
    absent = tmp_path / "efficientnet_lite0.safetensors"
    with pytest.raises(UserError, match="no weights at"):
        main([*arguments(shards, tmp_path, "edit", config), "--weights", str(absent)])


def test_nothing_to_train_on_ends_with_one_line(shards, tmp_path):
    command = arguments(shards, tmp_path, "map", MAP)
    write_table(tmp_path / "splits.parquet", read_table(shards / "splits.parquet").assign(split="test"))
    command[command.index("--splits") + 1] = str(tmp_path / "splits.parquet")
    with pytest.raises(UserError, match="no `train` item"):
        main(command)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_device_falls_back_loudly_and_is_refused_where_it_is_demanded(shards, tmp_path, capfd):
    command = [*arguments(shards, tmp_path, "map", with_loop(MAP, epochs=1)), "--gpus", "1"]
    main(command)
    assert "device: CPU, SLOW" in capfd.readouterr().err
    with pytest.raises(UserError, match="no CUDA device"):
        main(arguments(shards, tmp_path, "map", with_loop(MAP, device="cuda")))


def test_a_training_killed_while_it_drew_its_last_curves_draws_them_again(shards, tmp_path):
    main(arguments(shards, tmp_path, "map", MAP))
    (tmp_path / "live/curves.png").rename(tmp_path / "live/.curves.png.killed.part")
    main(arguments(shards, tmp_path, "map", MAP))
    assert (tmp_path / "live/curves.png").is_file()
    assert not list(tmp_path.rglob("*.part"))


def test_a_training_can_be_watched_in_tensorboard_and_as_a_picture(shards, tmp_path):
    for epochs in (2, 3):  # the second continues the first
        main(arguments(shards, tmp_path, "map", with_loop(MAP, epochs=epochs)))
    chart = cv2.imread(str(tmp_path / "live/curves.png"))
    assert chart.min() < 50 and chart.max() == 255

    found = {}
    for file in sorted((tmp_path / "live").glob("events*")):
        for record in records(file):
            found |= {(value.tag, record.step): value.simple_value for value in record.summary.value}
    watched = read_table(tmp_path / "curves.parquet")
    watched = watched[(watched["split"] == "val") & (watched["name"] == "iou")]
    assert len(watched) == 3
    for row in watched.itertuples():
        assert found["iou/val", row.step] == pytest.approx(row.value)


def records(path: Path) -> list[Event]:
    """Read TensorBoard's file: length, its checksum, content, its checksum."""
    content, events = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events


@pytest.fixture(scope="module")
def whole_map(shards, tmp_path_factory) -> Path:
    """Return the folder of a finished training of one epoch."""
    folder = tmp_path_factory.mktemp("whole_map")
    main(arguments(shards, folder, "map", with_loop(MAP, epochs=1)))
    return folder


def spoil(change: str, sidecar: dict) -> str:
    """Return a sidecar's text with a fault."""
    if change == "a list":
        return "[]"
    if change == "a family":
        return json.dumps(sidecar | {"system": "_removal"})
    if change == "infinite":
        return json.dumps(sidecar).replace('"channels": ', '"channels": 1e400, "was": ', 1)
    return json.dumps({name: value for name, value in sidecar.items() if name != "config"})


@pytest.mark.parametrize("change", ["cut", "not finite", "a list", "a family", "infinite", "no config"])
def test_a_damaged_checkpoint_is_named(whole_map, tmp_path, change):
    checkpoint, sidecar = (Path(shutil.copy(file, tmp_path)) for file in sorted(whole_map.glob("checkpoints/*"))[::-1])
    assert checkpoint.suffix == ".safetensors"
    if change == "cut":
        os.truncate(checkpoint, 1000)
    elif change == "not finite":
        tensors = load_file(checkpoint)
        save_file({name: value / 0 for name, value in tensors.items()}, checkpoint)
    else:
        sidecar.write_text(spoil(change, json.loads(sidecar.read_text())))
    with pytest.raises(UserError, match="delete both and train again") as caught:
        load_network(checkpoint, CPU)
    assert "\n" not in str(caught.value)


def test_order_and_augmentation_depend_on_the_item_alone(shards):
    columns = {"input": sorted(shards.glob("pairs/*/*.arrow")), "map": sorted(shards.glob("maps/*/*.arrow"))}
    everything = {("astronaut", f"{index:02d}") for index in range(TRAINED)}
    items, fewer = Items(columns, everything), Items(columns, everything - {("astronaut", "03")})

    def order(chosen: Items) -> list[str]:
        return [chosen.keys[position].item for batch in epoch_batches(chosen, 1, 1, 0) for position in batch]

    assert [item for item in order(items) if item != "03"] == order(fewer)
    assert order(items) != [item for batch in epoch_batches(items, 1, 1, 1) for item in batch]

    together = to_float(items.gather([4, 7], CPU))
    alone = to_float(items.gather([7], CPU))
    chosen = Training(flip=True, jitter=0.3, enlarge=1.2)
    together = augment(together, [items.keys[4], items.keys[7]], 1, 2, chosen, flipped)
    alone = augment(alone, [items.keys[7]], 1, 2, chosen, flipped)
    assert torch.equal(together["input"][1:], alone["input"])
    assert torch.equal(together["map"][1:], alone["map"])


def test_columns_are_joined_by_item_and_an_incomplete_join_is_named(shards, tmp_path):
    pairs = sorted(shards.glob("pairs/*/*.arrow"))
    maps = sorted(shards.glob("maps/*/*.arrow"))
    wanted = {("astronaut", "05"), ("astronaut", "10")}
    joined = Items({"input": pairs, "map": maps[::-1]}, wanted).gather([0, 1], CPU)
    assert torch.equal(joined["map"], Items({"map": pairs}, wanted).gather([0, 1], CPU)["map"])
    with pytest.raises(UserError, match=r"astronaut/05/0 has no 'map'"):
        Items({"input": pairs, "map": maps[:1]}, wanted)


def test_ssim_is_scikit_images(astronaut):
    from skimage.metrics import structural_similarity

    noisy = np.clip(astronaut + np.random.default_rng(0).normal(0, 20, astronaut.shape), 0, 255).astype(np.uint8)
    expected = structural_similarity(
        astronaut, noisy, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    first, second = (torch.from_numpy(x).permute(2, 0, 1)[None].float() / 127.5 - 1 for x in (astronaut, noisy))
    assert ssim_map(first, second).mean().item() == pytest.approx(expected, abs=1e-5)
