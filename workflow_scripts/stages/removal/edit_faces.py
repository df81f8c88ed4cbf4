"""Stage: take the occluder off: the edited picture, and a composite that keeps all beyond the map's border.

A network that samples paints several pictures of each item. The first one is the item's, wherever one is shown.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems import system_module
from workflow_scripts.systems._removal.maps import border_weights, mix
from workflow_scripts.training.data import Key
from workflow_scripts.training.device import choose_device
from workflow_scripts.training.inference import BATCH, item_seed


def edit_faces(
    system: str,
    source: str,
    seed: int,
    samples: int,
    diversity: float,
    checkpoint: Input,
    splits: Input,
    pairs: Input,
    maps: Input,
    output: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write one `outputs` shard: for each item that is scored, its first variant edited.

    Args:
        system: name below `systems/`.
        source: the source that the shard belongs to.
        seed: of the configuration.
        samples: pictures of each item; more than one of a network that samples.
        diversity: a factor of the random numbers that samples are made of.
        checkpoint: the editing network.
        splits: the experiment's splits; its `scored` items are edited.
        pairs: the shard whose `input` is edited.
        maps: the predicted maps of the same shard.
        output: the shard; columns as in docs/data.md.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    inference = system_module(system, "inference")
    network = inference.load_network(checkpoint, choose_device("auto", gpus, threads))
    table = read_table(splits)
    scored = set(table[(table["source"] == source) & table["scored"]]["item"])
    shard, predicted = Shard(pairs), Shard(maps)
    size = shard.tensor("input", 0).shape[0] if len(shard) else 1
    picture = (np.uint8, (size, size, 3))
    variants = shard.scalars("variant")
    columns = {"item": pa.string(), "variant": pa.int32(), "output": picture, "composite": picture}
    if samples > 1:
        columns["samples"] = (np.uint8, (samples, size, size, 3))
    chosen = [row for row, item in enumerate(shard.items) if item in scored and variants[row] == 0]

    def rows() -> Iterator[dict]:
        for start in tqdm(range(0, len(chosen), BATCH), desc="edit_faces", mininterval=2):
            batch = chosen[start : start + BATCH]
            images, holes = shard.tensors("input", batch), predicted.tensors("map", batch)
            seeds = [item_seed(seed, Key(source, shard.items[row], 0)) for row in batch]
            edited = inference.paint_bare_faces(network, images, holes, seeds, samples, diversity)
            for row, image, found, *painted in zip(batch, images, holes, *edited, strict=True):
                weights = border_weights(found, network.border)
                made = np.stack([mix(image, one, weights) for one in painted])
                pictures = {"output": painted[0], "composite": made[0], "samples": made}
                yield {"item": shard.items[row], "variant": 0} | {x: pictures[x] for x in pictures if x in columns}

    write_shard(output, rows(), columns)


main = stage_command(edit_faces)


if __name__ == "__main__":
    cli.run(main)
