"""What can be watched while a training runs: its curves, in TensorBoard and as a picture."""

import shutil
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pandas as pd
from tensorboardX import SummaryWriter

# Loaded by name, so that a change of a chart's looks does not train all networks again.
CHARTS = "workflow_scripts.reporting.charts"
DRAW_EVERY = 15  # seconds at least between two drawings, each of which takes as long as some training steps


class LiveCurves:
    """Writes a folder that `tensorboard --logdir` reads, with `curves.png` beside.

    Args:
        folder: of this training alone.
        network: the trained one.
        step: from which the training goes on; what was noted later, by a run that was stopped, is hidden. At 0 the
            folder's content is deleted.
    """

    def __init__(self, folder: Path, network: str, step: int):
        self._folder, self._network = folder, network
        self._writer = self._open(step)
        self._newest: pd.DataFrame | None = None  # not drawn yet
        self._drawn = time.monotonic()

    def __enter__(self) -> "LiveCurves":
        return self

    def __exit__(self, *_) -> None:
        self._writer.close()
        self._draw()

    def go_back(self, step: int) -> None:
        """Go on from an earlier step, as a new run would."""
        self._writer.close()
        self._writer = self._open(step)

    def add(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Note values of `train` or `val`; both share a chart in TensorBoard."""
        for name, value in values.items():
            self._writer.add_scalar(f"{name.removeprefix(f'{self._network} ')}/{split}", value, step)

    def draw(self, curves: pd.DataFrame) -> None:
        """Draw `curves.png` anew, now or before long; the columns are those of the table `curves`."""
        self._newest = curves
        if time.monotonic() - self._drawn > DRAW_EVERY:
            self._draw()

    def _open(self, step: int) -> SummaryWriter:
        if step == 0:
            shutil.rmtree(self._folder, ignore_errors=True)
        # The file's name has its time in seconds alone; a training that goes on within a second needs another one.
        return SummaryWriter(str(self._folder), purge_step=step or None, flush_secs=10, filename_suffix=f".{step}")

    def _draw(self) -> None:
        if self._newest is not None and len(self._newest):
            import_module(CHARTS).draw_curves(self._newest, self._network, self._folder / "curves.png")
        self._newest, self._drawn = None, time.monotonic()
