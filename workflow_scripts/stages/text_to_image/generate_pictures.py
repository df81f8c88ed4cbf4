"""Stage: generate pictures of the prompts, with the adapters and without, and find what they are like."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from PIL import Image
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder
from workflow_scripts.core.marking import save_png
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.neighbours import NEAREST, find_pictures, training_pictures
from workflow_scripts.provenance.stage import Input, Inputs, Output, OutputFolder, stage_command
from workflow_scripts.systems._text_to_image.agreement import agreements
from workflow_scripts.systems._text_to_image.base_model import read_base
from workflow_scripts.systems._text_to_image.config import Generation, PaintedEvaluation
from workflow_scripts.systems._text_to_image.sampling import Wish, paint
from workflow_scripts.training.device import choose_device


def generate_pictures(
    generation: Generation,
    evaluation: PaintedEvaluation,
    checkpoint: Input,
    training: Input,
    splits: Input,
    latents: Inputs,
    base: Input,
    output: Output,
    held_out: Output,
    pictures: OutputFolder,
    threads: int,
    gpus: int,
) -> None:
    """Write the `samples` shard, and each picture as a marked PNG.

    Args:
        generation: prompts and seeds; a prompt and a seed give the same picture whatever else is generated.
        evaluation: its key `clip`.
        checkpoint: the adapters.
        training: the experiment's training table.
        splits: the experiment's splits.
        latents: `latents/{source}/{shard}.arrow` of all sources, which hold their squares.
        base: the description of the base model.
        output: the shard: `item`, `prompt`, `seed`, `image`, `base_image` (of the base model from the same noise), the
            nearest training picture as `nearest_source`, `_item`, `_variant` and `_distance`, and, where a CLIP is
            given, `agreement` and `base_agreement`.
        held_out: the shard of the scored test pictures: `item`, and the nearest training picture likewise.
        pictures: the folder of PNG files, called after their items.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    device = choose_device("auto", gpus, threads)
    wishes = [Wish(prompt, seed) for prompt in generation.prompts for seed in generation.seeds]
    bar = tqdm(total=2 * len(wishes), desc="generate_pictures", mininterval=2)
    painted = paint(wishes, checkpoint, read_base(base), generation, device, bar.update)
    known = training_pictures(training, latents, device, mirrored=True)
    nearest = known.nearest([picture for picture, _ in painted])
    agreeing = agreements(evaluation.clip, [wish.prompt for wish in wishes], painted, device)

    def rows() -> Iterator[dict]:
        for number, (wish, (image, by_base), near) in enumerate(zip(wishes, painted, nearest, strict=True)):
            found = {"item": f"{number:05d}", "prompt": wish.prompt, "seed": wish.seed}
            yield found | {"image": image, "base_image": by_base} | near | (agreeing[number] if agreeing else {})

    table = read_table(splits)
    table = table[(table["split"] == "test") & table["scored"]]
    keys, held = find_pictures(latents, set(zip(table["source"], table["item"], strict=True)), mirrored=True)
    found = [{"item": item} | near for (_, item, _), near in zip(keys, known.nearest(held), strict=True)]
    write_shard(held_out, found, {"item": pa.string()} | NEAREST)
    side = painted[0][0].shape[0]
    images = dict.fromkeys(("image", "base_image"), (np.uint8, (side, side, 3)))
    columns = {"item": pa.string(), "prompt": pa.string(), "seed": pa.int64()} | images | NEAREST
    columns |= dict.fromkeys(agreeing[0], pa.float64()) if agreeing else {}
    write_shard(output, rows(), columns)
    with atomic_folder(pictures) as folder:
        for number, (image, _) in enumerate(painted):
            save_png(Image.fromarray(image), folder / f"{number:05d}.png")


main = stage_command(generate_pictures)


if __name__ == "__main__":
    cli.run(main)
