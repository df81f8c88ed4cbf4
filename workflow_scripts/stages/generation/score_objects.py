"""Stage: describe the real squares of one shard as generated ones are described, and score their masks."""

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.provenance.stage import Input, Inputs, OptionalInput, Output, stage_command
from workflow_scripts.systems import system_module
from workflow_scripts.systems._generation.columns import METRICS
from workflow_scripts.systems._generation.features import batches_of, describe, feature_columns, load_describers
from workflow_scripts.systems._generation.masks import score_masks
from workflow_scripts.training.device import choose_device

USED = ("train", "test")


def score_objects(
    system: str,
    source: str,
    splits: Input,
    squares: Input,
    weights: Inputs,
    segment: OptionalInput,
    output: Output,
    metrics: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write features and classes of the squares that are trained or tested on, and scores of their masks.

    Args:
        system: name below `systems/`.
        source: its name.
        splits: the experiment's splits.
        squares: the shard.
        weights: of the networks that describe pictures; a file's stem is the network's name. There may be none.
        segment: checkpoint of the network that finds objects, if there is one.
        output: the `features` shard: `item`, `variant`, `split`, and features and logits of each network.
        metrics: the `metrics` rows of the scored items.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    device = choose_device("auto", gpus, threads)
    inference = system_module(system, "inference")
    describers = load_describers(weights, device)
    finder = inference.load_network(segment, device) if segment else None
    shard = Shard(squares)
    places = read_table(splits)
    places = places[(places["source"] == source) & places["split"].isin(USED)].set_index("item")
    rows = [row for row, item in enumerate(shard.items) if item in places.index]
    variants = shard.scalars("variant")

    def described():
        for numbers in batches_of(len(rows)):
            batch = [rows[number] for number in numbers]
            pictures = [shard.tensor("image", row) for row in batch]
            for row, values in zip(batch, describe(pictures, describers, device), strict=True):
                item = shard.items[row]
                yield {"item": item, "variant": variants[row], "split": places.loc[item, "split"]} | values

    scalars = {"item": pa.string(), "variant": pa.int32(), "split": pa.string()}
    write_shard(output, described(), scalars | feature_columns(list(describers)))
    scored = [row for row in rows if places.loc[shard.items[row], "scored"]]
    write_table(metrics, _scores(shard, scored, source, places, finder, inference), METRICS)


def _scores(shard: Shard, rows: list[int], source: str, places: pd.DataFrame, finder, inference) -> list[dict]:
    """Return a row of the table for each scored square."""
    pictures, masks = ([shard.tensor(name, row) for row in rows] for name in ("image", "mask"))
    found = None
    if finder is not None:
        batches = (np.stack([pictures[number] for number in batch]) for batch in batches_of(len(rows)))
        found = [mask for batch in batches for mask in inference.find_masks(finder, batch)]
    names = {name: shard.scalars(name) for name in ("variant", "category")}
    return [
        {
            "source": source,
            "item": shard.items[row],
            "variant": names["variant"][row],
            "split": places.loc[shard.items[row], "split"],
            "kind": names["category"][row],
        }
        | scores
        for row, scores in zip(rows, score_masks(pictures, masks, found), strict=True)
    ]


main = stage_command(score_objects)


if __name__ == "__main__":
    cli.run(main)
