"""What can be watched while a training runs: its curves, in TensorBoard and as a picture."""

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pandas as pd
from tensorboardX import SummaryWriter

# Loaded by name, so that a change of a chart's looks does not train all networks again.
CHARTS = "workflow_scripts.reporting.charts"


class LiveCurves:
    """Writes a folder that `tensorboard --logdir` reads, with `curves.png` beside.

    Args:
        folder: of this training alone.
        network: the trained one.
        step: from which the training goes on; what was noted later, by a run that was stopped, is hidden. At 0 the
            folder's content is deleted.
    """

    def __init__(self, folder: Path, network: str, step: int):
        if step == 0:
            shutil.rmtree(folder, ignore_errors=True)
        self._folder, self._network = folder, network
        self._writer = SummaryWriter(str(folder), purge_step=step or None, flush_secs=10)

    def __enter__(self) -> "LiveCurves":
        return self

    def __exit__(self, *_) -> None:
        self._writer.close()

    def add(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Note values of `train` or `val`; both share a chart in TensorBoard."""
        for name, value in values.items():
            self._writer.add_scalar(f"{name.removeprefix(f'{self._network} ')}/{split}", value, step)

    def draw(self, curves: pd.DataFrame) -> None:
        """Draw `curves.png` anew; the columns are those of the table `curves`."""
        if len(curves):
            import_module(CHARTS).draw_curves(curves, self._network, self._folder / "curves.png")
