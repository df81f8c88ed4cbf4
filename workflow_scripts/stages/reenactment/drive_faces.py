"""Stage: paint the face that each drawing stands for.

A temporal network also sees its own output for the frame before. So the frames of a shot are painted one after the
other, and after a gap it starts from nothing.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems import system_module
from workflow_scripts.systems._reenactment.config import ReenactmentExperiment
from workflow_scripts.training.data import Key
from workflow_scripts.training.device import choose_device
from workflow_scripts.training.inference import BATCH, item_seed


def drive_faces(
    experiment: ReenactmentExperiment,
    source: str,
    seed: int,
    checkpoint: Input,
    drawings: Input,
    output: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write one `driven` shard: an output for each drawing.

    Args:
        experiment: its key `inference` is used.
        source: the source that the shard belongs to.
        seed: of the configuration.
        checkpoint: the network `render`.
        drawings: the shard; its columns `input`, `landmarks` and `follows` are used.
        output: the shard: `item`, `output`.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    inference = system_module(experiment.system, "inference")
    network = inference.load_network(checkpoint, choose_device("auto", gpus, threads))
    shard = Shard(drawings)
    size = shard.tensor("input", 0).shape[0] if len(shard) else 1
    seeds = [item_seed(seed, Key(source, item, 0)) for item in shard.items]

    def paint(rows: range, before: np.ndarray | None) -> np.ndarray:
        shown = [shard.tensors(column, rows) for column in ("input", "landmarks")]
        if experiment.inference == "deterministic":
            return inference.paint_faces(network, *shown, before)
        return inference.paint_faces_as_published(network, *shown, before, [seeds[row] for row in rows])

    def outputs() -> Iterator[np.ndarray]:
        if not network.temporal:
            for start in range(0, len(shard), BATCH):
                yield from paint(range(start, min(start + BATCH, len(shard))), None)
            return
        painted = nothing = np.zeros((1, size, size, 3), np.uint8)
        for row, follows in enumerate(shard.scalars("follows")):
            painted = paint(range(row, row + 1), painted if follows else nothing)
            yield painted[0]

    progress = tqdm(outputs(), desc="drive_faces", total=len(shard), mininterval=2)
    rows = ({"item": item, "output": picture} for item, picture in zip(shard.items, progress, strict=True))
    write_shard(output, rows, {"item": pa.string(), "output": (np.uint8, (size, size, 3))})


main = stage_command(drive_faces)


if __name__ == "__main__":
    cli.run(main)
