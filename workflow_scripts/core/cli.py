"""What all command lines have in common: an error that the user can mend ends in one clear line, not in a traceback."""

import errno
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workflow_scripts.core.memory import keep_freed_memory
from workflow_scripts.core.names import readable

RUN_PROCESS = "FACE_WORKFLOW_PROCESS"  # environment variable with the number of the process that runs the workflow

OUT_OF_MEMORY = "error: out of memory; lower batch_size or shard_size, or give the job more memory"
NO_SPACE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
}
IN_THE_WAY = {
    errno.EEXIST: "a file is where a folder belongs",
    errno.ENOTDIR: "a file is where a folder belongs",
    errno.EISDIR: "a folder is where a file belongs",
}


class UserError(Exception):
    """An error that the user can mend.

    Its message is one line that says what is wrong, where, and what to do; further arguments are further lines. What
    cannot be seen, as in the names of files, is escaped.
    """

    def __str__(self) -> str:
        return "\n  ".join(readable(str(line)) for line in self.args)


class BadItem(Exception):
    """One item of many cannot be used, and goes to quarantine.

    Attributes:
        reason: a short fixed phrase to count by.
        detail: one line that says what is wrong and what to do.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def run(main: Callable[[], None]) -> None:
    """Run a command line; an error that the user can mend ends in one line, code 1.

    Args:
        main: the function that parses the arguments and does the work.
    """
    _end_with_the_workflow()
    keep_freed_memory()
    gc.freeze()  # imported modules are never collected, and looking through them would take 0.1 s and more
    gc.enable()  # see `stages/__init__.py`
    with one_line():
        try:
            main()
            sys.stdout.flush()
        except BrokenPipeError:
            if not _is_unread():
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python still holds back
            sys.exit(1)


@contextmanager
def one_line() -> Iterator[None]:
    """End with one line where an error can be mended by the user: `UserError`, a path, no space, no memory.

    Raises:
        SystemExit: with that line.
    """
    try:
        yield
    except UserError as error:
        sys.exit(f"error: {error}")
    except FileNotFoundError as error:
        sys.exit(f"error: no such file or folder: {readable(str(error.filename or error))}")
    except PermissionError as error:
        sys.exit(f"error: no permission: {readable(str(error.filename or error))}; change its owner or mode")
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    except RuntimeError as error:  # torch's errors are told by their names, because torch is not imported here
        if "can't allocate memory" in str(error):  # torch's allocator for the CPU has no exception of its own
            sys.exit(OUT_OF_MEMORY)
        if type(error).__name__ != "OutOfMemoryError":
            raise
        sys.exit("error: out of GPU memory; lower batch_size, or give the job a larger GPU")
    except OSError as error:
        if error.errno in NO_SPACE:
            sys.exit(
                f"error: {NO_SPACE[error.errno]} ({readable(str(error.filename or 'while writing a result'))}); "
                "make room and start again, finished files are kept"
            )
        name = readable(str(error.filename2 or error.filename or error))  # of a file that is renamed, the new one
        if error.errno in IN_THE_WAY:
            sys.exit(f"error: {IN_THE_WAY[error.errno]}: {name}; write another path, or move it away")
        if error.errno == errno.ENAMETOOLONG:
            sys.exit(f"error: this name or path is too long: {name}; shorten it")
        raise


def _is_unread() -> bool:
    """Tell whether nobody reads the output any more, as after `| head`."""
    poll = select.poll()
    poll.register(1, 0)  # an end without a reader is told in any case
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _end_with_the_workflow() -> None:
    """Stop this job when the workflow that started it is killed, because an orphan would write into the next run."""
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
    except OSError:  # the operating system has no such call
        return
    else:
        threading.Thread(target=watch, args=[process], daemon=True).start()
