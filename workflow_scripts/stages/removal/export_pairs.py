"""Stage: write an experiment's pairs and maps as folders of PNG files, which other programs read.

The folder is laid out as TensorFlow's and PyTorch's pix2pix read it:

- `pairs/{split}/{name}.png`: the bare face left, the same face with its occluder right.
- `maps/{split}/{name}.png`: white where the occluder is, else black.
- `items.csv`: `name`, `source`, `item`, `variant`, `kind`, `split`.

A name is that of source and item as a file name (`core/names.py`), and the number of the variant. A whole run does not
make this folder; ask for it by `snakemake --cores 2 results/{experiment}/export`.
"""

import csv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_folder
from workflow_scripts.core.names import file_names
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Inputs, OutputFolder, stage_command

EXPORTED = ("train", "val", "test")
COLUMNS = ("name", "source", "item", "variant", "kind", "split")


def export_pairs(splits: Input, pairs: Inputs, output: OutputFolder, threads: int) -> None:
    """Write the folder; what was there is replaced.

    Args:
        splits: the experiment's `splits` table; items of no split are left out.
        pairs: its `pairs` shards; those without a truth are left out.
        output: the folder.
        threads: shards written at the same time.
    """
    table = read_table(splits, ["source", "item", "split"])
    table = table[table["split"].isin(EXPORTED)]
    places = dict(zip(zip(table["source"], table["item"], strict=True), table["split"], strict=True))
    names = file_names({f"{source}/{item}": f"{source}/{item}" for source, item in places})
    with atomic_folder(output) as folder:
        for kind in ("pairs", "maps"):
            for split in EXPORTED:
                (folder / kind / split).mkdir(parents=True)
        with ProcessPoolExecutor(threads) as pool:
            written = pool.map(partial(write_pictures, places, names, folder), pairs)
            rows = [row for of_shard in tqdm(written, "export_pairs", len(pairs), mininterval=2) for row in of_shard]
        with open(folder / "items.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: row["name"]))


def write_pictures(places: dict[tuple[str, str], str], names: dict[str, str], folder: Path, path: Path) -> list[dict]:
    """Write the pictures of one shard and return their rows of `items.csv`.

    Args:
        places: (source, item) -> split of the items to write.
        names: `source/item` -> name of its files.
        folder: where `pairs/{split}/` and `maps/{split}/` are.
        path: `…/{source}/{shard}.arrow`.
    """
    cv2.setNumThreads(1)
    shard = Shard(path)
    return list(_written(shard, path.parent.name, places, names, folder)) if "target" in shard.columns else []


def _written(
    shard: Shard, source: str, places: dict[tuple[str, str], str], names: dict[str, str], folder: Path
) -> Iterator[dict]:
    kinds = shard.scalars("kind")
    for (item, variant), row in shard.row_numbers().items():
        split = places.get((source, item))
        if split is None:
            continue
        name = f"{names[f'{source}/{item}']}_{variant}"
        target, occluded = shard.tensor("target", row), shard.tensor("input", row)
        _write(folder / "pairs" / split / f"{name}.png", np.hstack([target, occluded])[..., ::-1])
        _write(folder / "maps" / split / f"{name}.png", shard.tensor("map", row))
        yield dict(zip(COLUMNS, (name, source, item, variant, kinds[row], split), strict=True))


def _write(path: Path, picture: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


main = stage_command(export_pairs)


if __name__ == "__main__":
    cli.run(main)
