"""Stage: compare the masks of moving objects with the annotations of a source of type davis.

| column | what |
|---|---|
| `sequence` | its name |
| `frames` | frames that are scored |
| `j_mean`, `j_recall`, `j_decay` | region similarity: intersection over union of mask and annotation |
| `f_mean`, `f_recall`, `f_decay` | accuracy of the contour (`metrics/davis.py`) |

As in DAVIS, the first and the last frame of a sequence are not scored, several annotated objects count as one, and the
mean over the sequences is given in `motion_scores.json`. A frame that has an annotation and no mask scores 0.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli, guard
from workflow_scripts.core.files import write_json
from workflow_scripts.core.tables import MOTION_SCORES, read_tables, write_table
from workflow_scripts.metrics.davis import contour_f, statistics
from workflow_scripts.metrics.overlap import iou
from workflow_scripts.motion.masks import decode_mask
from workflow_scripts.provenance.stage import Inputs, Output, Unrecorded, stage_command
from workflow_scripts.sources._contents import write_contents
from workflow_scripts.sources._pictures import decode_picture
from workflow_scripts.sources._stores import BYTES_BESIDE_PIXELS
from workflow_scripts.sources.davis import list_annotations, open_annotations


def score_motion(
    source: BaseSource,
    motion: Inputs,
    output: Output,
    summary: Output,
    listing: Unrecorded = "",
    contents: Path | None = None,
) -> None:
    """Write the scores of each sequence, sorted by its name, and their means.

    Args:
        source: where its annotations are, and its keys `motion` and `max_pixels`.
        motion: the `motion` tables of all its shards.
        output: the table.
        summary: JSON: `sequences`, `frames`, the means of all columns, and `rejected`, annotations that cannot be used.
        listing: digest of the listing of the annotations; used with `contents`.
        contents: where to note what these contain, see `sources/_contents.py`.

    Raises:
        UserError: no annotation can be used.
    """
    cv2.setNumThreads(1)
    annotations = list_annotations(source)
    if contents is not None:
        write_contents(contents, listing, annotations)
    masks = read_tables(motion, ["item", "mask"])
    masks = {item.rpartition(".")[0]: mask for item, mask in zip(masks["item"], masks["mask"], strict=True)}
    sequences: dict[str, list[str]] = {}
    for file in annotations.files:
        sequences.setdefault(file.key, []).append(file.path)
    rows, rejected = [], []
    reader = _Annotations(source)
    for sequence, files in tqdm(sorted(sequences.items()), "score_motion", mininterval=2, unit=" sequences"):
        scores = []
        for file in sorted(files)[1:-1]:
            try:
                truth = reader.read(file)
            except cli.BadItem as bad:
                rejected.append({"annotation": file, "reason": bad.reason, "detail": bad.detail})
                continue
            scores.append(_score(masks.get(file.rpartition(".")[0]), truth, source.motion.foreground))
        if scores:
            values = [value for of_frames in zip(*scores, strict=True) for value in statistics(of_frames)]
            rows.append(dict(zip(MOTION_SCORES.names, [sequence, len(scores), *values], strict=True)))
    if not rows:
        raise cli.UserError(
            f"no annotation of {source.path} can be scored ({len(rejected)} are damaged); sequences of three annotated "
            "frames and more are needed"
        )
    write_table(output, rows, MOTION_SCORES)
    means = {name: float(np.mean([row[name] for row in rows])) for name in MOTION_SCORES.names[2:]}
    frames = sum(row["frames"] for row in rows)
    write_json(summary, {"sequences": len(rows), "frames": frames, **means, "rejected": rejected})
    print(f"J {means['j_mean']:.3f}, F {means['f_mean']:.3f} over {len(rows)} sequences", file=sys.stderr)


class _Annotations:
    """Reads the annotations of a source."""

    def __init__(self, source: BaseSource):
        self._store = open_annotations(source)
        self._max_pixels = source.max_pixels

    def read(self, file: str) -> np.ndarray:
        """Return where any object is, bool (H, W).

        Raises:
            BadItem: the annotation cannot be read.
        """
        with guard.reading(file, self._max_pixels):
            data = self._store.read(file, self._max_pixels + BYTES_BESIDE_PIXELS)
            return decode_picture(data, self._max_pixels).any(axis=2)


def _score(mask: bytes | None, truth: np.ndarray, foreground: int) -> tuple[float, float]:
    """Return J and F of a frame; 0 where there is no mask or one of another size."""
    if mask is None:
        return 0.0, 0.0
    found = decode_mask(mask) >= foreground
    return (iou(found, truth), contour_f(found, truth)) if found.shape == truth.shape else (0.0, 0.0)


main = stage_command(score_motion)


if __name__ == "__main__":
    cli.run(main)
