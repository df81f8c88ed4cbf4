"""How well map networks find occluders by kind of difficulty: grey, tinted, dark, noisy, small, tilted, turned faces.

python -m benchmarks.mask_maps --results FOLDER --experiment NAME --checkpoints FOLDER [FOLDER ...]
    [--given given] [--occluded real_masks] [--bare bare_faces]

Each difficulty is made of the pictures at hand, in this file and not by the training's own augmentation. Of watched
items and of given pairs the intersection over union with the map of the difference is told, of photographs the area
under the ROC of the predicted area, occluded against bare faces, both made equally difficult. Of given pairs those of
the test set count, of bare faces those that were not trained on.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from workflow_scripts.core.shards import Shard
from workflow_scripts.faces.pose import head_yaw
from workflow_scripts.metrics.overlap import area, iou
from workflow_scripts.metrics.roc import roc_area
from workflow_scripts.systems._removal.inference import find_occluders
from workflow_scripts.systems._removal.maps import clean_map
from workflow_scripts.training.checkpoint import load_network

BATCH = 32
TURNED = 25  # degrees; from this estimated yaw on, a face counts as turned
LAMPS = ((1, 0.15, 0.85), (0.1, 0.25, 1), (1, 0.3, 0.1), (0.2, 0.9, 0.3))  # purple, blue, red, green

Change = Callable[[np.ndarray, int], np.ndarray]


def _grey(picture: np.ndarray, _number: int) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _tinted(picture: np.ndarray, number: int) -> np.ndarray:
    return np.rint(picture * np.array(LAMPS[number % len(LAMPS)])).astype(np.uint8)


def _dark(picture: np.ndarray, _number: int) -> np.ndarray:
    return np.rint(255 * (picture / 255) ** 2 * 0.5).astype(np.uint8)


def _noisy(picture: np.ndarray, number: int) -> np.ndarray:
    grain = np.random.default_rng(number).normal(0, 20, picture.shape)
    return np.rint(picture + grain).clip(0, 255).astype(np.uint8)


def _compressed(picture: np.ndarray, _number: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 12])[1], cv2.IMREAD_COLOR)


def _small(picture: np.ndarray, _number: int) -> np.ndarray:
    side = len(picture)
    return cv2.resize(cv2.resize(picture, (side // 4, side // 4), interpolation=cv2.INTER_AREA), (side, side))


def _far(picture: np.ndarray, _number: int) -> np.ndarray:
    side = len(picture)
    edge = side // 4
    small = cv2.resize(picture, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_REPLICATE)


def _tilted(picture: np.ndarray, number: int) -> np.ndarray:
    middle = (len(picture) - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), 30 if number % 2 else -30, 1)
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


COLOURS: dict[str, Change] = {
    "as they are": lambda picture, _number: picture,
    "grey": _grey,
    "tinted": _tinted,
    "dark": _dark,
    "noisy": _noisy,
    "compressed": _compressed,
    "small, enlarged": _small,
}
PLACES: dict[str, Change] = {"half as large": _far, "tilted by 30 degrees": _tilted}  # the map changes alike


class Items:
    """First variants of pairs: pictures, bare faces and maps where there are such, and by how much faces are turned.

    Args:
        results: the folder of results.
        experiment: the experiment's name.
        rows: of its table of splits.
    """

    def __init__(self, results: Path, experiment: str, rows: pd.DataFrame):
        self.pictures, self.targets, self.maps, yaws = [], [], [], []
        wanted = set(zip(rows["source"], rows["item"], strict=True))
        for path in sorted((results / experiment / "pairs").glob("*/*.arrow")):
            source = path.parent.name
            if source not in set(rows["source"]):
                continue
            pairs, crops = Shard(path), Shard(results / source / "crops" / path.name)
            faces = {item: row for row, item in enumerate(crops.items)}
            for (item, variant), row in pairs.row_numbers().items():
                if (source, item) in wanted and variant == 0:
                    self.pictures.append(pairs.tensor("input", row))
                    self.targets.append(pairs.tensor("target", row) if "target" in pairs.columns else None)
                    self.maps.append(pairs.tensor("map", row) if "map" in pairs.columns else None)
                    points = np.asarray(crops.tensor("landmarks", faces[item]), np.float64)
                    yaws.append(abs(head_yaw(points[None])[0]) if np.isfinite(points).all() else np.nan)
        self.turned = np.array(yaws) >= TURNED


def choose_items(args: argparse.Namespace) -> dict[str, Items]:
    """Return the watched items, the given test pairs, occluded photographs and bare ones not trained on."""
    rows = pd.read_parquet(args.results / args.experiment / "splits.parquet")
    rows = rows[~rows["seen"]]
    parts = {"watched": rows[rows["split"] == "val"]}
    for kind, split in (("given", "test"), ("occluded", "apply"), ("bare", "apply")):
        parts[kind] = rows[(rows["source"] == getattr(args, kind)) & (rows["split"] == split)]
    chosen = {kind: Items(args.results, args.experiment, part) for kind, part in parts.items()}
    counts = (f"{len(one.pictures)} {kind} ({one.turned.sum()} turned)" for kind, one in chosen.items())
    print(", ".join(counts) + "\n")
    return chosen


def parser_of(description: str) -> argparse.ArgumentParser:
    """Return a parser of the options that say which items are looked at."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--given", default="given")
    parser.add_argument("--occluded", default="real_masks")
    parser.add_argument("--bare", default="bare_faces")
    parser.add_argument("--opening", type=int, default=3)
    return parser


def predict(network: torch.nn.Module, pictures: Sequence[np.ndarray], opening: int) -> list[np.ndarray]:
    """Return the cleaned maps, bool (S, S) each, of pictures."""
    found = []
    for start in range(0, len(pictures), BATCH):
        probability = find_occluders(network, np.stack(pictures[start : start + BATCH]))
        found += [clean_map(np.rint(one * 255).astype(np.uint8), opening) > 0 for one in probability]
    return found


def measure(network: torch.nn.Module, opening: int, chosen: Mapping[str, Items]) -> pd.DataFrame:
    """Return a row for each difficulty: `watched` and `given`, both IoU, and `roc` of photographs."""
    rows = {}
    for name, change in (COLOURS | PLACES).items():
        found = {
            kind: predict(network, [change(picture, n) for n, picture in enumerate(items.pictures)], opening)
            for kind, items in chosen.items()
        }
        overlaps = {}
        for kind in ("watched", "given"):
            maps = chosen[kind].maps
            wanted = [change(plane, n) > 127 if name in PLACES else plane > 0 for n, plane in enumerate(maps)]
            overlaps[kind] = np.array([iou(a, b) for a, b in zip(found[kind], wanted, strict=True)])
        areas = {kind: np.array([area(one) for one in found[kind]]) for kind in ("occluded", "bare")}
        rows[name] = _row(overlaps, areas)
        if name == "as they are":
            turned = {kind: values[chosen[kind].turned] for kind, values in (overlaps | areas).items()}
            rows[f"turned by {TURNED} degrees or more"] = _row(turned, turned)
    return pd.DataFrame(rows).T


def _row(overlaps: Mapping[str, np.ndarray], areas: Mapping[str, np.ndarray]) -> dict[str, float]:
    row = {kind: overlaps[kind].mean() if len(overlaps[kind]) else np.nan for kind in ("watched", "given")}
    sides = areas["occluded"], areas["bare"]
    return row | {"roc": roc_area(*sides) if all(map(len, sides)) else np.nan}


def main() -> None:
    """Print a table with three columns for each folder of checkpoints."""
    parser = parser_of(__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = choose_items(args)
    tables = [
        measure(load_network(folder / "map.safetensors", torch.device("cpu")), args.opening, chosen)
        for folder in args.checkpoints
    ]
    print("| | " + " | ".join(f"{folder}: IoU watched | IoU given | ROC" for folder in args.checkpoints) + " |")
    print("|---" * (1 + 3 * len(tables)) + "|")
    for row in tables[0].index:
        values = (f"{table.loc[row, name]:.3f}" for table in tables for name in ("watched", "given", "roc"))
        print(f"| {row} | " + " | ".join(values) + " |")


if __name__ == "__main__":
    main()
