"""Stage: find the landmarks of the faces with holes of one shard, and how sure each is."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems._completion.config import Evaluation
from workflow_scripts.systems._completion.inference import find_keypoints
from workflow_scripts.systems._completion.selection import completed_items
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.device import choose_device


def predict_keypoints(
    evaluation: Evaluation,
    source: str,
    checkpoint: Input,
    splits: Input,
    holes: Input,
    output: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write one `keypoints` shard: a row for each hole of the items that are completed.

    Args:
        evaluation: which items.
        source: the source that the shard belongs to.
        checkpoint: of the network.
        splits: the experiment's splits.
        holes: the shard of pictures and holes.
        output: the shard; columns as in docs/data.md.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    network = load_network(checkpoint, choose_device("auto", gpus, threads))
    chosen = completed_items(read_table(splits), evaluation)
    shard = Shard(holes)
    variants = shard.scalars("variant")

    def rows() -> Iterator[dict]:
        numbers = [row for row, item in enumerate(shard.items) if (source, item) in chosen]
        for row in tqdm(numbers, "predict_keypoints", unit="hole", mininterval=2):
            image, hole = shard.tensor("target", row).copy(), shard.tensor("hole", row) > 0
            points, spread = find_keypoints(network, image, hole)
            yield {"item": shard.items[row], "variant": variants[row], "landmarks": points, "spread": spread}

    columns = {"item": pa.string(), "variant": pa.int32()}
    write_shard(output, rows(), columns | {"landmarks": (np.float32, (68, 2)), "spread": (np.float32, (68,))})


main = stage_command(predict_keypoints)


if __name__ == "__main__":
    cli.run(main)
