"""Stage: predict where the occluder is, and clean the prediction as the published system does (binarise, open)."""

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.systems._removal.config import Difference
from workflow_scripts.systems._removal.maps import clean_map
from workflow_scripts.training.device import choose_device

BATCH = 32  # items per forward pass; fixed, so that results do not depend on a setting


def predict_maps(
    system: str, difference: Difference, checkpoint: Path, pairs: Path, output: Path, threads: int, gpus: int
) -> None:
    """Write one `maps` shard: for each row of a `pairs` shard the probability and the cleaned map.

    Args:
        system: name below `systems/`.
        difference: its `opening` cleans the map.
        checkpoint: the map network.
        pairs: the shard whose `input` is looked at.
        output: the shard; columns as in docs/architecture.md.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    inference = import_module(f"workflow_scripts.systems.{system}.inference")
    network = inference.load_network(checkpoint, choose_device("auto", gpus, threads))
    shard = Shard(pairs)
    size = shard.tensor("input", 0).shape[0] if len(shard) else 1
    plane = (np.uint8, (size, size))

    def rows() -> Iterator[dict]:
        variants = shard.scalars("variant")
        for start in tqdm(range(0, len(shard), BATCH), desc="predict_maps", mininterval=2):
            batch = range(start, min(start + BATCH, len(shard)))
            found = np.rint(inference.predict_maps(network, shard.tensors("input", batch)) * 255).astype(np.uint8)
            for row, probability in zip(batch, found, strict=True):
                cleaned = clean_map(probability, difference.opening)
                yield {"item": shard.items[row], "variant": variants[row], "probability": probability, "map": cleaned}

    write_shard(output, rows(), {"item": pa.string(), "variant": pa.int32(), "probability": plane, "map": plane})


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", required=True)
    parser.add_argument("--difference", required=True, help="JSON")
    for name in ("checkpoint", "pairs", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0)
    args = parser.parse_args(argv)
    difference = Difference.model_validate_json(args.difference)
    predict_maps(args.system, difference, args.checkpoint, args.pairs, args.output, args.threads, args.gpus)


if __name__ == "__main__":
    cli.run(main)
