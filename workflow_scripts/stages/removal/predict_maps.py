"""Stage: predict where the occluder is, and clean the prediction as the published system does (binarise, open)."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems import system_module
from workflow_scripts.systems._removal.config import Difference
from workflow_scripts.systems._removal.maps import clean_map
from workflow_scripts.training.device import choose_device
from workflow_scripts.training.inference import BATCH


def predict_maps(
    system: str, difference: Difference, checkpoint: Input, pairs: Input, output: Output, threads: int, gpus: int
) -> None:
    """Write one `maps` shard: for each row of a `pairs` shard the probability and the cleaned map.

    Args:
        system: name below `systems/`.
        difference: its `opening` cleans the map.
        checkpoint: the map network.
        pairs: the shard whose `input` is looked at.
        output: the shard; columns as in docs/data.md.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    inference = system_module(system, "inference")
    network = inference.load_network(checkpoint, choose_device("auto", gpus, threads))
    shard = Shard(pairs)
    size = shard.tensor("input", 0).shape[0] if len(shard) else 1
    plane = (np.uint8, (size, size))

    def rows() -> Iterator[dict]:
        variants = shard.scalars("variant")
        for start in tqdm(range(0, len(shard), BATCH), desc="predict_maps", mininterval=2):
            batch = range(start, min(start + BATCH, len(shard)))
            found = np.rint(inference.find_occluders(network, shard.tensors("input", batch)) * 255).astype(np.uint8)
            for row, probability in zip(batch, found, strict=True):
                cleaned = clean_map(probability, difference.opening)
                yield {"item": shard.items[row], "variant": variants[row], "probability": probability, "map": cleaned}

    write_shard(output, rows(), {"item": pa.string(), "variant": pa.int32(), "probability": plane, "map": plane})


main = stage_command(predict_maps)


if __name__ == "__main__":
    cli.run(main)
