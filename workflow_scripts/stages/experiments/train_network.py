"""Stage: train one network of a system, from tensor shards to a checkpoint with its curves and previews."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.tables import read_table
from workflow_scripts.training.checkpoint import describe_bases, digest_of, save_checkpoint
from workflow_scripts.training.data import Items
from workflow_scripts.training.device import choose_device, use_bf16, warn_if_busy
from workflow_scripts.training.loop import Places, Trainer
from workflow_scripts.training.state import stamp

WATCHED = 512  # validation items at most: watching must not cost more than training


def train_network(
    experiment: BaseExperiment,
    network: str,
    seed: int,
    splits: Path,
    shards: Sequence[Path],
    weights: list[Path],
    output: Path,
    places: Places,
    gpus: int,
    code: str,
    lock: str,
) -> None:
    """Train one network and write its checkpoint.

    Args:
        experiment: of the system; only the keys `keys_of(network)` are used.
        network: one of `experiment.networks`.
        seed: of the configuration.
        splits: the experiment's training table: `train` items are trained on, `val` items watched.
        shards: `…/{kind}/{source}/{shard}.arrow`, all of every kind that `experiment.kinds_of(network)` names.
        weights: files of pretrained networks; a file's stem is the network's name.
        output: the checkpoint; its sidecar lies beside it.
        places: where curves, previews, resume states and live curves go.
        gpus: GPUs that the job was given.
        code: digest of the stage's code.
        lock: digest of the pinned libraries.

    Raises:
        UserError: no item to train on, weights absent, no device, a loss that is not finite.
    """
    settings = getattr(experiment, network).training
    device = choose_device(settings.device, gpus, settings.threads)
    warn_if_busy(settings.threads)
    torch.manual_seed(stable_hash(seed, network) % 2**63)
    training = import_module(f"workflow_scripts.systems.{experiment.system}.training")
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
    if train.keep_on(device) and val.keep_on(device):
        print(f"all {len(train)} training items are on the GPU", file=sys.stderr)

    used = dict.fromkeys([splits, *(path for paths in columns.values() for path in paths), *weights])
    # Named from the experiment's folder on, so that two experiments with the same inputs have equal checkpoints.
    inputs = {os.path.relpath(path, splits.parent): digest_of(path) for path in used}
    keys = experiment.keys_of(network)
    config = experiment.slice(*keys)
    unchanged = experiment.model_copy(update={network: _without_end(getattr(experiment, network))}).slice(*keys)
    bf16 = use_bf16(settings.precision, device)
    same = stamp(unchanged, network, str(seed), code, lock, str(bf16), *inputs.values())
    trainer = Trainer(system, settings, train, val, seed, device, bf16, places, same)
    trained = trainer.run()
    description = {
        "system": experiment.system,
        "network": network,
        "config": experiment.model_validate_json(config).model_dump(mode="json"),
        "seed": seed,
        "shapes": train.shapes(),
        "steps": trainer.step,
        "epochs": trainer.epochs,
        "kept": trainer.kept,
        "bases": describe_bases(system.bases),
        "device": device.type,
        "precision": "bf16" if bf16 else "fp32",
        "code": code,
        "lock": lock,
        "inputs": inputs,
    }
    save_checkpoint(output, trained, description)


def _some(items: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return at most `WATCHED` items; which, depends on nothing but their names."""
    return set(sorted(items, key=lambda key: stable_hash(*key))[:WATCHED])


def _without_end(config):
    """Return a network's configuration without what says when to stop: with more epochs or patience, it goes on."""
    endless = config.training.model_copy(update={"epochs": 1, "patience": None})
    return config.model_copy(update={"training": endless})


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="the experiment as JSON")
    for name in ("system", "network", "code", "lock"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    for name in ("splits", "output", "curves", "previews", "resume", "live"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="of every kind: KIND/SOURCE/SHARD.arrow")
    parser.add_argument("--weights", type=Path, nargs="*", default=[])
    parser.add_argument("--gpus", type=int, default=0)
    args = parser.parse_args(argv)
    experiment = import_module(f"workflow_scripts.systems.{args.system}.config").Experiment.model_validate_json(
        args.config
    )
    train_network(
        experiment,
        args.network,
        args.seed,
        args.splits,
        args.shards,
        args.weights,
        args.output,
        Places(args.curves, args.previews, args.resume, args.live),
        args.gpus,
        args.code,
        args.lock,
    )


if __name__ == "__main__":
    cli.run(main)
