"""The summary of completed faces.

Means are taken for each method by itself: entries of `scores` and `gaps` have a key `method`, and are over the rows at
knob 1 without a move. Beside what all systems have (`stages/experiments/summarize_scores.py`), `metrics.json` has:

- `distance`: the name of the distance that `diversity_…` is measured by.
- `keypoints`: a list, for each split and each `kind` of hole and for all (null) the means of `KEYPOINT_SCORES`;
  `nme_in_where_dlib` is that of the predicted points over the holes in which dlib finds a face and has points in them,
  so that it compares with `dlib_nme_in`.
- `curve`: a list, one entry for each method and knob: the means of all scores over the test items that are completed
  at every knob. A method without a knob has one entry.
- `moves`: a list, one entry for each method and move: `nme_asked`, beside `nme_unmoved`, the error of the completions
  without that move, and `nme_floor`, that of the true pictures against their own landmarks.
- `found`: for each method the share of samples with a face, of the test holes of up to `SMALL` of the picture and of
  larger ones, beside that of the true pictures (`truth`).
- `frechet`: `features` (the network's name), `images`, `distance` from the truth of the first sample of each method,
  `warning` when there are too few pictures, `absent` with the reason when there is no distance. Test items only.
- `against_variational`: for each VAE-GAN and knob, its landmark error and diversity in the hole, that of ours at the
  same error (`ours`) and the `ratio`; `at_one` is the smallest ratio at knob 1. Null where they were not both trained.
- `against_mean`: by how many dB the best sample of ours is above the mean completion in the hole, `pairs` counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.metrics.frechet import frechet_distance, picture_features
from workflow_scripts.metrics.perceptual import NAMES as DISTANCES
from workflow_scripts.metrics.summary import summarize_group
from workflow_scripts.systems._completion.columns import (
    KEYPOINT_SCORES,
    KEYPOINTS,
    MEAN,
    METRICS,
    OURS,
    SCORES,
    in_order,
)
from workflow_scripts.systems._completion.columns import KEYS as SORTED_BY
from workflow_scripts.systems._completion.config import CompletionExperiment, Evaluation
from workflow_scripts.systems._completion.curve import HOLE, compare_diversity, plain_rows, summarize_curve
from workflow_scripts.systems._completion.published import PUBLISHED

__all__ = ["METRICS", "PUBLISHED", "SCORES", "SORTED_BY", "SPLITS", "parts", "summarize"]
SPLITS = ("test", "train", "apply")
SMALL = 0.4  # of the picture; holes up to which nearly all completions should show a face


def parts(rows: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """Return for each method `{"method": name}` and its rows at knob 1 without a move."""
    plain = plain_rows(rows)
    return [({"method": method}, plain[plain["method"] == method]) for method in in_order(plain["method"])]


def summarize(
    experiment: CompletionExperiment,
    rows: pd.DataFrame,
    metrics: Sequence[Path],
    shards: Mapping[str, Sequence[Path]],
    weights: Mapping[str, Path],
) -> dict:
    """Return what the summary has beside what that of every system has.

    Args:
        experiment: its key `evaluation` is used.
        rows: the table of scores.
        metrics: `metrics/{source}/{shard}.parquet` of every source.
        shards: kind -> `{kind}/{source}/{shard}.arrow` in the same order.
        weights: name -> file of the pretrained networks that `experiment.summary_weights` names.
    """
    test = rows[(rows["split"] == "test") & (rows["method"] != KEYPOINTS)]
    curve = summarize_curve(test)
    return {
        "distance": DISTANCES[experiment.evaluation.distance],
        "keypoints": summarize_keypoints(rows[rows["method"] == KEYPOINTS]),
        "curve": curve,
        "moves": summarize_moves(test),
        "found": summarize_found(plain_rows(test)),
        "frechet": measure_frechet(experiment.evaluation, metrics, shards, weights.get(experiment.evaluation.features)),
        "against_variational": compare_diversity(curve),
        "against_mean": compare_best(plain_rows(test)),
    }


def summarize_keypoints(rows: pd.DataFrame) -> list[dict]:
    """Return the `keypoints` entry of the summary."""
    rows = rows.assign(nme_in_where_dlib=rows["nme_in"].where(rows["dlib_nme_in"].notna()))
    entries = []
    for split in SPLITS:
        of_split = rows[rows["split"] == split]
        for kind in [None, *sorted(of_split["kind"].unique())]:
            group = of_split if kind is None else of_split[of_split["kind"] == kind]
            if len(group):
                summary = summarize_group(group, (*KEYPOINT_SCORES, "nme_in_where_dlib"))
                entries.append({"split": split, "kind": kind} | summary)
    return entries


def summarize_moves(rows: pd.DataFrame) -> list[dict]:
    """Return the `moves` entry of the summary; `nme_floor` is that of the same holes."""
    moved = rows[rows["move"] != ""].drop(columns="nme_floor")
    floors = plain_rows(rows)[[*HOLE, "method", "nme_floor"]]
    moved = moved.merge(floors, "left", [*HOLE, "method"])
    scores = ("found", "nme_asked", "nme_unmoved", "nme_floor")
    return [
        {"method": method, "move": move} | summarize_group(group, scores)
        for method in in_order(moved["method"])
        for move, group in moved[moved["method"] == method].groupby("move")
    ]


def summarize_found(rows: pd.DataFrame) -> list[dict]:
    """Return the `found` entry of the summary."""
    entries = []
    for method in in_order(rows["method"]):
        of_method = rows[rows["method"] == method]
        for name, group in (("small", of_method["area"] <= SMALL), ("large", of_method["area"] > SMALL)):
            if group.any():
                means = of_method.loc[group, ["found", "found_truth"]].mean()
                entry = {"method": method, "holes": name, "items": int(group.sum())}
                entries.append(entry | {"found": float(means["found"]), "truth": float(means["found_truth"])})
    return entries


def measure_frechet(
    evaluation: Evaluation, metrics: Sequence[Path], shards: Mapping[str, Sequence[Path]], weights: Path | None
) -> dict:
    """Return the `frechet` entry of the summary, over the test holes of all shards."""
    entry = {"features": evaluation.features, "images": 0, "distance": None, "warning": None, "absent": None}
    if weights is None:
        return entry | {"absent": "no feature network was asked for (`evaluation: {features: none}`)"}
    sets: dict[str, list[np.ndarray]] = {}
    truths, counts = [], []
    for number, table in enumerate(metrics):
        rows = plain_rows(read_table(table, [*HOLE, "split", "method", "knob", "move"]))
        rows = rows[(rows["split"] == "test") & (rows["method"] != KEYPOINTS)]
        if not len(rows):
            continue
        holes, holed = rows.groupby("item")["variant"].unique(), Shard(shards["holes"][number])
        places = holed.row_numbers()
        firsts = (holed.tensor("target", places[item, variants[0]]) for item, variants in holes.items())
        truths.append(picture_features(firsts, weights))
        counts += [len(variants) for variants in holes]
        for method, of_method in rows.groupby("method"):
            made = Shard(shards[f"completed_{method}"][number])
            features = picture_features(_first_samples(made, of_method), weights)
            sets.setdefault(method, []).append(features)
    if sum(counts) < 2:
        return entry | {"images": sum(counts), "absent": "fewer than two test items"}
    truth = np.repeat(np.concatenate(truths), counts, axis=0)  # each as often as it has holes
    distance = {name: frechet_distance(np.concatenate(sets[name]), truth) for name in in_order(sets)}
    warning = None
    if len(truth) < evaluation.min_images:
        warning = (
            f"{len(truth)} pictures of {len(counts)} faces, fewer than {evaluation.min_images}: the distance is biased "
            "and compares only with distances over equally many pictures"
        )
    return entry | {"images": len(truth), "distance": distance, "warning": warning}


def _first_samples(made: Shard, rows: pd.DataFrame) -> Iterator[np.ndarray]:
    numbers = made.row_numbers()
    for item, variant in rows[["item", "variant"]].itertuples(index=False):
        yield made.tensor("samples", numbers[item, variant, 1.0, ""])[0]


def compare_best(rows: pd.DataFrame) -> dict | None:
    """Return the `against_mean` entry of the summary, over the holes that both methods completed."""
    ours, mean = (rows[rows["method"] == method].set_index(HOLE) for method in (OURS, MEAN))
    difference = (ours["psnr_best_hole"] - mean["psnr_mean_hole"]).dropna()
    return {"dB": float(difference.mean()), "pairs": len(difference)} if len(difference) else None
