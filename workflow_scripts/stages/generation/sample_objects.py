"""Stage: draw pictures from one generator, and describe each: classes, masks, the nearest training picture."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import write_shard
from workflow_scripts.metrics.neighbours import NEAREST, training_pictures
from workflow_scripts.provenance.stage import Input, Inputs, OptionalInput, Output, stage_command
from workflow_scripts.systems import system_module
from workflow_scripts.systems._generation.columns import MASK_SCORES
from workflow_scripts.systems._generation.features import batches_of, describe, feature_columns, load_describers
from workflow_scripts.systems._generation.masks import score_masks
from workflow_scripts.training.device import choose_device


def sample_objects(
    system: str,
    samples: int,
    seed: int,
    checkpoint: Input,
    training: Input,
    squares: Inputs,
    weights: Inputs,
    segment: OptionalInput,
    output: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write the `samples` shard of one generator.

    Args:
        system: name below `systems/`.
        samples: how many pictures are drawn.
        seed: of the generator's training.
        checkpoint: the generator.
        training: the experiment's training table.
        squares: `squares/{source}/{shard}.arrow` of the sources that it was trained on.
        weights: of the networks that describe pictures; a file's stem is the network's name. There may be none.
        segment: checkpoint of the network that finds objects, for generators of masks, if there is one.
        output: the shard; columns as in docs/data.md.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    device = choose_device("auto", gpus, threads)
    inference = system_module(system, "inference")
    network = inference.load_network(checkpoint, device)
    finder = inference.load_network(segment, device) if segment else None
    describers = load_describers(weights, device)
    known = training_pictures(training, squares, device)
    first, _ = inference.draw_samples(network, range(1), seed)
    side, channels = first.shape[1], first.shape[3]

    def rows() -> Iterator[dict]:
        for numbers in tqdm(batches_of(samples), "sample_objects", mininterval=2):
            pictures, classes = inference.draw_samples(network, numbers, seed)
            images = list(np.ascontiguousarray(pictures[..., :3]))
            found = [{"item": f"{number:06d}", "class": int(one)} for number, one in zip(numbers, classes, strict=True)]
            described = [describe(images, describers, device), known.nearest(images)]
            if channels == 4:
                masks = list(np.ascontiguousarray(pictures[..., 3]))
                seen = None if finder is None else inference.find_masks(finder, np.stack(images))
                described += [[{"mask": mask} for mask in masks], score_masks(images, masks, seen)]
            for row, image, *parts in zip(found, images, *described, strict=True):
                yield {key: value for part in (row, {"image": image}, *parts) for key, value in part.items()}

    columns = {"item": pa.string(), "class": pa.int32(), "image": (np.uint8, (side, side, 3))} | NEAREST
    if channels == 4:
        columns |= {"mask": (np.uint8, (side, side))} | dict.fromkeys(MASK_SCORES, pa.float64())
    write_shard(output, rows(), columns | feature_columns(list(describers)))


main = stage_command(sample_objects)


if __name__ == "__main__":
    cli.run(main)
