"""Stage: shrink every picture of one shard to a tile, in colour and in grey."""

import cv2
import numpy as np
import pyarrow as pa

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard, write_shard
from workflow_scripts.core.tables import Quarantine, read_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._reader import PictureReader

SIDE = 32  # pixels


def make_tiles(source: BaseSource, index: Input, fingerprints: Input, output: Output, quarantine: Output) -> None:
    """Write one `tiles` shard: `item`, `input` and `target`, uint8 (32, 32, 3) each.

    Args:
        source: where its pictures are, and its key `max_pixels`.
        index: the shard's part of the index.
        fingerprints: of the same shard; it tells which pictures can be decoded.
        output: the shard.
        quarantine: pictures without any colour.
    """
    rejected = Quarantine("make_tiles")
    usable = set(Shard(fingerprints).items)
    rows = read_table(index, ["item", "file", "frame"]).sort_values("item")

    def tiles():
        with PictureReader(source) as reader:
            for row in rows[rows["item"].isin(usable)].itertuples():
                picture = reader.read(row.file, row.frame)
                target = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                grey = cv2.cvtColor(cv2.cvtColor(target, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
                if (grey == target).all():
                    rejected.add(row.item, "no colour", f"{row.item}: is grey already; remove it")
                    continue
                yield {"item": row.item, "input": grey, "target": target}

    tile = (np.uint8, (SIDE, SIDE, 3))
    write_shard(output, tiles(), {"item": pa.string(), "input": tile, "target": tile})
    rejected.write(quarantine)


main = stage_command(make_tiles)


if __name__ == "__main__":
    cli.run(main)
