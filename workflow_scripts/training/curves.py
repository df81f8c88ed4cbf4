"""The curves of a training: losses and scores by step, also those of stretches that it went back from."""

from collections.abc import Mapping

import pandas as pd

LEFT = "rewound"  # in front of the split, where a training went back and left the row behind


class Curves:
    """Rows of the table of curves.

    Attributes:
        rows: `step`, `epoch`, `split`, `name`, `value`, in the order in which they came.
    """

    def __init__(self):
        self.rows: list[dict] = []

    def add(self, step: int, epoch: int, split: str, values: Mapping[str, float]) -> None:
        """Note values of `train` or `val`."""
        self.rows += [
            {"step": step, "epoch": epoch, "split": split, "name": name, "value": value}
            for name, value in values.items()
        ]

    def go_back(self, rows: list[dict]) -> None:
        """Go back to earlier rows, which were the first ones; those since then stay, as left behind."""
        since = self.rows[len(rows) :]
        self.rows = rows + [
            row if row["split"].startswith(LEFT) else row | {"split": f"{LEFT} {row['split']}"} for row in since
        ]

    def table(self) -> pd.DataFrame:
        """Return all rows."""
        return pd.DataFrame(self.rows, columns=["step", "epoch", "split", "name", "value"])
