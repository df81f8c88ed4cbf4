"""Stage: write the faces of a source as one file in COCO's format: keypoints, boxes, masks, in pixels of its pictures.

`images` are the items of the source; `file_name` is the item, for a frame of a video with its number behind `#`. Each
face has 68 keypoints (those beyond the border of the picture are flagged as hidden), their hull as mask, the box in
which the face was found, and `score`, `detector`, `face` and `track` of the landmark table.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.core import cli
from workflow_scripts.core.coco_files import write_coco
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces.coco_faces import face_annotation, face_category
from workflow_scripts.faces.landmark_groups import COUNT
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command


def export_faces(index: Input, landmarks: Inputs, output: Output) -> None:
    """Write the file.

    Args:
        index: of the source; every item of it is a picture, also one without faces.
        landmarks: the tables of all its shards.
        output: the JSON file.
    """
    pictures = read_table(index, ["item", "height", "width"]).sort_values("item")
    sizes = {row.item: (number, int(row.width), int(row.height)) for number, row in enumerate(pictures.itertuples(), 1)}
    images = (
        {"id": number, "file_name": item, "width": width, "height": height}
        for item, (number, width, height) in sizes.items()
    )
    write_coco(output, images, [face_category()], _annotations(landmarks, sizes))


def _annotations(landmarks: Sequence[Path], sizes: Mapping[str, tuple[int, int, int]]) -> Iterator[dict]:
    number = 0
    for path in landmarks:
        faces = read_table(path)
        for row, points in zip(faces.itertuples(), landmark_points(faces), strict=True):
            image, width, height = sizes[row.item]
            left, top, right, bottom = (round(float(side), 2) for side in (row.left, row.top, row.right, row.bottom))
            number += 1
            found = {"bbox": [left, top, round(right - left, 2), round(bottom - top, 2)], "detector": row.detector}
            score = {} if np.isnan(row.score) else {"score": round(float(row.score), 4)}
            track = {} if np.isnan(row.track) else {"track": int(row.track)}
            yield (
                {"id": number, "image_id": image}
                | face_annotation(points, np.zeros(COUNT, bool), width, height)
                | found
                | {"face": int(row.face)}
                | score
                | track
            )


main = stage_command(export_faces)


if __name__ == "__main__":
    cli.run(main)
