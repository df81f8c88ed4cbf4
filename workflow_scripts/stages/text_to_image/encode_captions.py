"""Stage: turn the captions of one shard into embeddings, so that trainings need no text encoder."""

from functools import lru_cache

import numpy as np
import pyarrow as pa

from workflow_scripts.core import cli
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.systems._text_to_image.base_model import TextEncoder, read_base
from workflow_scripts.systems._text_to_image.config import Pictures
from workflow_scripts.training.device import choose_device

KNOWN = 1000  # texts whose embeddings are kept, as many items have the same


def encode_captions(pictures: Pictures, captions: Input, base: Input, output: Output, threads: int, gpus: int) -> None:
    """Write the `captions` shard: a row for each item that has captions, whether its picture can be used or not.

    Args:
        pictures: its key `captions`: how many of each item are used.
        captions: the table of captions.
        base: the description of the base model.
        output: the shard: `item`, `captions` (how many it has of those), and `embeddings` float16 (captions, tokens,
            d); an item with fewer has its own again.
        threads: CPU threads.
        gpus: GPUs that the job was given.
    """
    described = read_base(base)
    encoder = TextEncoder(described.folder, choose_device("auto", gpus, threads))

    @lru_cache(KNOWN)
    def embedding(text: str) -> np.ndarray:
        return encoder.encode(text).numpy().astype(np.float16)

    def rows():
        for item, texts in read_table(captions, ["item", "caption"]).groupby("item")["caption"]:
            used = list(texts)[: pictures.captions]
            stacked = np.stack([embedding(used[n % len(used)]) for n in range(pictures.captions)])
            yield {"item": item, "captions": len(used), "embeddings": stacked}

    shape = (pictures.captions, *described.empty.shape)
    write_shard(output, rows(), {"item": pa.string(), "captions": pa.int32(), "embeddings": (np.float16, shape)})


main = stage_command(encode_captions)


if __name__ == "__main__":
    cli.run(main)
