"""Stage: find the faces of one shard of pictures, and 68 landmarks of each."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource, Weights
from workflow_scripts.core import cli
from workflow_scripts.core.tables import LANDMARKS, Quarantine, read_table, write_table
from workflow_scripts.faces.detection import NO_WEIGHTS, detect_faces
from workflow_scripts.faces.dlib68.shape_predictor import BLOCK_FACES
from workflow_scripts.faces.face import Face, Picture
from workflow_scripts.faces.landmarks import LandmarkModel, Patch, face_patch
from workflow_scripts.faces.priors import prior_face
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._pictures import BadPicture, check_light
from workflow_scripts.sources._reader import PictureReader

STAGE = "find_landmarks"
COLUMNS = ["item", "file", "frame", "points", "box"]


def find_landmarks(
    source: BaseSource, index: Input, model: Input, output: Output, quarantine: Output, weights: Weights = NO_WEIGHTS
) -> None:
    """Write the `landmarks` table of one shard: one row per face, sorted by item and rank.

    Args:
        source: its `faces` and `max_pixels` keys, and where its pictures are.
        index: the shard's part of the index. Of a pair, the clean picture is searched.
        model: `LandmarkModel`'s file.
        output: the table.
        quarantine: items whose picture cannot be read, is nearly black, or shows no face.
        weights: the files of the detector, where it needs some.

    Raises:
        UserError: the files of the detector's weights cannot be used.
    """
    cv2.setNumThreads(1)
    rejected = Quarantine(STAGE)
    landmarks = LandmarkModel(model)
    rows, points = [], [np.empty((0, 68, 2), np.float32)]
    found = _faces(source, weights, read_table(index, COLUMNS), rejected)
    while block := list(islice(found, BLOCK_FACES)):
        items, ranks, faces, patches = zip(*block, strict=True)
        points.append(landmarks.predict(faces, patches))
        for item, rank, face in zip(items, ranks, faces, strict=True):
            rows.append((item, rank, face.left, face.top, face.right, face.bottom, face.score, face.detector))
    columns = np.concatenate(points).transpose(0, 2, 1).reshape(-1, 2 * 68)  # all x, all y
    table = pd.DataFrame(rows, columns=LANDMARKS.names[:8]).join(pd.DataFrame(columns, columns=LANDMARKS.names[8:]))
    write_table(output, table.sort_values(["item", "face"]), LANDMARKS)
    rejected.write(quarantine)


def _faces(
    source: BaseSource, weights: Weights, index: pd.DataFrame, rejected: Quarantine
) -> Iterator[tuple[str, int, Face, Patch]]:
    """Yield item, rank, face and its patch for every face of every item."""
    with PictureReader(source) as reader:
        for row in tqdm(index.itertuples(), STAGE, len(index), mininterval=2, file=sys.stderr):
            try:
                pixels = reader.read(row.file, row.frame)
                check_light(row.item, pixels)
                picture = Picture(pixels)
            except BadPicture as bad:
                rejected.add(row.item, bad.reason, bad.detail)
                continue
            given = prior_face(source.faces.prior, row.points, row.box)
            faces = [given] if given else detect_faces(picture, source.faces, weights)
            if not faces:
                rejected.add(
                    row.item,
                    "no face",
                    f"{row.item}: no face of {source.faces.min_size} pixels or more; remove the picture, lower "
                    "faces.min_size, or, if it is a tight crop of a face, set faces.on_no_face: whole",
                )
            for rank, face in enumerate(faces):
                yield row.item, rank, face, face_patch(picture, face)


main = stage_command(find_landmarks)


if __name__ == "__main__":
    cli.run(main)
