"""Stage: score the outputs of one shard against the truth, with the copy of the input as baseline.

Columns of the `metrics` table, one row per item and variant:

| column | type | meaning |
|---|---|---|
| `source`, `item` | string | |
| `variant` | int32 | which of the item's occluders |
| `split` | string | `test`, `train` or `apply` |
| `seen` | bool | an applied item whose person or picture was trained on |
| `kind` | string | kind of occluder; null where unknown |
| `psnr_{picture}_{region}` | float64 | dB of 8-bit values, at most 100 (equal pictures) |
| `ssim_{picture}_{region}` | float64 | scikit-image's definition, Gaussian window |
| `identity_{picture}` | float64 | cosine of dlib's face descriptors of picture and truth; null without landmarks |
| `faceres_{picture}` | float64 | likewise, by the network `faceres`; null where it is not asked for |
| `psnr_{best,mean}_hole` | float64 | the highest and the mean PSNR of all samples' composites; null where one is made |
| `spread` | float64 | of all samples: root of their mean variance in the predicted map, of 0..255; null likewise |
| `map_iou`, `map_dice` | float64 | predicted map against the difference map |
| `coverage_iou` | float64 | difference map against the drawn occluder's coverage (half or more); null for given pairs |
| `predicted_area`, `true_area` | float64 | fraction of the picture in the predicted map and in the difference map |

`{picture}` is `copy` (the input, unchanged), `raw` (the network's output) or `composite` (output inside the predicted
map, input outside it). `{region}` is `whole`, or `hole`: the pixels of the difference map. Scores that need a truth
are null where the source has none.
"""

import numpy as np
import torch
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table, write_table
from workflow_scripts.faces.descriptors import face_descriptors
from workflow_scripts.metrics.identity import cosine
from workflow_scripts.metrics.overlap import area, dice, iou
from workflow_scripts.metrics.pictures import compare_pictures, psnr_of_error
from workflow_scripts.metrics.recognition import recognition_descriptors
from workflow_scripts.models.faceres import FaceRes, load_faceres
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command
from workflow_scripts.systems._removal.columns import METRICS, REGIONS

HALF_COVERED = 128


def score_outputs(
    source: str,
    splits: Input,
    pairs: Input,
    maps: Input,
    outputs: Input,
    crops: Input,
    output: Output,
    weights: Inputs = (),
) -> None:
    """Write the `metrics` rows of the items in one `outputs` shard.

    Args:
        source: the source's name.
        splits: the experiment's `splits` table.
        pairs: shard with input and, where there is a truth, target, map and coverage.
        maps: shard with the predicted maps.
        outputs: shard with output and composite; its rows are the ones scored.
        crops: shard with the landmarks of the bare faces.
        output: the table.
        weights: of `faceres`, where it is asked for.
    """
    torch.set_num_threads(1)
    recogniser = load_faceres(weights[0]) if weights else None
    places = read_table(splits, ["source", "item", "split", "seen"])
    places = places[places["source"] == source].set_index("item")
    edited, paired, mapped, faces = Shard(outputs), Shard(pairs), Shard(maps), Shard(crops)
    pair_rows, map_rows = paired.row_numbers(), mapped.row_numbers()
    face_rows = {item: row for row, item in enumerate(faces.items)}
    kinds = paired.scalars("kind")
    rows = []
    progress = tqdm(edited.row_numbers().items(), f"score {source}", unit="picture", mininterval=2)
    for (item, variant), number in progress:
        place = pair_rows[item, variant]
        predicted = mapped.tensor("map", map_rows[item, variant]) > 0
        row = {"source": source, "item": item, "variant": variant, "kind": kinds[place]}
        row |= {"split": places.loc[item, "split"], "seen": bool(places.loc[item, "seen"])}
        row["predicted_area"] = area(predicted)
        if "target" in paired.columns:
            target, hole = paired.tensor("target", place), paired.tensor("map", place) > 0
            pictures = {
                "copy": paired.tensor("input", place),
                "raw": edited.tensor("output", number),
                "composite": edited.tensor("composite", number),
            }
            coverage = paired.tensor("coverage", place) if "coverage" in paired.columns else None
            row |= score_pictures(pictures, target, hole, faces.tensor("landmarks", face_rows[item]), recogniser)
            row |= score_map(predicted, hole, coverage)
        if "samples" in edited.columns:
            truth = (target, hole) if "target" in paired.columns else None
            row |= score_samples(edited.tensor("samples", number), predicted, truth)
        rows.append(row)
    write_table(output, sorted(rows, key=lambda row: (row["item"], row["variant"])), METRICS)


def score_pictures(
    pictures: dict[str, np.ndarray],
    target: np.ndarray,
    hole: np.ndarray,
    landmarks: np.ndarray,
    recogniser: FaceRes | None = None,
) -> dict[str, float | None]:
    """Return the columns `psnr_*`, `ssim_*`, `identity_*` and `faceres_*` of one item.

    Args:
        pictures: uint8 (S, S, 3) by name.
        target: uint8 (S, S, 3), the truth.
        hole: bool (S, S).
        landmarks: float (68, 2), of the truth; not finite where unknown.
        recogniser: the network of `faceres_*`; None for none.
    """
    scores = {}
    for name, picture in pictures.items():
        likeness = compare_pictures(picture, target, hole)
        scores |= {f"psnr_{name}_{region}": getattr(likeness, f"psnr_{region}") for region in REGIONS}
        scores |= {f"ssim_{name}_{region}": getattr(likeness, f"ssim_{region}") for region in REGIONS}
    if np.isfinite(landmarks).all():
        shown = [target, *pictures.values()]
        described = {"identity": face_descriptors(shown, landmarks)}
        if recogniser is not None:
            described["faceres"] = recognition_descriptors(recogniser, shown, landmarks)
        for network, (truth, *others) in described.items():
            scores |= {f"{network}_{name}": cosine(one, truth) for name, one in zip(pictures, others, strict=True)}
    return scores


def score_samples(
    samples: np.ndarray, predicted: np.ndarray, truth: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, float]:
    """Return the columns of one item that are about several pictures of it.

    Args:
        samples: their composites, uint8 (n, S, S, 3).
        predicted: the predicted map, bool (S, S).
        truth: uint8 (S, S, 3), and the hole, bool (S, S); None where it is not known.
    """
    scores = {"spread": float(np.sqrt(samples[:, predicted].var(axis=0).mean()))} if predicted.any() else {}
    if truth is not None and (hole := truth[1]).any():
        errors = ((samples.astype(np.float64) - truth[0])[:, hole] ** 2).mean(axis=(1, 2))
        likeness = [psnr_of_error(error) for error in errors]
        scores |= {"psnr_best_hole": max(likeness), "psnr_mean_hole": float(np.mean(likeness))}
    return scores


def score_map(predicted: np.ndarray, difference: np.ndarray, coverage: np.ndarray | None) -> dict[str, float | None]:
    """Return the columns that compare one item's maps, bool (S, S) each; coverage is uint8 (S, S) or None."""
    return {
        "map_iou": iou(predicted, difference),
        "map_dice": dice(predicted, difference),
        "coverage_iou": None if coverage is None else iou(difference, coverage >= HALF_COVERED),
        "true_area": area(difference),
    }


main = stage_command(score_outputs)


if __name__ == "__main__":
    cli.run(main)
