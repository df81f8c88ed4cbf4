"""The summary of generated pictures, beside what all systems have (`stages/experiments/summarize_scores.py`).

The rows of the table of scores are real squares: how well their masks bound what they show. `metrics.json` also has:

- `networks`: for each generator its `channels`, `seed` (1, 2, …), `samples`, `classes` that it uses, `described`,
  `masks` (means of the mask scores over the samples; null for 3 channels) and `copies`.
- `real`: `train` and `test`: `pictures` and `described`, so that real pictures stand beside samples.
- `described`: by feature network: `score` (of predicted classes: `mean`, `deviation`, `whole`, `splits`), and `train`
  and `test`: the distances from those real pictures, `frechet`, `kernel`, `precision`, `recall`, and `pictures`, how
  many there are of each; null where there are too few. Four channels are scored by their RGB.
- `copies`: `nearest`, the median distance of the samples from the nearest training picture (`neighbours.py`);
  `test`, that of held-out pictures; `fraction` of the samples that are nearer than 99 % of the held-out pictures.
- `features`: the feature networks; `warning` where there are few pictures; `absent`: what is not measured, and why.
- `comparison`: for each score the values of 3 and 4 channels over the seeds, `rgb` and `masked` (`mean`, 95 % interval
  `low` to `high`, `count`), their `difference` (with `p` of the paired t test and the effect size `d`), and `better`:
  whether more of it is; `decided_by`, the title of the score that decides; `answer` in a few words and `verdict` in one
  sentence. Null where only one number of channels was trained.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.shards import Shard
from workflow_scripts.metrics.distributions import class_score, kernel_distance, precision_recall
from workflow_scripts.metrics.frechet import frechet_distance
from workflow_scripts.metrics.neighbours import TrainingPictures, tell_copies
from workflow_scripts.systems._generation.columns import MASK_SCORES, METRICS
from workflow_scripts.systems._generation.comparison import compare
from workflow_scripts.systems._generation.config import GenerationExperiment, SampleEvaluation, channels_of, number_of
from workflow_scripts.systems._generation.published import PUBLISHED

SCORES = MASK_SCORES
__all__ = ["METRICS", "PUBLISHED", "SCORES", "SORTED_BY", "SPLITS", "summarize"]
SORTED_BY = ("source", "item", "variant")
SPLITS = ("test", "train")
REAL = ("train", "test")
CPU = torch.device("cpu")


def summarize(
    experiment: GenerationExperiment,
    rows: pd.DataFrame,
    metrics: Sequence[Path],
    shards: Mapping[str, Sequence[Path]],
    weights: Mapping[str, Path],
) -> dict:
    """Return what the summary has beside what that of every system has.

    Args:
        experiment: its keys `evaluation`, `channels`, `seeds` and `train` are used.
        rows: the table of scores; not used.
        metrics: not used.
        shards: kind -> paths of `squares` and `features` of every source in the same order, and of `samples`.
        weights: not used.
    """
    evaluation = experiment.evaluation
    real = Real(shards["squares"], shards["features"], evaluation)
    networks = {path.parent.name: _summary_of(path, real, evaluation) for path in shards["samples"]}
    few = [f"{real.count(split)} {split} pictures" for split in REAL if real.count(split) < evaluation.min_images]
    few += [f"{evaluation.samples} samples"] if evaluation.samples < evaluation.min_images else []
    return {
        "features": list(evaluation.features),
        "networks": networks,
        "real": {split: {"pictures": real.count(split), "described": real.describe_itself(split)} for split in REAL},
        "warning": _warning(few, evaluation.min_images),
        "absent": _absent(evaluation),
        "comparison": compare(networks, evaluation.features),
    }


class Real:
    """The real squares of an experiment.

    Args:
        squares: `squares/{source}/{shard}.arrow`.
        features: `features/{source}/{shard}.arrow` in the same order.
        evaluation: what is measured.

    Raises:
        UserError: there is no picture of a split.
    """

    def __init__(self, squares: Sequence[Path], features: Sequence[Path], evaluation: SampleEvaluation):
        self.evaluation = evaluation
        self._keys: dict[str, list] = {split: [] for split in REAL}
        self._pictures: dict[str, list] = {split: [] for split in REAL}
        parts: dict[tuple[str, str], list] = {}
        for square_path, feature_path in zip(squares, features, strict=True):
            shard, described = Shard(square_path), Shard(feature_path)
            places, splits = shard.row_numbers(), np.array(described.scalars("split"), object)
            for key, split in zip(described.row_numbers(), splits, strict=True):
                self._keys[split].append((square_path.parent.name, *key))
                self._pictures[split].append(shard.tensor("image", places[key]))
            for split in REAL:
                chosen = np.flatnonzero(splits == split)
                for column in described.columns if len(chosen) else ():
                    if column.endswith(("_features", "_logits")):
                        parts.setdefault((split, column), []).append(described.tensors(column, chosen))
        for split in REAL:
            if not self._keys[split]:
                raise UserError(
                    f"no {split} picture has become a square, so there is nothing to compare samples with; lower "
                    "`squares: {min_area: …}`, or change `split:` of a source"
                )
        self._columns = {place: np.concatenate(values) for place, values in parts.items()}
        self.training = TrainingPictures(self._keys["train"], self._pictures["train"], CPU)
        found = self.training.nearest(self._pictures["test"])
        self.test_distances = np.array([row["nearest_distance"] for row in found])

    def count(self, split: str) -> int:
        """Return the number of squares of a split."""
        return len(self._keys[split])

    def describe_itself(self, split: str) -> dict:
        """Return the `described` of the real pictures of a split, whose distance from themselves is left out."""
        columns = {column: values for (place, column), values in self._columns.items() if place == split}
        return self.describe(columns, [other for other in REAL if other != split])

    def describe(self, columns: Mapping[str, np.ndarray], against: Sequence[str] = REAL) -> dict:
        """Return the `described` of pictures whose features and logits are given by column."""
        described = {}
        for name in self.evaluation.features:
            features = columns[f"{name}_features"]
            entry = {"score": class_score(columns[f"{name}_logits"], self.evaluation.splits)}
            for split in against:
                entry[split] = _distances(features, self._columns[split, f"{name}_features"], self.evaluation)
            described[name] = entry
        return described


def _distances(features: np.ndarray, real: np.ndarray, evaluation: SampleEvaluation) -> dict | None:
    """Return the distances of a set of pictures from real ones; None where there are too few."""
    if min(len(features), len(real)) <= evaluation.neighbours:
        return None
    some, some_real = features[: evaluation.points], real[: evaluation.points]
    precision, recall = precision_recall(some_real, some, evaluation.neighbours)
    return {
        "frechet": frechet_distance(features, real),
        "kernel": kernel_distance(some, some_real),
        "precision": precision,
        "recall": recall,
        "pictures": [len(features), len(real)],
    }


def _summary_of(path: Path, real: Real, evaluation: SampleEvaluation) -> dict:
    """Return the entry of one generator."""
    shard, network = Shard(path), path.parent.name
    rows = range(len(shard))
    columns = {
        f"{name}_{kind}": shard.tensors(f"{name}_{kind}", rows)
        for name in evaluation.features
        for kind in ("features", "logits")
    }
    masked = channels_of(network) == 4
    return {
        "channels": channels_of(network),
        "seed": number_of(network),
        "samples": len(shard),
        "classes": len(set(shard.scalars("class"))),
        "described": real.describe(columns),
        "masks": {name: _mean(shard.scalars(name)) for name in MASK_SCORES} if masked else None,
        "copies": tell_copies(np.array(shard.scalars("nearest_distance")), real.test_distances),
    }


def _mean(values: Sequence[float]) -> float | None:
    found = np.array(values, float)
    return float(np.nanmean(found)) if np.isfinite(found).any() else None


def _warning(few: Sequence[str], wanted: int) -> str | None:
    if not few:
        return None
    return (
        f"{', '.join(few)}, fewer than {wanted}: Fréchet distances are biased upwards and compare only over equally "
        "many pictures, and scores of classes fall with fewer pictures"
    )


def _absent(evaluation: SampleEvaluation) -> dict[str, str]:
    absent = {}
    if "inception" not in evaluation.features:
        absent["Inception Score, FID, KID"] = (
            "they need the weights of Inception (key weights.inception), and inception in evaluation.features"
        )
    if not evaluation.features:
        absent["scores by features"] = "no network was asked for (evaluation.features is empty)"
    return absent
