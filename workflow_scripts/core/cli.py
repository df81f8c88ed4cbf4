"""What every stage's command line shares: one clear line instead of a traceback for what the user can mend."""

import errno
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Callable

RUN_PROCESS = "FACE_WORKFLOW_PROCESS"  # environment variable: the process that runs the workflow

OUT_OF_MEMORY = "error: out of memory; lower batch_size or shard_size, or give the job more memory"
NO_SPACE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
}


class UserError(Exception):
    """Something the user can mend; the message is one line: what, where, remedy."""


class BadItem(Exception):
    """One item of many cannot be used; it goes to quarantine.

    Attributes:
        reason: a short fixed phrase to count by.
        detail: one line: what is wrong, and the remedy.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def run(main: Callable[[], None]) -> None:
    """Run a command line; what the user can mend (`UserError`, no file, a full disk) ends with one line and code 1."""
    _end_with_the_workflow()
    gc.freeze()  # what is imported stays: going through it again and again, at the end too, takes 0.1 s and more
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except FileNotFoundError as error:
        sys.exit(f"error: no such file or folder: {error.filename or error}")
    except PermissionError as error:
        sys.exit(f"error: no permission: {error.filename or error}; change its owner or mode")
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    except RuntimeError as error:  # torch's; by name, since torch is not imported for this
        if "can't allocate memory" in str(error):  # the CPU's allocator has no exception of its own
            sys.exit(OUT_OF_MEMORY)
        if type(error).__name__ != "OutOfMemoryError":
            raise
        sys.exit("error: out of GPU memory; lower batch_size, or give the job a larger GPU")
    except OSError as error:
        if error.errno in NO_SPACE:
            sys.exit(
                f"error: {NO_SPACE[error.errno]} ({error.filename or 'while writing a result'}); "
                "make room and start again, finished files are kept"
            )
        raise


def _end_with_the_workflow() -> None:
    """Stop this job when the workflow that started it is killed: an orphan would write into the next run."""
    if RUN_PROCESS not in os.environ or not hasattr(os, "pidfd_open"):
        return

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def watch(process: int) -> None:
        select.select([process], [], [])
        stop()

    try:
        process = os.pidfd_open(int(os.environ[RUN_PROCESS]))
    except ProcessLookupError:
        stop()
    except OSError:  # the system has no such call
        return
    else:
        threading.Thread(target=watch, args=[process], daemon=True).start()
