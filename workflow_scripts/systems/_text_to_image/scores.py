"""The summary of generated pictures, beside what all systems have (`stages/experiments/summarize_scores.py`).

The rows of the table of scores are real pictures: how well noise is told from them, with adapters (`loss`) and without
(`loss_base`). `metrics.json` also has:

- `generated`: how many `pictures`, of how many `prompts`; `described`, by feature network: the Fréchet distances
  `frechet` from training and held-out pictures, and `frechet_base` those of the base model's pictures, each `train` and
  `test`, null where there are too few; `agreement` and `base_agreement`, mean cosines of CLIP's, null without one;
  `copies`: the median distances of generated (`nearest`) and held-out pictures (`test`) from the nearest training
  picture, and `fraction`, that of generated pictures which are nearer than 99 % of the held-out ones.
- `warning` where there are few pictures; `absent`: what is not measured, and why.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.core.shards import Shard
from workflow_scripts.metrics.frechet import frechet_distance, picture_features
from workflow_scripts.metrics.neighbours import find_pictures, tell_copies
from workflow_scripts.systems._text_to_image.columns import METRICS, SCORES
from workflow_scripts.systems._text_to_image.config import TextToImageExperiment

__all__ = ["METRICS", "PUBLISHED", "SCORES", "SORTED_BY", "SPLITS", "summarize"]
SORTED_BY = ("source", "item")
SPLITS = ("test", "train")
PUBLISHED: dict[str, tuple] = {}


def summarize(
    experiment: TextToImageExperiment,
    rows: pd.DataFrame,
    metrics: Sequence[Path],
    shards: Mapping[str, Sequence[Path]],
    weights: Mapping[str, Path],
) -> dict:
    """Return what the summary has beside what that of every system has.

    Args:
        experiment: its keys `evaluation`, `generation` and `train` are used.
        rows: the table of scores, which says which pictures are held out.
        metrics: not used.
        shards: kind -> paths of `latents` of every source, and of `samples` and `held_out`.
        weights: of the networks whose features are compared.
    """
    (path,) = shards["samples"]
    samples, evaluation = Shard(path), experiment.evaluation
    of_split = {split: rows[rows["split"] == split] for split in SPLITS}
    items = {split: set(zip(of["source"], of["item"], strict=True)) for split, of in of_split.items()}
    real = {split: find_pictures(shards["latents"], items[split], mirrored=True)[1] for split in SPLITS}
    generated = {
        column: [samples.tensor(column, row) for row in range(len(samples))] for column in ("image", "base_image")
    }
    counts = {f"scored {split}": len(pictures) for split, pictures in real.items()} | {"generated": len(samples)}
    few = [f"{count} {kind} pictures" for kind, count in counts.items() if count < evaluation.min_images]
    absent = {} if evaluation.clip else {"agreement with the words": "it needs a CLIP (key evaluation.clip)"}
    return {
        "generated": {
            "pictures": len(samples),
            "prompts": len(experiment.generation.prompts),
            "described": {name: _distances(generated, real, weights[name]) for name in evaluation.features},
            "copies": _copies(samples, Shard(*shards["held_out"])),
        }
        | {name: _mean(samples, name) for name in ("agreement", "base_agreement")},
        "warning": f"{', '.join(few)}, fewer than {evaluation.min_images}: Fréchet distances are biased upwards and "
        "compare only over equally many pictures"
        if few and evaluation.features
        else None,
        "absent": absent,
    }


def _distances(generated: Mapping[str, list], real: Mapping[str, list], weights: Path) -> dict:
    """Return the Fréchet distances of both sets of generated pictures from both of real ones."""
    features = {split: picture_features(pictures, weights) for split, pictures in real.items() if len(pictures) > 1}
    found = {}
    for name, column in (("frechet", "image"), ("frechet_base", "base_image")):
        own = picture_features(generated[column], weights) if len(generated[column]) > 1 else None
        found[name] = {
            split: None if own is None or split not in features else frechet_distance(own, features[split])
            for split in SPLITS
        }
    return found


def _copies(samples: Shard, held_out: Shard) -> dict:
    """Return how near generated pictures are to training pictures, beside held-out ones."""
    distances, held = (np.array(shard.scalars("nearest_distance")) for shard in (samples, held_out))
    if not len(held):
        return {"nearest": float(np.median(distances)), "test": None, "fraction": None}
    return tell_copies(distances, held)


def _mean(shard: Shard, column: str) -> float | None:
    return float(np.mean(shard.scalars(column))) if column in shard.columns else None
