"""Reading bytes that may be hostile: what one item does to the process that reads it is lost, and nothing else.

Decoders are C code that crashes, and that takes memory and time as the bytes say. So a stage that reads a user's files
works in a process of its own, the worker, and notes which item it reads (`reading`). Within that, memory and, on Linux,
processor time are limited. When the worker dies there, its parent starts another one, for which that item is refused:
it goes to quarantine like any other bad item, and the rest of the shard comes out as if it had not been there.

Libraries that work on the pixels may crash, too, and need what they need. So the item is noted there (`working`), and
nothing is limited.

A death outside of both, or by a signal that comes from elsewhere, as that of the system when memory runs out, is
no item's fault and ends the stage.
"""

import mmap
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from workflow_scripts.core.cli import BadItem, UserError

SECONDS = 60  # of processor time for a picture, a frame of a video, or an entry of an annotation file
MEMORY = 2 << 30  # bytes of address space that reading may add; memory pools alone reserve a gigabyte at once
BYTES_PER_PIXEL = 32  # that it may add for each pixel: the file, and the pixels in all forms on their way to RGB
NOTE_BYTES = 8192  # Linux has paths of 4,096 bytes at most
WARM, SIZED_EVERY = 64, 16  # items, until when each time, and then how often, the worker looks how large it is
OWN_FAULT = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGPROF)
TOO_LONG = ("takes too long to read", f"it takes over {SECONDS} seconds of processor time; make it anew or remove it")
TOO_LARGE = ("needs too much memory", "its content is much larger than it should be; make it anew or remove it")
CRASH = ("crashes its reader", "it is damaged, or asks for too much memory; make it anew or remove it")
CRASH_AT_WORK = ("crashes a library", "what works on it cannot take it; try it in another size, or remove it")


class _Guard:
    """What the workers of one stage and their parent share.

    Attributes:
        refused: item -> reason and detail, of the items of which workers have died.
        is_reading: whether an item is being read.
        at_work: the item that is being worked on; empty if there is none.
    """

    def __init__(self):
        self.refused: dict[str, tuple[str, str]] = {}
        self.is_reading, self.at_work = False, ""
        # Shared with the worker: in eight bytes the number of the part that is read, in two the length of the item's
        # name, which is 0 where there is none, in one whether it is read, and the name.
        self._note = mmap.mmap(-1, NOTE_BYTES)
        self._part = 0
        self._limit, self._most = resource.getrlimit(resource.RLIMIT_AS)
        self._statm: int | None = None  # tells how large the worker is; macOS has no such file, so no limit
        self._items = self._bytes = 0

    @property
    def item(self) -> str:
        """The item that is being read or worked on; empty if there is none."""
        length = int.from_bytes(self._note[8:10], "big")
        return self._note[11 : 11 + length].decode(errors="surrogateescape")

    def begin(self, item: str, memory: int) -> None:
        """Note the item, and set limits to what this process does until `end`."""
        self._write(item, is_read=True)
        self.is_reading = True
        self.go_on()
        if self._statm is not None:
            self._items += 1
            if self._items <= WARM or self._items % SIZED_EVERY == 0:
                self._bytes = int(os.pread(self._statm, 64, 0).split(None, 1)[0]) * mmap.PAGESIZE
            resource.setrlimit(resource.RLIMIT_AS, (self._lower(self._bytes + memory), self._most))

    def begin_work(self, item: str) -> None:
        """Note the item until `end_work`."""
        self._write(item, is_read=False)
        self.at_work = item

    def end_work(self) -> None:
        """Note that nothing is worked on."""
        self._note[8:10], self.at_work = b"\0\0", ""

    def _write(self, item: str, is_read: bool) -> None:
        if item in self.refused:
            raise BadItem(*self.refused[item])
        name = item.encode(errors="surrogateescape")[: NOTE_BYTES - 11]
        self._note[8:10] = b"\0\0"
        self._note[10 : 11 + len(name)] = bytes([is_read]) + name
        self._note[8:10] = len(name).to_bytes(2, "big")

    def go_on(self) -> None:
        """Note that the next part is read."""
        self._part += 1
        self._note[:8] = self._part.to_bytes(8, "big")

    def end(self) -> None:
        """Lift the limits."""
        resource.setrlimit(resource.RLIMIT_AS, (self._limit, self._most))
        self._note[8:10] = b"\0\0"
        self.is_reading = False
        if self.at_work:
            self.begin_work(self.at_work)

    def outlive_workers(self) -> None:
        """Fork and return in the worker; the parent ends as its last worker ends."""
        while True:
            ours, theirs = socket.socketpair()
            worker = os.fork()
            if worker == 0:
                ours.close()
                threading.Thread(target=_end_with_parent, args=[theirs], daemon=True).start()
                with suppress(OSError):
                    self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
                return
            theirs.close()
            status = self._wait_for(worker, ours)
            ours.close()
            item = self.item
            if not item or not os.WIFSIGNALED(status) or os.WTERMSIG(status) not in OWN_FAULT:
                _end_like(status)
            crash = CRASH if self._note[10] else CRASH_AT_WORK
            self.refused[item] = TOO_LONG if os.WTERMSIG(status) == signal.SIGPROF else crash
            self._note[8:10] = b"\0\0"
            print(f"{item!r} {self.refused[item][0]}; the stage begins again without it", file=sys.stderr, flush=True)

    def _wait_for(self, worker: int, end: socket.socket) -> int:
        """Return the worker's status when it has ended; it is killed when a part takes too long.

        Args:
            worker: its process.
            end: what can be read as soon as it has ended.
        """
        part, since = b"", 0.0
        while not select.select([end], [], [], 1.0)[0]:
            now, used = self._note[:10], _processor_time(worker)
            if now != part or not self.item or not self._note[10]:
                part, since = now, used
            elif used - since > SECONDS:
                os.kill(worker, signal.SIGPROF)
        return os.waitpid(worker, 0)[1]

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


@contextmanager
def working(item: str) -> Iterator[None]:
    """Work on what was read of an item, by libraries that may crash; `reading` within it has its limits as always.

    Args:
        item: by a name that no other item of the stage has.

    Raises:
        BadItem: an earlier worker has died of it.
    """
    if _guard is None:
        yield
        return
    around = _guard.at_work
    _guard.begin_work(item)
    try:
        yield
    finally:
        _guard.end_work()
        if around:
            _guard.begin_work(around)


@contextmanager
def reading_whole(path: str | Path) -> Iterator[None]:
    """Read a file that is no item of many, as an archive: where `reading` refuses it, the stage ends.

    Raises:
        UserError: it needs more memory, or an earlier worker has died of it.
    """
    try:
        with reading(str(path)):
            yield
    except BadItem as bad:
        raise UserError(f"{path} {bad.reason}: {bad.detail}") from bad


def go_on() -> None:
    """Give the next part of the item that is read, as the next frame of a video, a time of its own."""
    if _guard and _guard.is_reading:
        _guard.go_on()


def supervise() -> None:
    """Go on in a worker, whose parent replaces it when it dies of an item."""
    global _guard
    _guard = _Guard()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # a crash is expected
    _guard.outlive_workers()


def _end_with_parent(end: socket.socket) -> None:
    """End this process as soon as its parent has ended, which holds the other end of a connection."""
    end.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _processor_time(process: int) -> float:
    """Return the seconds of processor time that a process has used; 0 where that is not told, as on macOS."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _end_like(status: int) -> NoReturn:
    """End this process as the worker has ended."""
    if os.WIFSIGNALED(status):
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))
