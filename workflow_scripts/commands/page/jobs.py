"""Jobs of the page: one after another, in folders that do not outlive them."""

import json
import queue
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[3]
KEPT = 1800.0  # seconds for which results stay that nobody asks for
SWEPT = 60.0  # seconds between two looks for such results
MOST = 20  # jobs that wait or whose results are kept
# What tqdm writes: name, share, time left.
PROGRESS = re.compile(r"(?:(?P<stage>[\w .#-]+): +)?(?P<percent>\d+)%\|.*\[[\d:]+<(?P<left>[\d:]+)")


@dataclass
class Job:
    """One input that is to be worked on, and what came of it.

    Attributes:
        command: `apply` or `occlude`.
        words: its command line.
        folder: in which all its files lie.
        labelled: puts the labels of the page in the place of options into a message.
        state: `waiting`, `running`, `done`, or `failed`.
        said: lines for who waits for it.
        files: what -> file, in the order in which they are shown.
        progress: stage, percent, time left.
        asked: when somebody last asked for it.
    """

    command: str
    words: list[str]
    folder: Path
    labelled: Callable[[str], str]
    state: str = "waiting"
    said: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    progress: dict[str, str] = field(default_factory=dict)
    asked: float = field(default_factory=time.monotonic)


class Jobs:
    """The queue, and the process that works on it.

    Args:
        root: the folder below which those of the jobs are made; removed by `close`, or by the worker when this process
            was killed.
    """

    def __init__(self, root: Path):
        self._root = root
        self._jobs: dict[str, Job] = {}
        self._queue: queue.Queue[str] = queue.Queue()
        self._lock = threading.Lock()
        self._running: str | None = None
        self._worker: subprocess.Popen | None = None
        self._last: deque[str] = deque(maxlen=3)  # lines of the worker, which tell why it died
        self._closed = False
        threading.Thread(target=self._work, daemon=True).start()

    def new_folder(self) -> tuple[str, Path]:
        """Return the name of a new job, which cannot be guessed, and its folder."""
        name = secrets.token_urlsafe(16)
        folder = self._root / name
        (folder / "in").mkdir(parents=True)
        return name, folder

    @property
    def is_full(self) -> bool:
        """Whether no further job can be taken."""
        return len(self._jobs) >= MOST

    def add(self, name: str, job: Job) -> None:
        """Put a job at the end of the queue."""
        with self._lock:
            self._jobs[name] = job
        self._queue.put(name)

    def get(self, name: str) -> Job | None:
        """Return a job, which is then kept for longer."""
        if job := self._jobs.get(name):
            job.asked = time.monotonic()
        return job

    def place(self, name: str) -> int:
        """Return how many jobs come before one that waits."""
        with self._lock:
            before = [other for other in self._jobs.values() if other.state in ("waiting", "running")]
        return before.index(self._jobs[name]) if self._jobs.get(name) in before else 0

    def discard(self, name: str) -> None:
        """End a job where it runs, and remove its files."""
        with self._lock:
            job = self._jobs.pop(name, None)
            if job and self._running == name and self._worker:
                self._worker.terminate()  # another one is started for the next job
        if job:
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """End all jobs and remove all files."""
        self._closed = True
        if self._worker:
            self._worker.terminate()
            self._worker.wait()
        shutil.rmtree(self._root, ignore_errors=True)

    def _drop_forgotten(self) -> None:
        now = time.monotonic()
        for name, job in [*self._jobs.items()]:
            if job.state in ("done", "failed") and now - job.asked > KEPT:
                self.discard(name)

    def _work(self) -> None:
        self._start()
        while not self._closed:
            try:
                name = self._queue.get(timeout=SWEPT)
            except queue.Empty:
                self._drop_forgotten()
                continue
            job = self._jobs.get(name)
            if job is None:
                continue
            self._running, job.state = name, "running"
            answer = self._ask(job)
            self._running = None
            _finish(job, answer)
            if name not in self._jobs:  # discarded while it ran, and what it wrote since
                shutil.rmtree(job.folder, ignore_errors=True)

    def _ask(self, job: Job) -> dict:
        if self._worker is None or self._worker.poll() is not None:
            self._start()
        text = json.dumps({"command": job.command, "words": job.words, "folder": str(job.folder)}) + "\n"
        self._last.clear()
        with suppress(BrokenPipeError):
            self._send(text)
            for line in self._worker.stdout:
                answer = json.loads(line)
                if "ready" not in answer:
                    return answer
                self._send(text)  # a worker died of the job's file; its successor knows which one, and refuses it
        return {"error": self._last_words(self._worker.wait())}

    def _last_words(self, code: int) -> str:
        """Return why the worker has ended, of its exit code."""
        if code == -signal.SIGKILL:
            return "memory ran out, or somebody ended the work; try a smaller picture"
        if code < 0:
            return f"a library crashed ({signal.Signals(-code).name}); try the picture in another size"
        return f"the work has ended: {' '.join(self._last)}"

    def _send(self, text: str) -> None:
        self._worker.stdin.write(text)
        self._worker.stdin.flush()

    def _start(self) -> None:
        """Start the process and wait until it is ready."""
        command = [sys.executable, "-m", "workflow_scripts.commands.page.worker", str(self._root)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._worker = subprocess.Popen(command, cwd=PROJECT, encoding="utf-8", errors="replace", **pipes)
        threading.Thread(target=self._follow, args=[self._worker], daemon=True).start()
        self._worker.stdout.readline()

    def _follow(self, worker: subprocess.Popen) -> None:
        """Read what the worker says while it works: progress, and what else goes to the terminal."""
        for line in worker.stderr:  # a carriage return ends a line too
            job = self._jobs.get(self._running or "")
            if found := PROGRESS.match(line):
                if job:
                    job.progress = found.groupdict(default="")
            elif line.strip():
                self._last.append(line.strip())
                if str(self._root) not in line:  # of the files of a job the page tells
                    sys.stderr.write(line)


def _finish(job: Job, answer: dict) -> None:
    """Note what came of a job; its input is removed, and of one that failed everything."""
    shutil.rmtree(job.folder / "in", ignore_errors=True)
    if "error" in answer or answer["failed"]:
        shutil.rmtree(job.folder, ignore_errors=True)
        lines = [answer["error"]] if "error" in answer else answer["remarks"]
        job.said = [job.labelled(line.replace(f"{job.folder}/in/", "")) for line in lines]
        job.state = "failed"
        return
    job.said = answer["remarks"]
    written = answer["written"]
    names = ["output"] if len(written) == 1 else [f"output {number}" for number in range(1, len(written) + 1)]
    job.files = {what: Path(path) for what, path in [*zip(names, written, strict=True), *answer["beside"].items()]}
    job.state = "done"
