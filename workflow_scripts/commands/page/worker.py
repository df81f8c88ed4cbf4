"""The process that does the jobs of the page: one JSON line in, one out.

It reads files that may be hostile, so it works under `core/guard.py`: when it dies of one, its parent starts another,
which says that it is ready, gets the job once more, and refuses that file. Imports and landmark models are kept between
jobs.
"""

from workflow_scripts.core import guard

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    guard.supervise()

import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TextIO

from workflow_scripts.commands import apply, occlude
from workflow_scripts.core import cli

COMMANDS = {"apply": apply.apply, "occlude": occlude.occlude}


def do_job(command: str, words: list[str]) -> dict:
    """Run a command, and return what came of its one input, or the line that says why it could not run."""
    try:
        with cli.one_line():
            (done,) = COMMANDS[command](words)
    except SystemExit as ended:
        return {"error": str(ended.code).removeprefix("error: ")}
    except Exception as error:  # the page goes on, and whoever started it sees the whole
        traceback.print_exc()
        return {"error": f"something went wrong ({type(error).__name__}); the terminal shows what"}
    beside = {what: str(path) for what, path in done.beside.items()}
    return {"failed": done.failed, "remarks": [*done.remarks], "written": [*map(str, done.written)], "beside": beside}


def serve(channel: TextIO, root: Path) -> None:
    """Do jobs until no more can come; then the server has ended, however it did, and its folder is removed."""
    print(json.dumps({"ready": True}), file=channel, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        tempfile.tempdir = job["folder"]  # so that what is left by a job that dies is removed with its folder
        print(json.dumps(do_job(job["command"], job["words"])), file=channel, flush=True)
    shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what commands print is for the terminal
    serve(channel, Path(sys.argv[1]))
