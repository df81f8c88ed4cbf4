"""Stage: turn the pictures of one shard into squares and latents, so that trainings need no picture and no encoder."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import Quarantine, read_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.sources._squares import fit_square, middle_square
from workflow_scripts.systems._text_to_image.base_model import latents_of, load_vae, read_base
from workflow_scripts.systems._text_to_image.config import Pictures
from workflow_scripts.training.data import pictures_to_float
from workflow_scripts.training.device import choose_device

STAGE = "encode_images"


def encode_images(
    source: BaseSource,
    pictures: Pictures,
    index: Input,
    fingerprints: Input,
    captions: Input,
    base: Input,
    output: Output,
    quarantine: Output,
    threads: int,
    gpus: int,
) -> None:
    """Write the `latents` shard: for each picture with a caption a row, and with `flips` one of its mirror image.

    Args:
        source: where its pictures are, and its key `max_pixels`.
        pictures: how they become squares.
        index: the shard's part of the index.
        fingerprints: of the same shard; it tells which pictures can be decoded.
        captions: of the same shard; it tells which pictures have some.
        base: the description of the base model.
        output: the shard: `item`, `variant` (1: mirrored), `image` RGB uint8 (S, S, 3), `mean` and `deviation` of its
            latents float32 (c, h, w).
        quarantine: pictures without a caption, and such as cannot be read.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    cv2.setNumThreads(1)
    device = choose_device("auto", gpus, threads)
    described = read_base(base)
    vae = load_vae(described.folder, device)
    rejected = Quarantine(STAGE)
    usable, captioned = set(Shard(fingerprints).items), set(read_table(captions, ["item"])["item"])
    rows = read_table(index, ["item", "file", "frame"]).sort_values("item")
    rows = rows[rows["item"].isin(usable)]

    def squares() -> Iterator[tuple[str, np.ndarray]]:
        with PictureReader(source) as reader:
            for row in tqdm(rows.itertuples(), STAGE, len(rows), mininterval=2, file=sys.stderr):
                try:
                    if row.item not in captioned:
                        raise cli.BadItem("no caption", "nothing is said of it; give it a caption or leave it out")
                    picture = reader.read(row.file, row.frame)
                    part = middle_square(picture) if pictures.fit == "crop" else picture
                    yield row.item, fit_square(part, pictures.size)
                except cli.BadItem as bad:
                    rejected.add(row.item, bad.reason, f"{row.item}: {bad.detail}")

    def encoded() -> Iterator[dict]:
        for item, square in squares():
            for variant in range(1 + pictures.flips):
                image = np.ascontiguousarray(square[:, ::-1]) if variant else square
                mean, deviation = latents_of(vae, pictures_to_float(torch.from_numpy(image)[None])[0])
                latents = {"mean": mean.numpy(), "deviation": deviation.numpy()}
                yield {"item": item, "variant": variant, "image": image} | latents

    shape = described.latent_shape(pictures.size)
    latents = {"mean": (np.float32, shape), "deviation": (np.float32, shape)}
    image = {"image": (np.uint8, (pictures.size, pictures.size, 3))}
    write_shard(output, encoded(), {"item": pa.string(), "variant": pa.int32()} | image | latents)
    rejected.write(quarantine)


main = stage_command(encode_images)


if __name__ == "__main__":
    cli.run(main)
