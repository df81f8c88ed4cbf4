"""Stage: decide what each item is used for in one experiment, and close every leak between training and test.

A source's own split (by person, video time block or item) stands, but sources can overlap: the same picture in two
folders, the same person in two exports. So a training item whose picture (SHA-256) or person is also tested on is taken
out.
"""

import argparse
import os
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from workflow_scripts import cli
from workflow_scripts.config import BaseExperiment, BaseSource, Source
from workflow_scripts.randomness import stable_hash
from workflow_scripts.tables import SPLITS, TRAINING, Quarantine, read_table, write_table

PRIORITY = ("test", "val", "train")  # where a picture or person stands in several, the first keeps it


def assign_splits(
    experiment: BaseExperiment,
    sources: dict[str, BaseSource],
    seed: int,
    folder: Path,
    output: Path,
    training: Path,
    quarantine: Path,
) -> None:
    """Write the `splits` table of an experiment.

    Args:
        experiment: its `train`, `test`, `apply` and `score_train` keys are used.
        sources: the configuration of each source that it names.
        seed: of the configuration; decides which training items are scored.
        folder: `results/`, where each source has `index.parquet` and `quarantine.parquet`.
        output: the table: a row for each item that has a crop.
        training: its `train` and `val` rows alone, so that what is tested and applied changes no training.
        quarantine: the items taken out.

    Raises:
        UserError: no item is left to train on, to watch or to test on.
    """
    rejected = Quarantine("assign_splits")
    rows = pd.concat(
        [_usable_items(folder, name, config, experiment) for name, config in sources.items()], ignore_index=True
    )
    rows, taken_out = _close_leaks(_name_equal_pictures(rows))
    for row in taken_out.itertuples():
        rejected.add(
            row.item,
            f"also in the {row.keeper} set",
            f"{row.source}/{row.item}: its {row.why} is in the {row.keeper} set; remove one of the two to train on it",
        )
    rows["seen"] = (rows["split"] == "apply") & _shares_any(rows, rows[rows["split"].isin(["train", "val"])])
    rows["scored"] = rows["split"].isin(["test", "apply"]) | rows.index.isin(
        _scored_training_items(rows, seed, experiment.score_train)
    )
    for split in ("train", "val", "test"):
        if not (rows["split"] == split).any():
            raise cli.UserError(
                f"no item is left in the {split} set (sources {', '.join(sources)}); "
                f"add pictures, or change `split:` of a source so that {split} gets some"
            )
    rows = rows.sort_values(["source", "item"])
    write_table(output, rows[SPLITS.names], SPLITS)
    write_table(training, rows[rows["split"].isin(["train", "val"])][TRAINING.names], TRAINING)
    rejected.write(quarantine)


def _usable_items(folder: Path, name: str, config: BaseSource, experiment: BaseExperiment) -> pd.DataFrame:
    """Return the items of one source that have a crop, with the split that the experiment gives them at first."""
    index = read_table(folder / name / "index.parquet", ["item", "sha256", "identity", "split"])
    lost = read_table(folder / name / "quarantine.parquet", ["item"])["item"]
    rows = index[~index["item"].isin(set(lost))].assign(source=name)
    # Names of people can be compared only within one naming: CelebA's numbers, or one folder's file names.
    naming = config.type if config.type in ("celeba", "sample") else os.path.realpath(getattr(config, "path", name))
    rows["identity"] = [None if identity is None else f"{naming}\n{identity}" for identity in rows["identity"]]
    if name in experiment.apply:
        return rows.assign(split="apply")
    allowed = [*(["train", "val"] if name in experiment.train else []), *(["test"] if name in experiment.test else [])]
    return rows.assign(split=rows["split"].where(rows["split"].isin(allowed), "unused"))


def _name_equal_pictures(rows: pd.DataFrame) -> pd.DataFrame:
    """Give a picture without a person's name the name that an equal picture has in another source."""
    known = rows.dropna(subset=["identity"]).drop_duplicates("sha256").set_index("sha256")["identity"]
    named = rows["identity"].where(rows["identity"].notna(), rows["sha256"].map(known)).astype(object)
    return rows.assign(identity=named.where(named.notna(), None))


def _close_leaks(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that no split of higher priority holds too, and those taken out, with `keeper` and `why`."""
    taken = []
    for place, keeper in enumerate(PRIORITY[:-1]):
        held = rows[rows["split"] == keeper]
        lower = rows[rows["split"].isin(PRIORITY[place + 1 :])]
        for column, why in (("sha256", "picture"), ("identity", "person")):
            lost = lower[lower[column].notna() & lower[column].isin(set(held[column].dropna()))]
            taken.append(lost.assign(keeper=keeper, why=why))
            lower = lower.drop(lost.index)
        rows = rows.drop(pd.concat(taken).index, errors="ignore")
    return rows, pd.concat(taken)


def _shares_any(rows: pd.DataFrame, others: pd.DataFrame) -> pd.Series:
    """Tell which rows share their picture or their person with one of `others`."""
    picture = rows["sha256"].isin(set(others["sha256"]))
    return picture | (rows["identity"].notna() & rows["identity"].isin(set(others["identity"].dropna())))


def _scored_training_items(rows: pd.DataFrame, seed: int, count: int) -> pd.Index:
    training = rows[rows["split"] == "train"]
    rank = pd.Series(
        [stable_hash(seed, "scored", row.source, row.item) for row in training.itertuples()],
        training.index,
        dtype="uint64",
    )
    return rank.sort_values().index[:count]


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the stage."""
    from workflow_scripts.load_config import Experiment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="the experiment as JSON")
    parser.add_argument("--sources", required=True, help="JSON: name -> source")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="the results folder")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--training", type=Path, required=True)
    parser.add_argument("--quarantine", type=Path, required=True)
    args = parser.parse_args(argv)
    experiment = TypeAdapter(Experiment).validate_json(args.config)
    sources = TypeAdapter(dict[str, Source]).validate_json(args.sources)
    assign_splits(experiment, sources, args.seed, args.folder, args.output, args.training, args.quarantine)


if __name__ == "__main__":
    cli.run(main)
