"""Stage: decide what each item is used for in one experiment, and close every leak between training and test.

A source's own split (by person, video time block or item) stands, but sources can overlap: the same picture in two
folders, the same person in two exports. So a training item whose picture (SHA-256) or person is also tested on is taken
out, and so is one whose picture is nearly the same as a tested one: re-encoded, resized, trimmed or mirrored. Frames of
one video are all alike, so they are divided by its time blocks alone.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.config.experiments import BaseExperiment
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.core import cli
from workflow_scripts.core.fingerprints import find_near
from workflow_scripts.core.randomness import stable_hash
from workflow_scripts.core.shards import Shard
from workflow_scripts.core.tables import SPLITS, TRAINING, Quarantine, read_table, write_table
from workflow_scripts.provenance.stage import Inputs, Output, stage_command

PRIORITY = ("test", "val", "train")  # a picture or person that is in several of them stays in the first


def assign_splits(
    experiment: BaseExperiment,
    sources: dict[str, BaseSource],
    seed: int,
    index: Inputs,
    source_quarantine: Inputs,
    fingerprints: Inputs,
    output: Output,
    training: Output,
    quarantine: Output,
) -> None:
    """Write the `splits` table of an experiment.

    Args:
        experiment: its `train`, `test`, `apply` and `score_train` keys are used.
        sources: the configuration of each source that it names.
        seed: of the configuration; decides which training items are scored.
        index: `{source}/index.parquet` of every source.
        source_quarantine: `{source}/quarantine.parquet` of every source.
        fingerprints: `{source}/{kind}/{shard}.arrow` with the fingerprints of the pictures of every source: its crops
            or, where the experiment needs no faces, what `fingerprint_pictures` made.
        output: the table: a row for each item that is not in quarantine.
        training: its `train` and `val` rows alone. Trainings depend on it and not on the whole table, so that a change
            of what is only tested on or applied does not repeat them.
        quarantine: the items taken out.

    Raises:
        UserError: no item is left to train on, to watch or to test on.
    """
    rejected = Quarantine("assign_splits")
    indexes, lost = ({path.parent.name: path for path in paths} for paths in (index, source_quarantine))
    rows = pd.concat(
        [_usable_items(indexes[name], lost[name], name, config, experiment) for name, config in sources.items()],
        ignore_index=True,
    )
    pictures = Pictures(rows, fingerprints)
    rows, taken_out = _close_leaks(_name_equal_pictures(rows))
    rows, copies = _close_near_leaks(rows, pictures)
    for row in taken_out.itertuples():
        rejected.add(
            row.item,
            f"also in the {row.keeper} set",
            f"{row.source}/{row.item}: its {row.why} is in the {row.keeper} set; remove one of the two to train on it",
        )
    for row in copies.itertuples():
        rejected.add(
            row.item,
            f"nearly the same as a {row.keeper} item",
            f"{row.source}/{row.item}: a copy of {row.copy_of}, which is in the {row.keeper} set; "
            "remove one of the two to train on it",
        )
    trained, applied = rows[rows["split"].isin(["train", "val"])], rows[rows["split"] == "apply"]
    copied = applied.index[pictures.find_near(applied, trained) >= 0]
    rows["seen"] = (rows["split"] == "apply") & (_shares_any(rows, trained) | rows.index.isin(copied))
    rows["scored"] = rows["split"].isin(["test", "apply"]) | rows.index.isin(
        _scored_training_items(rows, seed, experiment.score_train)
    )
    for split in ("train", "val", "test"):
        if not (rows["split"] == split).any():
            asked = experiment.test if split == "test" else experiment.train
            raise cli.UserError(
                f"no item is left in the {split} set (sources {', '.join(asked)}); "
                f"add pictures or videos, or change `split:` of a source so that {split} gets some"
            )
    rows = rows.sort_values(["source", "item"])
    write_table(output, rows[SPLITS.names], SPLITS)
    write_table(training, rows[rows["split"].isin(["train", "val"])][TRAINING.names], TRAINING)
    rejected.write(quarantine)


class Pictures:
    """What the pictures of items look like.

    Args:
        rows: items with `source`, `item`, `file` and `frame`; their index names them in `find_near`.
        shards: what holds their fingerprints.
    """

    def __init__(self, rows: pd.DataFrame, shards: Sequence[Path]):
        places = {
            (source, item): label for label, source, item in zip(rows.index, rows["source"], rows["item"], strict=True)
        }
        self._prints = np.zeros((len(rows), 4), np.uint64)
        for path in shards:
            shard = Shard(path)
            for row, item in enumerate(shard.items):
                if (label := places.get((path.parent.parent.name, item))) is not None:
                    self._prints[label] = shard.tensor("fingerprint", row)
        clips = rows.groupby(["source", "file"], dropna=False).ngroup()
        self._clips = np.where(rows["frame"].notna(), clips, -1)

    def find_near(self, rows: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
        """Return for each of `rows` the position in `others` of a nearly equal picture, -1 where there is none."""
        chosen = [(self._prints[labels], self._clips[labels]) for labels in (rows.index, others.index)]
        (prints, clips), (other_prints, other_clips) = chosen
        return find_near(prints, other_prints, clips, other_clips)


def _usable_items(
    index: Path, quarantine: Path, name: str, config: BaseSource, experiment: BaseExperiment
) -> pd.DataFrame:
    """Return the items of one source that are not in quarantine, with the split that the experiment gives them."""
    items = read_table(index, ["item", "file", "frame", "sha256", "identity", "split"])
    lost = read_table(quarantine, ["item"])["item"]
    rows = items[~items["item"].isin(set(lost))].assign(source=name)
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
    """Return the rows that no split of higher priority also holds, and those taken out, with `keeper` and `why`."""
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


def _close_near_leaks(rows: pd.DataFrame, pictures: Pictures) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows without a copy in a split of higher priority, and the others, with `keeper` and `copy_of`."""
    taken = []
    for place, keeper in enumerate(PRIORITY[:-1]):
        held = rows[rows["split"] == keeper]
        lower = rows[rows["split"].isin(PRIORITY[place + 1 :])]
        near = pictures.find_near(lower, held)
        names = (held["source"] + "/" + held["item"]).to_numpy()
        lost = lower[near >= 0]
        taken.append(lost.assign(keeper=keeper, copy_of=names[near[near >= 0]]))
        rows = rows.drop(lost.index)
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


main = stage_command(assign_splits)


if __name__ == "__main__":
    cli.run(main)
