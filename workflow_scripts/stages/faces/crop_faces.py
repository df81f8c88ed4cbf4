"""Stage: cut the chosen face of every picture of one shard to the square that all later stages work on."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator, Sequence
from operator import attrgetter

import cv2
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.fingerprints import fingerprint
from workflow_scripts.core.shards import write_shard
from workflow_scripts.core.tables import Quarantine, read_points, read_rows
from workflow_scripts.faces.alignment import crop_matrix, crop_picture, transform_points
from workflow_scripts.faces.head_squares import calm_squares, grown_squares, square_matrix
from workflow_scripts.faces.plausibility import check_face
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._pictures import check_content
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.sources.pairs import check_pair

STAGE = "crop_faces"


def crop_faces(source: BaseSource, index: Input, landmarks: Input, output: Output, quarantine: Output) -> None:
    """Write the `crops` shard: the chosen face of each item that has one, with its landmarks in pixels of the crop.

    The column `fingerprint` is that of the whole picture; copies of a picture are found by it.

    Args:
        source: its `crop` and `max_pixels` keys, and where its pictures are.
        index: the shard's part of the index.
        landmarks: of the same shard. An item without a row here was put in quarantine by `find_landmarks`.
        output: the shard. For pairs, `occluded` is cut by the transform of the clean picture.
        quarantine: items whose face cannot be cropped.
    """
    cv2.setNumThreads(1)
    size = source.crop.size
    columns = {"item": pa.string(), "image": (np.uint8, (size, size, 3)), "landmarks": (np.float32, (68, 2))}
    columns["fingerprint"] = (np.uint64, (4,))
    if source.type == "pairs":
        columns["occluded"] = (np.uint8, (size, size, 3))
    faces = read_rows(landmarks, ["item", "face", "left", "top", "right", "bottom"])
    chosen = {face.item: number for number, face in enumerate(faces) if face.face == 0}
    rows = read_rows(index, ["item", "file", "frame", "time", "shot", "occluded_file"])
    rows = sorted((row for row in rows if row.item in chosen), key=attrgetter("item"))
    order = [chosen[row.item] for row in rows]
    heads = _heads(rows, [faces[number] for number in order]) if source.crop.frame == "head" else None
    rejected = Quarantine(STAGE)
    write_shard(output, _crops(source, rows, read_points(landmarks)[order], heads, rejected), columns)
    rejected.write(quarantine)


def _heads(rows: Sequence, faces: Sequence) -> np.ndarray:
    """Return the square around each item's head, float64 (n, 3); a picture counts as a shot of its own."""
    squares = grown_squares(np.array([(face.left, face.top, face.right, face.bottom) for face in faces]).reshape(-1, 4))
    shots: dict[tuple, list[int]] = {}
    for number, row in enumerate(rows):
        shots.setdefault((row.file, row.shot), []).append(number)
    for members in shots.values():
        if len(members) > 1 and rows[members[0]].time is not None:  # several pictures of a pair are no video
            squares[members] = calm_squares(squares[members], np.array([rows[number].time for number in members]))
    return squares


def _crops(
    source: BaseSource, rows: Sequence, points: np.ndarray, heads: np.ndarray | None, rejected: Quarantine
) -> Iterator[dict]:
    with PictureReader(source) as reader:
        for number, row in enumerate(tqdm(rows, STAGE, mininterval=2, file=sys.stderr)):
            try:
                head = None if heads is None else heads[number]
                yield {"item": row.item} | _crop(source, reader, row, points[number], head)
            except cli.BadItem as bad:
                rejected.add(row.item, bad.reason, bad.detail)


def _crop(source: BaseSource, reader: PictureReader, row, landmarks: np.ndarray, head: np.ndarray | None) -> dict:
    picture = reader.read(row.file, row.frame)
    height, width = picture.shape[:2]
    if source.crop.frame != "whole":
        check_face(row.item, landmarks, (width, height))
    if head is None:
        matrix = crop_matrix(landmarks, (width, height), source.crop)
    else:
        matrix = square_matrix(head, source.crop.size)
    crop = {
        "image": crop_picture(picture, matrix, source.crop),
        "landmarks": transform_points(matrix, landmarks).astype(np.float32),
        "fingerprint": fingerprint(picture),
    }
    check_content(row.item, crop["image"])
    if source.type == "pairs":
        occluded = reader.read(row.occluded_file)
        check_pair(row.item, picture, occluded)
        crop["occluded"] = crop_picture(occluded, matrix, source.crop)
    return crop


main = stage_command(crop_faces)


if __name__ == "__main__":
    cli.run(main)
