"""Stage: check the landmarks of a source against what is known of its faces.

Each item gets two numbers. Both are mean distances divided by the distance of the outer eye corners (NME). The first is
that of eye centres, nose tip and mouth corners from the five points that the data set gives. The second is that of all
68 landmarks from those that the detector leads to, on a sample, where a prior took the detector's place.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterable

import cv2
import numpy as np
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource, Weights
from workflow_scripts.core import cli
from workflow_scripts.core.files import write_json
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.tables import LANDMARK_CHECK, landmark_points, read_tables, write_table
from workflow_scripts.faces.detection import NO_WEIGHTS, detect_faces
from workflow_scripts.faces.face import Picture
from workflow_scripts.faces.landmark_groups import five_points
from workflow_scripts.faces.landmarks import LandmarkModel, face_patch
from workflow_scripts.faces.priors import GIVEN_BOX, GIVEN_POINTS
from workflow_scripts.metrics.landmarks import normalised_mean_error
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.sources._reader import PictureReader

STAGE = "check_landmarks"
SAMPLE = 200  # items on which the detector runs beside the prior, chosen by hash


def check_landmarks(
    source: BaseSource,
    index: Inputs,
    landmarks: Inputs,
    model: Input,
    output: Output,
    summary: Output,
    weights: Weights = NO_WEIGHTS,
) -> None:
    """Write the table `landmark_check`, one row for the chosen face of each item, and its summary.

    Args:
        source: its `faces` and `max_pixels` keys, and where its pictures are.
        index: the shards of the index.
        landmarks: the shards of the landmarks.
        model: `LandmarkModel`'s file.
        output: the table.
        summary: JSON: for both numbers the count of items, median, 90th and 99th percentile; None where there are none.
        weights: the files of the detector, where it needs some.
    """
    cv2.setNumThreads(1)
    faces = read_tables(landmarks)
    faces = faces[faces["face"] == 0].merge(read_tables(index, ["item", "file", "frame", "points"]), on="item")
    faces = faces.sort_values("item")
    found = landmark_points(faces).astype(np.float64)
    rows = [
        {
            "item": row.item,
            "detector": row.detector,
            "points_nme": None if row.points is None else _from_points(own, row),
        }
        for row, own in zip(faces.itertuples(), found, strict=True)
    ]
    given = np.flatnonzero(faces["detector"].isin([GIVEN_POINTS, GIVEN_BOX]))
    sample = sorted(given, key=lambda place: stable_hash(STAGE, rows[place]["item"]))[:SAMPLE]
    landmark_model = LandmarkModel(model)
    with PictureReader(source) as reader:
        for place in tqdm(sorted(sample), STAGE, mininterval=2, file=sys.stderr):
            row = faces.iloc[place]
            picture = Picture(reader.read(row["file"], row["frame"]))
            detected = detect_faces(picture, source.faces, landmark_model, weights).faces
            rows[place]["compared_with"] = detected[0].detector if detected else "none"
            if detected:
                (other,) = landmark_model.predict(detected[:1], [face_patch(picture, detected[0])]).points
                rows[place]["detected_nme"] = normalised_mean_error(found[place], other, found[place])
    write_table(output, rows, LANDMARK_CHECK)
    write_json(summary, {name: _spread([row.get(name) for row in rows]) for name in ("points_nme", "detected_nme")})


def _from_points(landmarks: np.ndarray, row) -> float:
    given = np.asarray(row.points, np.float64).reshape(5, 2)
    return normalised_mean_error(five_points(landmarks), given, landmarks)


def _spread(values: Iterable[float | None]) -> dict | None:
    values = [value for value in values if value is not None]
    if not values:
        return None
    median, p90, p99 = (round(float(value), 5) for value in np.percentile(values, (50, 90, 99)))
    return {"items": len(values), "median": median, "p90": p90, "p99": p99}


main = stage_command(check_landmarks)


if __name__ == "__main__":
    cli.run(main)
