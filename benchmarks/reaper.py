"""Run a program and reap all that it leaves behind, as process 1 does, but for that of many a container.

    python benchmarks/reaper.py PROGRAM ARGUMENT…

Slurm takes a job for running as long as one of its processes is unreaped.
"""

import ctypes
import os
import signal
import subprocess
import sys

DEATH_SIGNAL, SUBREAPER = 1, 36  # options of Linux's prctl


def main() -> None:
    """Run the program until it ends, which SIGTERM asks it to."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SUBREAPER, 1)
    program = subprocess.Popen(sys.argv[1:], preexec_fn=lambda: prctl(DEATH_SIGNAL, signal.SIGTERM))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(program.pid, signal.SIGTERM))
    while os.wait()[0] != program.pid:
        pass


if __name__ == "__main__":
    main()
