"""Stage: take the occluder off: the edited picture, and a composite that keeps all beyond the map's border."""

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
    chosen = [row for row, item in enumerate(shard.items) if item in scored and variants[row] == 0]

    def rows() -> Iterator[dict]:
        for start in tqdm(range(0, len(chosen), BATCH), desc="edit_faces", mininterval=2):
            batch = chosen[start : start + BATCH]
            images, holes = shard.tensors("input", batch), predicted.tensors("map", batch)
            seeds = [item_seed(seed, Key(source, shard.items[row], 0)) for row in batch]
            edited = inference.paint_bare_faces(network, images, holes, seeds)
            for row, image, found, painted in zip(batch, images, holes, edited, strict=True):
                composite = mix(image, painted, border_weights(found, network.border))
                yield {"item": shard.items[row], "variant": 0, "output": painted, "composite": composite}

    write_shard(output, rows(), {"item": pa.string(), "variant": pa.int32(), "output": picture, "composite": picture})


main = stage_command(edit_faces)


if __name__ == "__main__":
    cli.run(main)
