"""The scale of both measures of identity: cosines of two pictures of one person, and of two people.

python -m benchmarks.identity --results FOLDER --source NAME --faceres results/weights/faceres.safetensors [--most 4]

The source's people are those that its key `identity` finds. Of each, the first `--most` pictures are looked at.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.core.shards import Shard
from workflow_scripts.faces.descriptors import face_descriptors
from workflow_scripts.metrics.recognition import recognition_descriptors
from workflow_scripts.metrics.roc import roc_area
from workflow_scripts.models.faceres import load_faceres


def describe(results: Path, source: str, network: torch.nn.Module, most: int) -> tuple[np.ndarray, dict]:
    """Return the person of each picture, and measure -> descriptors (n, d)."""
    index = pd.concat([pd.read_parquet(path) for path in sorted((results / source / "index").glob("*.parquet"))])
    known = index.dropna(subset=["identity"]).groupby("identity").head(most)
    person_of = dict(zip(known["item"], known["identity"], strict=True))
    people, described = [], {"dlib": [], "faceres": []}
    for path in sorted((results / source / "crops").glob("*.arrow")):
        shard = Shard(path)
        for row, item in enumerate(shard.items):
            if item in person_of:
                picture, landmarks = shard.tensor("image", row), shard.tensor("landmarks", row)
                people.append(person_of[item])
                described["dlib"] += [*face_descriptors([picture], landmarks)]
                described["faceres"] += [*recognition_descriptors(network, [picture], landmarks)]
    return np.array(people), described


def main() -> None:
    """Print a row for each measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--faceres", type=Path, required=True)
    parser.add_argument("--most", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    people, described = describe(args.results, args.source, load_faceres(args.faceres), args.most)
    first, second = np.tril_indices(len(people), -1)
    same = people[first] == people[second]
    print(
        f"{len(set(people))} people, {len(people)} pictures; {same.sum()} pairs of one person, {(~same).sum()} of two\n"
    )
    print("| measure | one person, mean (tenth of the pairs below) | two people, mean (tenth above) | ROC area |")
    print("|---|---|---|---|")
    for name, rows in described.items():
        vectors = np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = (vectors[first] * vectors[second]).sum(1)
        one, two = cosines[same], cosines[~same]
        ends = np.quantile(one, 0.1), np.quantile(two, 0.9)
        values = one.mean(), ends[0], two.mean(), ends[1], roc_area(one, two)
        print("| {} | {:.3f} ({:.3f}) | {:.3f} ({:.3f}) | {:.3f} |".format(name, *values))


if __name__ == "__main__":
    main()
