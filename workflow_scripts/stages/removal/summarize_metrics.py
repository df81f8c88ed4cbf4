"""Stage: gather the scores of an experiment: all rows in one table, their summary in one JSON file.

`metrics.json`, where null means not measured and a neighbouring text says why:

- `scores`: a list, one entry for each `split` (`test`, `train`), `source` and `kind` of occluder that occurs; null as
  source or kind means all of them together. `items` counts its rows; `mean`, `median` and `count` hold a number for
  each score of the `metrics` table (`score_outputs.py`; `count` is the number of rows that have it).
  `psnr_copy_whole` and the like are the baseline: the input, unchanged.
- `gaps`: a list, one entry for each source that is both trained and tested on, and one for all together (null; training
  and test items may then come from different sources): for each score, the mean of training less that of test items.
- `frechet`: `features` (the network's name), `images`, `distance` from the truth of `copy`, `raw` and `composite`,
  `warning` when there are too few pictures, `absent` with the reason when there is no distance. Test items only.
- `presence`: the predicted area as a detector of an occluder: the two sources, `area` under ROC over items that were
  not trained on, `items` of each, `seen` (items left out because they were trained on), `absent` with the reason when
  there is no area; null when the experiment asks for none.
- `published`: rows to show beside, each measured on other items.
- `items`: for each source, how many items have pairs (`paired`) and how many are scored (`scored`).
- `quarantined`: the experiment's lost items, counted by stage, source and reason.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.core import cli
from workflow_scripts.core.files import write_json
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, read_tables, write_table
from workflow_scripts.metrics.frechet import frechet_distance, picture_features
from workflow_scripts.metrics.roc import roc_area
from workflow_scripts.metrics.summary import (
    EXPERIMENT_QUARANTINE,
    count_paired_and_scored,
    count_reasons,
    merge_quarantine,
    summarize_scores,
    training_gaps,
)
from workflow_scripts.systems._removal.columns import METRICS, PICTURES, SCORES
from workflow_scripts.systems._removal.config import Evaluation, Presence
from workflow_scripts.systems._removal.published import PUBLISHED


def summarize_metrics(
    experiment: BaseExperiment,
    metrics: list[Path],
    pairs: list[Path],
    outputs: list[Path],
    weights: Path | None,
    quarantine: list[Path],
    output: Path,
    summary: Path,
    quarantined: Path,
) -> None:
    """Write the table, the summary and the quarantine of one experiment.

    Args:
        experiment: its keys `evaluation` and, where the system has it, `presence` are used.
        metrics: `metrics/{source}/{shard}.parquet` of every source.
        pairs: `pairs/{source}/{shard}.arrow` in the same order.
        outputs: `outputs/{source}/{shard}.arrow` in the same order.
        weights: of the feature network; None: no Fréchet distance.
        quarantine: `quarantine/{stage}/{source}/{shard}.parquet`; the source is the folder's name.
        output: the table, sorted by source, item and variant.
        summary: the JSON file described above.
        quarantined: the merged quarantine, with a column `source`.
    """
    rows = read_tables(metrics).sort_values(["source", "item", "variant"], ignore_index=True)
    write_table(output, rows, METRICS)
    lost = merge_quarantine(quarantine)
    write_table(quarantined, lost, EXPERIMENT_QUARANTINE)
    write_json(
        summary,
        {
            "scores": summarize_scores(rows, SCORES, ("test", "train")),
            "gaps": training_gaps(rows, SCORES),
            "frechet": measure_frechet(experiment.evaluation, metrics, pairs, outputs, weights),
            "presence": measure_presence(rows, getattr(experiment, "presence", None)),
            "published": [row._asdict() for row in PUBLISHED.get(experiment.system, ())],
            "items": count_paired_and_scored(rows, pairs),
            "quarantined": count_reasons(lost),
        },
    )


def measure_frechet(
    evaluation: Evaluation, metrics: list[Path], pairs: list[Path], outputs: list[Path], weights: Path | None
) -> dict:
    """Return the `frechet` entry of the summary, over the test items of all shards."""
    entry = {"features": evaluation.features, "images": 0, "distance": None, "warning": None, "absent": None}
    if weights is None:
        return entry | {"absent": "no feature network was asked for (`evaluation: {features: none}`)"}
    sets: dict[str, list[np.ndarray]] = {"truth": [], **{name: [] for name in PICTURES}}
    for table, pair_path, output_path in zip(metrics, pairs, outputs, strict=True):
        rows = read_table(table, ["item", "variant", "split"])
        rows = rows[rows["split"] == "test"]
        if len(rows):
            keys = list(zip(rows["item"], rows["variant"], strict=True))
            for name, features in _shard_features(keys, Shard(pair_path), Shard(output_path), weights).items():
                sets[name].append(features)
    images = sum(map(len, sets["truth"]))
    if images < 2:
        return entry | {"images": images, "absent": "fewer than two test items"}
    stacked = {name: np.concatenate(parts) for name, parts in sets.items()}
    distance = {name: frechet_distance(stacked[name], stacked["truth"]) for name in PICTURES}
    warning = None
    if images < evaluation.min_images:
        warning = (
            f"{images} pictures, fewer than {evaluation.min_images}: the distance is biased upwards and compares only "
            "with distances over equally many pictures"
        )
    return entry | {"images": images, "distance": distance, "warning": warning}


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


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    from workflow_scripts.config.load import Experiment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="the experiment as JSON")
    for name in ("metrics", "pairs", "outputs"):
        parser.add_argument(
            f"--{name}", type=Path, nargs="+", required=True, help="shards of all sources, in one order"
        )
    parser.add_argument("--weights", type=Path, help="of the feature network, where one is configured")
    parser.add_argument("--quarantine", type=Path, nargs="+", required=True, help="tables of the experiment's stages")
    parser.add_argument("--output", type=Path, required=True, help="the table of all scores")
    parser.add_argument("--summary", type=Path, required=True, help="the JSON file")
    parser.add_argument("--quarantined", type=Path, required=True, help="the merged quarantine")
    args = parser.parse_args(argv)
    experiment = TypeAdapter(Experiment).validate_json(args.config)
    summarize_metrics(
        experiment,
        args.metrics,
        args.pairs,
        args.outputs,
        args.weights,
        args.quarantine,
        args.output,
        args.summary,
        args.quarantined,
    )


def _shard_features(keys: list[tuple[str, int]], pairs: Shard, outputs: Shard, weights: Path) -> dict[str, np.ndarray]:
    """Return the features (n, d) of the truth and of each picture, for the given items and variants."""
    pair_rows, output_rows = pairs.row_numbers(), outputs.row_numbers()
    places = {
        "truth": (pairs, "target", pair_rows),
        "copy": (pairs, "input", pair_rows),
        "raw": (outputs, "output", output_rows),
        "composite": (outputs, "composite", output_rows),
    }
    return {
        name: picture_features((shard.tensor(column, numbers[key]) for key in keys), weights)
        for name, (shard, column, numbers) in places.items()
    }


if __name__ == "__main__":
    cli.run(main)
