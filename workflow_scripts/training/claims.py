"""One job for each GPU of a machine: a process that uses one holds a lock of its name, until it ends.

Snakemake counts the GPUs of a machine and tells no job which one is its own, so two jobs would both take the first.
"""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SHARED = "FACE_WORKFLOW_GPU_SHARED"  # set to 1: jobs may share a GPU, whose memory must then suffice for all
SECONDS = 2.0  # between two looks for a free one
_held: list[int] = []  # file descriptors, which keep their locks as long as the process lives


def claim(names: Sequence[str], folder: Path | None = None) -> int:
    """Return the position of a name that no other process holds, and hold it; wait where all are held.

    Args:
        names: of the devices, the same for every process of the machine.
        folder: of the locks; None: where the system keeps temporary files.
    """
    if os.environ.get(SHARED) == "1":
        return 0
    waits = False
    while True:
        for position, name in enumerate(names):
            if _hold((folder or Path(tempfile.gettempdir())) / f"face-workflow-gpu-{name}.lock"):
                return position
        if not waits:
            print(f"all {len(names)} GPUs are used by other jobs of this workflow: waiting for one", file=sys.stderr)
            waits = True
        time.sleep(SECONDS)


def _hold(path: Path) -> bool:
    """Lock a file if nobody else has, and return whether; other users of the machine may lock it too."""
    mask = os.umask(0)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    finally:
        os.umask(mask)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _held.append(descriptor)
    return True
