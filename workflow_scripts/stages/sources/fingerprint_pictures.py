"""Stage: write down how every picture of one shard looks, for experiments that need whole pictures and no faces.

By these fingerprints, copies of a picture are found in other sources. Where faces are cut out, `crop_faces` makes them.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.fingerprints import fingerprint
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import Quarantine, read_table
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._pictures import BadPicture, check_content
from workflow_scripts.sources._reader import PictureReader

STAGE = "fingerprint_pictures"


def fingerprint_pictures(source: BaseSource, index: Input, output: Output, quarantine: Output) -> None:
    """Write the `fingerprints` shard: the perceptual hash of each picture that can be decoded.

    Args:
        source: where its pictures are, and its key `max_pixels`.
        index: the shard's part of the index.
        output: the shard, sorted by item.
        quarantine: items whose picture is damaged, nearly black or flat.
    """
    cv2.setNumThreads(1)
    rejected = Quarantine(STAGE)
    rows = read_table(index, ["item", "file", "frame"]).sort_values("item")

    def prints() -> Iterator[dict]:
        with PictureReader(source) as reader:
            for row in tqdm(rows.itertuples(), STAGE, len(rows), mininterval=2, file=sys.stderr):
                try:
                    picture = reader.read(row.file, row.frame)
                    check_content(row.item, picture)
                    yield {"item": row.item, "fingerprint": fingerprint(picture)}
                except BadPicture as bad:
                    rejected.add(row.item, bad.reason, bad.detail)

    write_shard(output, prints(), {"item": pa.string(), "fingerprint": (np.uint64, (4,))})
    rejected.write(quarantine)


main = stage_command(fingerprint_pictures)


if __name__ == "__main__":
    cli.run(main)
