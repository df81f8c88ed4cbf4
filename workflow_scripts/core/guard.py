"""Reading bytes that may be hostile: what one item does to the process that reads it is lost, and nothing else.

Decoders are C code that crashes, and that takes memory and time as the bytes say. So a stage that reads a user's files
works in a process of its own, the worker, and notes which item it reads (`reading`). Within that, memory and processor
time are limited. When the worker dies there, its parent starts another one, for which that item is refused: it goes to
quarantine like any other bad item, and the rest of the shard comes out as if it had not been there.

A death outside of `reading`, or by a signal that comes from elsewhere, as that of the system when memory runs out, is
no item's fault and ends the stage.
"""

import mmap
import os
import resource
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from workflow_scripts.core.cli import BadItem

SECONDS = 60  # of processor time for a picture, a frame of a video, or an entry of an annotation file
MEMORY = 1 << 30  # bytes that reading may add to the process
BYTES_PER_PIXEL = 32  # that it may add for each pixel: the file, and the pixels in all forms on their way to RGB
NAME_BYTES = 8192  # of a name in the note; Linux has paths of 4,096 bytes at most
OWN_FAULT = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGPROF)
TOO_LONG = ("takes too long to read", f"it takes over {SECONDS} seconds of processor time; make it anew or remove it")
TOO_LARGE = ("needs too much memory", "its content is much larger than it should be; make it anew or remove it")
CRASH = ("crashes its reader", "it is damaged, or asks for too much memory; make it anew or remove it")


class _Guard:
    """What the workers of one stage and their parent share.

    Attributes:
        refused: item -> reason and detail, of the items of which workers have died.
        is_reading: whether an item is being read.
    """

    def __init__(self):
        self.refused: dict[str, tuple[str, str]] = {}
        self.is_reading = False
        self._note = mmap.mmap(-1, NAME_BYTES)  # shared: length of a name in two bytes, then the name
        self._limit, self._most = resource.getrlimit(resource.RLIMIT_AS)
        self._size: int | None = None  # a file that tells this process's size; macOS has none, so no limit either

    @property
    def item(self) -> str:
        """The item that is being read; empty if there is none."""
        length = int.from_bytes(self._note[:2], "big")
        return self._note[2 : 2 + length].decode(errors="surrogateescape")

    def begin(self, item: str, memory: int) -> None:
        """Note the item, and set limits to what this process does until `end`."""
        if item in self.refused:
            raise BadItem(*self.refused[item])
        self.is_reading = True
        name = item.encode(errors="surrogateescape")[: NAME_BYTES - 2]
        self._note[2 : 2 + len(name)] = name
        self._note[:2] = len(name).to_bytes(2, "big")
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        if self._size is not None:
            pages = int(os.pread(self._size, 64, 0).split(None, 1)[0])
            resource.setrlimit(resource.RLIMIT_AS, (self._lower(pages * mmap.PAGESIZE + memory), self._most))

    def end(self) -> None:
        """Lift the limits."""
        resource.setrlimit(resource.RLIMIT_AS, (self._limit, self._most))
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._note[:2] = b"\0\0"
        self.is_reading = False

    def outlive_workers(self) -> None:
        """Fork and return in the worker; the parent ends as its last worker ends."""
        while True:
            alive, held = os.pipe()
            worker = os.fork()
            if worker == 0:
                os.close(held)
                threading.Thread(target=_end_with_parent, args=[alive], daemon=True).start()
                with suppress(OSError):
                    self._size = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
                return
            os.close(alive)
            _, status = os.waitpid(worker, 0)
            os.close(held)
            item = self.item
            if not item or not os.WIFSIGNALED(status) or os.WTERMSIG(status) not in OWN_FAULT:
                _end_like(status)
            self.refused[item] = TOO_LONG if os.WTERMSIG(status) == signal.SIGPROF else CRASH
            self._note[:2] = b"\0\0"
            print(f"{item!r} {self.refused[item][0]}; the stage begins again without it", file=sys.stderr, flush=True)

    def _lower(self, limit: int) -> int:
        """Return this limit, or that of the process where it is lower."""
        return limit if self._limit == resource.RLIM_INFINITY else min(limit, self._limit)


_guard: _Guard | None = None  # None in a process that has no parent to start it again


class reading:
    """A context in which an item's bytes are read. In a worker it is limited, elsewhere it does nothing.

    Within another one, the item and the limits of the outer one hold.

    Args:
        item: what is read, by a name that no other item of the stage has.
        pixels: the most pixels that a picture in it may have.

    Raises:
        BadItem: it needs more memory, or an earlier worker has died of it.
    """

    def __init__(self, item: str, pixels: int = 0):
        self._item, self._memory = item, MEMORY + BYTES_PER_PIXEL * pixels

    def __enter__(self) -> None:
        self._guard = None if _guard is None or _guard.is_reading else _guard
        if self._guard:
            self._guard.begin(self._item, self._memory)

    def __exit__(self, _, error: BaseException | None, __) -> None:
        if self._guard:
            self._guard.end()
            if isinstance(error, MemoryError):
                raise BadItem(*TOO_LARGE) from error


def go_on() -> None:
    """Give the next part of the item that is read, as the next frame of a video, a time of its own."""
    if _guard and _guard.is_reading:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)


def supervise() -> None:
    """Go on in a worker, whose parent replaces it when it dies of an item."""
    global _guard
    _guard = _Guard()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # a crash is expected
    _guard.outlive_workers()


def _end_with_parent(alive: int) -> None:
    """End this process when the other end of a pipe is closed, which its parent holds."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_like(status: int) -> NoReturn:
    """End this process as the worker has ended."""
    if os.WIFSIGNALED(status):
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))
