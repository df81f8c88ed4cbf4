"""Stage: train one network of a system, from tensor shards to a checkpoint with its curves and previews."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.sources import Crop
from workflow_scripts.core import cli
from workflow_scripts.core.files import sha256_of
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Inputs, Output, OutputFolder, stage_command
from workflow_scripts.systems import system_module
from workflow_scripts.training.checkpoint import describe_bases, save_checkpoint
from workflow_scripts.training.data import Items
from workflow_scripts.training.device import choose_device, tune, use_bf16, warn_if_busy
from workflow_scripts.training.loop import Places, Trainer
from workflow_scripts.training.state import stamp
from workflow_scripts.training.world import World, start_world

WATCHED = 512  # validation items at most, so that watching does not cost more than training
NO_CROPS: dict[str, Crop] = {}


def train_network(
    experiment: BaseExperiment,
    network: str,
    seed: int,
    splits: Input,
    shards: Inputs,
    output: Output,
    sidecar: Output,
    curves: Output,
    previews: OutputFolder,
    resume: Path,
    live: Path,
    code: str,
    weights: Inputs = (),
    gpus: int = 0,
    crops: dict[str, Crop] = NO_CROPS,
) -> None:
    """Train one network and write its checkpoint.

    Args:
        experiment: of the system; the keys `keys_of(network)` are used, and `applied_keys` noted in the sidecar.
        network: one of `experiment.networks`.
        seed: of the configuration.
        splits: the experiment's training table: `train` items are trained on, `val` items watched.
        shards: `…/{kind}/{source}/{shard}.arrow`, all of every kind that `experiment.kinds_of(network)` names.
        output: the checkpoint.
        sidecar: JSON beside the checkpoint: what made it, and how the network is built.
        curves: table of losses and scores by step.
        previews: folder of pictures of validation items.
        resume: folder of the resume state.
        live: folder of what can be watched while the training runs.
        code: digests of the stage's code and of the lock file.
        weights: files of pretrained networks; a file's stem is the network's name.
        gpus: GPUs that the job was given; of several, each gets a process and a share of every batch.
        crops: source that is trained on -> how its faces were cut out, which the sidecar tells.

    Raises:
        UserError: no item to train on, weights absent, no device, a training that has failed.
    """
    with start_world(gpus) as world, tempfile.TemporaryDirectory() as nowhere:
        places = Places(curves, previews, resume, live)
        if not world.is_first:  # it writes the same, which nobody reads
            unread = Path(nowhere)
            places = Places(unread / "curves.parquet", unread / "previews", resume, unread / "live")
        trained, description = _train(world, experiment, network, seed, splits, shards, places, code, weights, gpus)
        if not world.is_first:
            sys.exit()
        cut = {name: crop.model_dump(mode="json") for name, crop in crops.items()}
        save_checkpoint(output, sidecar, trained, description | {"crops": cut})


def _train(
    world: World,
    experiment: BaseExperiment,
    network: str,
    seed: int,
    splits: Path,
    shards: Sequence[Path],
    places: Places,
    code: str,
    weights: Sequence[Path],
    gpus: int,
) -> tuple[nn.Module, dict]:
    """Return the trained network, and what its sidecar says."""
    settings, seed = experiment.settings_of(network).training, experiment.seed_of(network, seed)
    device = choose_device(settings.device, gpus, settings.threads)
    warn_if_busy(settings.threads)
    tune(device, settings.deterministic)
    torch.manual_seed(stable_hash(seed, network) % 2**63)
    training = system_module(experiment.system, "training")
    system = training.build_system(network, experiment, {path.stem: path for path in weights})

    table = read_table(splits, ["source", "item", "split"])
    chosen = {split: set(zip(rows["source"], rows["item"], strict=True)) for split, rows in table.groupby("split")}
    columns = {
        column: [path for path in shards if path.parent.parent.name == kind] for column, kind in system.columns.items()
    }
    train = Items(columns, chosen.get("train", set()))
    val = Items(columns, _some(chosen.get("val", set())))
    if not len(train):
        raise cli.UserError(f"no `train` item of {splits} is in the shards; check `train:` and `split:`")
    if settings.batch_size % (world.size * settings.accumulate) or len(train) < world.size:
        raise cli.UserError(
            f"`batch_size: {settings.batch_size}` of {len(train)} items cannot be shared by {world.size} GPUs with "
            f"`accumulate: {settings.accumulate}`; write a multiple of their product"
        )
    if system.keeps_items and train.keep_on(device) and val.keep_on(device):
        print(f"all {len(train)} training items are on the GPU", file=sys.stderr)

    used = dict.fromkeys([splits, *(path for paths in columns.values() for path in paths), *weights])
    # Names begin below the experiment's folder, so that two experiments with the same inputs have equal checkpoints.
    inputs = {os.path.relpath(path, splits.parent): sha256_of(path) for path in used}
    keys = experiment.keys_of(network)
    config = experiment.slice(*keys, *experiment.applied_keys)
    endless = {experiment.key_of(network): _without_end(experiment.settings_of(network))}
    unchanged = experiment.model_copy(update=endless).slice(*keys)
    bf16 = use_bf16(settings.precision, device)
    same = stamp(unchanged, network, str(seed), code, str(bf16), *inputs.values())
    trainer = Trainer(system, settings, train, val, seed, device, bf16, places, same, world)
    trained = trainer.run()
    return trained, {
        "system": experiment.system,
        "network": network,
        "config": experiment.model_validate_json(config).model_dump(mode="json"),
        "seed": seed,
        "shapes": train.shapes(),
        "steps": trainer.step,
        "epochs": trainer.epochs,
        "kept": trainer.kept,
        "rewinds": trainer.health.rewinds,
        "bases": describe_bases(system.bases),
        "device": device.type,
        "precision": "bf16" if bf16 else "fp32",
        "code": code,
        "inputs": inputs,
    }


def _some(items: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return at most `WATCHED` items; which ones depends on their names alone."""
    return set(sorted(items, key=lambda key: stable_hash(*key))[:WATCHED])


def _without_end(config):
    """Return a network's configuration without what says when to stop, so that more epochs or patience continue it.

    A training that a limit has stopped can be told to go on with a warning; one that is to go back needs good states.
    """
    on_collapse = "rewind" if config.training.on_collapse == "rewind" else "stop"
    endless = config.training.model_copy(update={"epochs": 1, "patience": None, "on_collapse": on_collapse})
    return config.model_copy(update={"training": endless})


main = stage_command(train_network)


if __name__ == "__main__":
    cli.run(main)
