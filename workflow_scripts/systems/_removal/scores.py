"""The summary of a system that takes something off a face.

`metrics.json` has, beside what all systems have (`stages/experiments/summarize_scores.py`):

- `frechet`: `features` (the network's name), `images`, `distance` from the truth of `copy`, `raw` and `composite`,
  `hole`: the same of squares that are cut out around the true maps and resized to the side of the pictures,
  `warning` when there are too few pictures, `absent` with the reason when there is no distance. Test items only.
- `presence`: the predicted area as a detector of an occluder: the two sources, `area` under ROC over items that were
  not trained on, `items` of each, `seen` (items left out because they were trained on), `absent` with the reason when
  there is no area; null when the experiment asks for none.

`psnr_copy_whole` and the like are the baseline: the input, unchanged.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.frechet import frechet_distance, picture_features
from workflow_scripts.metrics.roc import roc_area
from workflow_scripts.systems._removal.columns import METRICS, PICTURES, SCORES
from workflow_scripts.systems._removal.config import Evaluation, Presence, RemovalExperiment
from workflow_scripts.systems._removal.published import PUBLISHED

__all__ = ["METRICS", "PUBLISHED", "SCORES", "SORTED_BY", "SPLITS", "summarize"]
SORTED_BY = ("source", "item", "variant")
SPLITS = ("test", "train")
RIM = 4  # pixels that a square reaches beyond a hole


def summarize(
    experiment: RemovalExperiment,
    rows: pd.DataFrame,
    metrics: Sequence[Path],
    shards: Mapping[str, Sequence[Path]],
    weights: Mapping[str, Path],
) -> dict:
    """Return what the summary has beside what that of every system has.

    Args:
        experiment: its keys `evaluation` and `presence` are used.
        rows: the table of scores.
        metrics: `metrics/{source}/{shard}.parquet` of every source.
        shards: kind -> `{kind}/{source}/{shard}.arrow` in the same order.
        weights: name -> file of the pretrained networks that `experiment.summary_weights` names.
    """
    features = weights.get(experiment.evaluation.features)
    return {
        "frechet": measure_frechet(experiment.evaluation, metrics, shards["pairs"], shards["outputs"], features),
        "presence": measure_presence(rows, experiment.presence),
    }


def measure_frechet(
    evaluation: Evaluation,
    metrics: Sequence[Path],
    pairs: Sequence[Path],
    outputs: Sequence[Path],
    weights: Path | None,
) -> dict:
    """Return the `frechet` entry of the summary, over the test items of all shards."""
    entry = {"features": evaluation.features, "images": 0} | dict.fromkeys(["distance", "hole", "warning", "absent"])
    if weights is None:
        return entry | {"absent": "no feature network was asked for (`evaluation: {features: none}`)"}
    sets: dict[tuple[str, str], list[np.ndarray]] = {}
    for table, pair_path, output_path in zip(metrics, pairs, outputs, strict=True):
        rows = read_table(table, ["item", "variant", "split"])
        rows = rows[rows["split"] == "test"]
        if len(rows):
            keys = list(zip(rows["item"], rows["variant"], strict=True))
            for place, features in _shard_features(keys, Shard(pair_path), Shard(output_path), weights).items():
                sets.setdefault(place, []).append(features)
    images = sum(map(len, sets.get(("distance", "truth"), [])))
    if images < 2:
        return entry | {"images": images, "absent": "fewer than two test items"}
    stacked = {place: np.concatenate(parts) for place, parts in sets.items()}
    distances = {
        region: {name: frechet_distance(stacked[region, name], stacked[region, "truth"]) for name in PICTURES}
        for region in ("distance", "hole")
    }
    warning = None
    if images < evaluation.min_images:
        warning = (
            f"{images} pictures, fewer than {evaluation.min_images}: the distance is biased upwards and compares only "
            "with distances over equally many pictures"
        )
    return entry | distances | {"images": images, "warning": warning}


def measure_presence(rows: pd.DataFrame, presence: Presence | None) -> dict | None:
    """Return the `presence` entry of the summary; None where the experiment asks for none."""
    if presence is None:
        return None
    entry = {
        "occluded": presence.occluded,
        "bare": presence.bare,
        "area": None,
        "items": {},
        "seen": {},
        "absent": None,
    }
    areas = {}
    for source in (presence.occluded, presence.bare):
        of_source = rows[rows["source"] == source]
        areas[source] = of_source.loc[~of_source["seen"], "predicted_area"].to_numpy()
        entry["items"][source] = len(areas[source])
        entry["seen"][source] = int(of_source["seen"].sum())
    if not all(map(len, areas.values())):
        return entry | {"absent": "one of the two sources has no face that was not trained on"}
    return entry | {"area": roc_area(areas[presence.occluded], areas[presence.bare])}


def _shard_features(
    keys: list[tuple[str, int]], pairs: Shard, outputs: Shard, weights: Path
) -> dict[tuple[str, str], np.ndarray]:
    """Return the features (n, d) of the truth and of each picture, whole and around the hole, for the given items."""
    pair_rows, output_rows = pairs.row_numbers(), outputs.row_numbers()
    places = {
        "truth": (pairs, "target", pair_rows),
        "copy": (pairs, "input", pair_rows),
        "raw": (outputs, "output", output_rows),
        "composite": (outputs, "composite", output_rows),
    }
    squares = {key: square_around(pairs.tensor("map", pair_rows[key]) > 0) for key in keys}
    features = {}
    for name, (shard, column, numbers) in places.items():
        pictures = {key: shard.tensor(column, numbers[key]) for key in keys}
        features["distance", name] = picture_features(pictures.values(), weights)
        cut = (_enlarged(picture[squares[key]], len(picture)) for key, picture in pictures.items())
        features["hole", name] = picture_features(cut, weights)
    return features


def square_around(hole: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of a square around a hole, bool (S, S), all of them where there is none."""
    size = len(hole)
    if not hole.any():
        return slice(0, size), slice(0, size)
    ends = [np.flatnonzero(hole.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    side = min(size, max(last - first + 1 for first, last in ends) + 2 * RIM)
    starts = [min(max(0, (first + last + 1 - side) // 2), size - side) for first, last in ends]
    return tuple(slice(start, start + side) for start in starts)


def _enlarged(picture: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
