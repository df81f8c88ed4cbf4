"""Stage: colour the scored tiles of one shard, and compare them with the truth."""

import torch

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.metrics.pictures import compare_whole
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems._colouring.scores import METRICS
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.data import on_device, pictures_to_float, pictures_to_uint8
from workflow_scripts.training.device import choose_device


def score_tiles(source: str, checkpoint: Input, splits: Input, tiles: Input, output: Output) -> None:
    """Write the `metrics` rows of one shard.

    Args:
        source: its name.
        checkpoint: the network `paint`.
        splits: the experiment's splits.
        tiles: the shard.
        output: the table.
    """
    network = load_network(checkpoint, choose_device("cpu", 0, 1))
    places = read_table(splits)
    places = places[(places["source"] == source) & places["scored"]].set_index("item")
    shard, rows = Shard(tiles), []
    for number, item in enumerate(shard.items):
        if item in places.index:
            with torch.inference_mode():
                shown = pictures_to_float(on_device(network, shard.tensors("input", [number])))
                (painted,) = pictures_to_uint8(network(shown))
            psnr, _ = compare_whole(painted, shard.tensor("target", number))
            copy, _ = compare_whole(shard.tensor("input", number), shard.tensor("target", number))
            place = {"source": source, "item": item, "split": places.loc[item, "split"]}
            rows.append(place | {"psnr_output": psnr, "psnr_copy": copy})
    write_table(output, rows, METRICS)


main = stage_command(score_tiles)


if __name__ == "__main__":
    cli.run(main)
