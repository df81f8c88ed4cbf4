"""What a user sees of a training while it runs, and how it is asked to stop."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINE_EVERY = 20  # seconds between two lines of progress where stderr is no terminal


class Progress:
    """A bar with losses and time left; lines now and then where stderr is no terminal."""

    def __init__(self, name: str, steps: int, done: int):
        self._lines = not sys.stderr.isatty()
        self._silence = open(os.devnull, "w") if self._lines else None  # noqa: SIM115
        self._bar = tqdm(desc=name, total=steps, initial=done, mininterval=1, file=self._silence)
        self._last = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()
        if self._silence:
            self._silence.close()

    def advance(self) -> None:
        """Count one step."""
        self._bar.update()

    def go_back(self, step: int) -> None:
        """Count on from an earlier step."""
        self._bar.n = step
        self._bar.refresh()

    def show(self, losses: dict[str, float]) -> None:
        """Show the newest losses."""
        shown = {name: f"{value:.3g}" for name, value in losses.items() if not name.endswith("gradient norm")}
        self._bar.set_postfix(shown, refresh=False)
        if self._lines and (time.monotonic() - self._last > LINE_EVERY or self._bar.n == self._bar.total):
            self._last = time.monotonic()
            print(self._bar, file=sys.stderr, flush=True)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Yield a list that is no longer empty once the process was asked to stop, so that the state can be saved first."""
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda got, _: received.append(got)) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
