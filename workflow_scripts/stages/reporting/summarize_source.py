"""Stage: summarise one source for a person: how many items, what they look like, what was quarantined and why.

| file of `summary/` | what |
|---|---|
| `summary.json` | the numbers: `items`, `quarantined`, `sizes`, `faces`, `detectors`, `pose`, `crops`, `annotations` |
| `items.svg` | items left after each stage |
| `quarantine.svg` | reasons, coloured by stage |
| `sizes.svg` | width and height of the pictures |
| `faces.svg` | faces per picture; chosen faces by the step that found them |
| `scores.svg` | scores of the chosen faces, by detector |
| `pose.svg` | roll and yaw of the chosen faces (`faces/pose.py`) |
| `landmarks.svg` | where the 68 points lie in the crops, over the mean crop |
| `motion.png` | contact sheet of frames with the outline of what moves in them, chosen by the hash of the item |
| `accepted.png`, `rejected.png` | contact sheets, chosen by the hash of the item; each reason is shown |

A figure without anything to show is not written. Tables are read shard by shard, and no pictures but those
that are shown and some hundred for the mean crop, so memory does not grow with the pictures of a source.
"""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder, read_json, write_digests, write_json
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.faces.pose import YAW_METHOD, head_roll, head_yaw
from workflow_scripts.motion.masks import decode_mask, outlined
from workflow_scripts.provenance.stage import Input, Inputs, OptionalInput, Output, OutputFolder, stage_command
from workflow_scripts.reporting import source_charts as charts
from workflow_scripts.reporting.contact_sheets import Tile, draw_contact_sheet
from workflow_scripts.reporting.flow import SourceFlow, source_flow
from workflow_scripts.reporting.source_numbers import describe_sizes, face_counts, item_counts, spread, spread_angles
from workflow_scripts.sources._listing import PICTURE_SUFFIXES
from workflow_scripts.sources._pictures import BadPicture
from workflow_scripts.sources._reader import PictureReader

SHOWN, AVERAGED = 24, 400  # crops on the contact sheet, crops in the mean
REJECTED = 24  # pictures on the contact sheet
BLOCK = 4096  # crops whose landmarks are in memory at once
POINTS = [f"{axis}_{i}" for i in range(68) for axis in "xy"]


@dataclass
class FaceStatistics:
    """What the landmark tables tell of one source.

    Attributes:
        per_picture: number of faces -> pictures.
        scores: detector -> scores of the chosen faces, one array for each shard; NaN where a step gives none.
        roll, yaw: degrees of the chosen faces, one array for each shard.
    """

    per_picture: Counter = field(default_factory=Counter)
    scores: dict[str, list[np.ndarray]] = field(default_factory=dict)
    roll: list[np.ndarray] = field(default_factory=list)
    yaw: list[np.ndarray] = field(default_factory=list)


def summarize_source(
    source: BaseSource,
    name: str,
    index: Input,
    quarantine: Input,
    stages: list[str],
    output: OutputFolder,
    digests: Output,
    landmarks: Inputs = (),
    crops: Inputs = (),
    motion: Inputs = (),
    annotations: OptionalInput = None,
) -> None:
    """Write the folder `summary/` of one source, in place of an earlier one.

    Args:
        source: where its pictures are, and `max_pixels`.
        name: of the source.
        index: its whole index.
        quarantine: its whole quarantine.
        stages: that its items went through and that may have quarantined them, in their order.
        output: the folder.
        digests: JSON, file name -> SHA-256 of the files in it.
        landmarks: its landmark tables; none where no faces were asked for.
        crops: its shards of crops, likewise.
        motion: its `motion` tables; none where no motion was asked for.
        annotations: its `annotation_counts.json`; None where no annotations were asked for.
    """
    cv2.setNumThreads(1)
    flow = source_flow(name, index, quarantine)
    items = read_table(index, ["item", "file", "frame", "width", "height"])
    rejected = read_table(quarantine, ["item", "stage", "reason"])
    faces = read_faces(landmarks)
    faces.per_picture[0] = sum(row.items for row in flow.reasons if row.reason == "no face")
    shards = [Shard(path) for path in crops]
    summary = {
        "source": name,
        "items": item_counts(flow, items, stages, sum(map(len, shards)) if shards else None),
        "quarantined": [{"stage": row.stage, "reason": row.reason, "items": row.items} for row in flow.reasons],
        "sizes": describe_sizes(items),
        "faces": face_counts(faces.per_picture),
        "detectors": [
            {"detector": detector, "faces": len(scores), "score": spread(scores)}
            for detector, scores in sorted(_joined(faces).items(), key=lambda entry: (-len(entry[1]), entry[0]))
        ],
        "pose": {
            "unit": "degree",
            "roll": spread_angles(_stacked(faces.roll)),
            "yaw": spread_angles(_stacked(faces.yaw)),
            "yaw_method": YAW_METHOD,
        },
        "crops": {"size": next((len(shard.tensor("image", 0)) for shard in shards if len(shard)), None)},
    }
    if annotations:
        summary["annotations"] = read_json(annotations)
    with atomic_folder(output) as folder:
        _draw_charts(summary, flow, items, faces, folder)
        if shards:
            _draw_crops(shards, folder)
        else:
            _draw_accepted(source, items[~items["item"].isin(set(rejected["item"]))], folder)
        _draw_motion(source, items, motion, folder)
        _draw_rejected(source, items, rejected, folder)
        write_json(folder / "summary.json", summary)
    write_digests(output, digests)


def read_faces(landmarks: Sequence[Path]) -> FaceStatistics:
    """Read the landmark tables one by one and keep what is drawn."""
    faces = FaceStatistics()
    for path in tqdm(landmarks, "summarize_source", mininterval=2, unit=" shards"):
        rows = read_table(path, ["item", "face", "score", "detector", *POINTS])
        faces.per_picture.update(Counter(rows.groupby("item").size().tolist()))
        chosen = rows[rows["face"] == 0]
        for detector, scores in chosen.groupby("detector")["score"]:
            faces.scores.setdefault(detector, []).append(scores.to_numpy(np.float32))
        points = chosen[POINTS].to_numpy(np.float32).reshape(-1, 68, 2)
        faces.roll.append(head_roll(points))
        faces.yaw.append(head_yaw(points))
    return faces


def _draw_charts(summary: dict, flow: SourceFlow, items: pd.DataFrame, faces: FaceStatistics, folder: Path) -> None:
    charts.draw_items(summary["items"]["left_after"], folder / "items.svg")
    if flow.reasons:
        charts.draw_reasons(flow.reasons, folder / "quarantine.svg")
    if len(items):
        charts.draw_sizes(items["width"].to_numpy(), items["height"].to_numpy(), folder / "sizes.svg")
    if summary["items"]["cropped"] is not None and len(items):
        detectors = {row["detector"]: row["faces"] for row in summary["detectors"]}
        charts.draw_faces(faces.per_picture, detectors, folder / "faces.svg")
    scores = {name: values[np.isfinite(values)] for name, values in _joined(faces).items()}
    scores = {row["detector"]: scores[row["detector"]] for row in summary["detectors"] if row["score"]}
    if scores:
        charts.draw_detector_scores(scores, folder / "scores.svg")
    roll, yaw = _stacked(faces.roll), _stacked(faces.yaw)
    solved = np.isfinite(roll) & np.isfinite(yaw)
    if solved.any():
        charts.draw_pose(roll[solved], yaw[solved], folder / "pose.svg")


def _draw_crops(shards: Sequence[Shard], folder: Path) -> None:
    """Draw the contact sheet of the crops, and the landmarks over the mean of some more of them."""
    places = ((item, shard, row) for shard in shards for row, item in enumerate(shard.items))
    chosen = heapq.nsmallest(AVERAGED, places, key=lambda place: (_hash(place[0]), place[0]))
    if not chosen:
        return
    tiles = [Tile(shard.tensor("image", row), [_name(item)]) for item, shard, row in chosen[:SHOWN]]
    draw_contact_sheet(tiles, folder / "accepted.png")
    density = landmark_density(shards)
    if density.any():
        mean = sum(shard.tensor("image", row).astype(np.float64) for _, shard, row in chosen) / len(chosen)
        charts.draw_landmark_density(density, np.rint(mean).astype(np.uint8), folder / "landmarks.svg")


def _draw_accepted(source: BaseSource, items: pd.DataFrame, folder: Path) -> None:
    """Draw the contact sheet of some whole pictures."""
    chosen = items.assign(hash=items["item"].map(_hash)).sort_values(["hash", "item"]).head(SHOWN)
    if len(chosen):
        draw_contact_sheet(_tiles(source, chosen, [[] for _ in range(len(chosen))]), folder / "accepted.png")


def _draw_motion(source: BaseSource, items: pd.DataFrame, motion: Sequence[Path], folder: Path) -> None:
    """Draw the contact sheet of some frames, with the outlines of their masks."""
    chosen = pd.DataFrame()
    for path in motion:
        rows = read_table(path, ["item", "mask", "area", "camera"])
        rows = pd.concat([chosen, rows.assign(hash=rows["item"].map(_hash))])
        chosen = rows.sort_values(["hash", "item"]).head(SHOWN)
    if chosen.empty:
        return
    chosen = chosen.merge(items[["item", "file", "frame"]], on="item")
    tiles = _tiles(source, chosen, [[f"{row.area:.0%}, {row.camera}"] for row in chosen.itertuples()])
    masks = [decode_mask(mask) >= source.motion.foreground for mask in chosen["mask"]]
    shown = [
        tile if tile.picture is None else tile._replace(picture=outlined(tile.picture, mask))
        for tile, mask in zip(tiles, masks, strict=True)
    ]
    draw_contact_sheet(shown, folder / "motion.png")


def landmark_density(shards: Sequence[Shard]) -> np.ndarray:
    """Return how many landmarks of all crops lie in each pixel of the crop, int64 (S, S), without those outside."""
    size = next(shard.tensor("image", 0).shape[0] for shard in shards if len(shard))
    density = np.zeros(size * size, np.int64)
    for shard in shards:
        for start in range(0, len(shard), BLOCK):
            points = shard.tensors("landmarks", range(start, min(start + BLOCK, len(shard)))).reshape(-1, 2)
            points = points[np.isfinite(points).all(axis=1)]
            x, y = np.clip(np.rint(points), -1, size).astype(int).T
            inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
            density += np.bincount(y[inside] * size + x[inside], minlength=size * size)
    return density.reshape(size, size)


def _draw_rejected(source: BaseSource, items: pd.DataFrame, rejected: pd.DataFrame, folder: Path) -> None:
    if rejected.empty:
        return
    chosen = choose_rejected(rejected).merge(items[["item", "file", "frame"]], on="item", how="left")
    draw_contact_sheet(_tiles(source, chosen, [[reason] for reason in chosen["reason"]]), folder / "rejected.png")


def _tiles(source: BaseSource, chosen: pd.DataFrame, texts: Sequence[list[str]]) -> list[Tile]:
    """Return a tile for each of some items: its picture, its name and some text."""
    in_order = chosen.sort_values(["file", "frame"])  # each video is decoded once
    with PictureReader(source) as reader:
        pictures = {row.item: _read(reader, row) for row in in_order.itertuples()}
    return [
        Tile(pictures[row.item], [_name(row.item), *text]) for row, text in zip(chosen.itertuples(), texts, strict=True)
    ]


def choose_rejected(rejected: pd.DataFrame) -> pd.DataFrame:
    """Return at most `REJECTED` rows of a quarantine by the hashes of the items, evenly of all reasons."""
    hashed = rejected.assign(hash=rejected["item"].map(_hash))
    hashed = hashed.sort_values(["hash", "item", "stage"], kind="stable").drop_duplicates("item")
    turn = hashed.groupby(["stage", "reason"]).cumcount()
    chosen = hashed.assign(turn=turn).sort_values(["turn", "hash"], kind="stable").head(REJECTED)
    return chosen.sort_values(["stage", "reason", "hash"], kind="stable")


def _read(reader: PictureReader, row) -> np.ndarray | None:
    """Return the picture of a quarantined item; None where it cannot be read, or where its name is not that of one."""
    file = row.item if pd.isna(row.file) else row.file  # the index has no row of an item that its own stage refused
    if pd.isna(row.frame) and not file.lower().endswith(PICTURE_SUFFIXES):
        return None
    try:
        return reader.read(file, row.frame)
    except BadPicture:
        return None


def _joined(faces: FaceStatistics) -> dict[str, np.ndarray]:
    return {detector: np.concatenate(parts) for detector, parts in faces.scores.items()}


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0), *parts])


def _hash(item: str) -> int:
    return stable_hash("summary", item)


def _name(item: str) -> str:
    return item.rpartition("/")[2]


main = stage_command(summarize_source)


if __name__ == "__main__":
    cli.run(main)
