"""Snakemake's command line in forks of one process that has imported Snakemake already: a second less for each run.

A fork is what the command `snakemake` is once it has imported Snakemake: nothing of the project is loaded, and it gets
its arguments, its folder, its environment and its streams as a new process would. Run as a script this file is that
process; it reads a request a line, as JSON, and answers with the exit code, negative for a signal.
"""

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
SECONDS = 600  # that a run may take
_ONE_AT_A_TIME = threading.Lock()


@functools.cache
def _parent() -> subprocess.Popen:
    """Start the process of which all runs of this one are forks; it ends when nobody can ask any more."""
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_snakemake(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run Snakemake with these arguments there and return its exit code and what it wrote."""
    command = [str(SNAKEMAKE), *arguments]
    with tempfile.TemporaryDirectory() as streams, _ONE_AT_A_TIME:
        files = [f"{streams}/stdout", f"{streams}/stderr"]
        request = {"command": command, "folder": str(folder), "environment": environment, "files": files}
        print(json.dumps(request), file=_parent().stdin, flush=True)
        code = int(_parent().stdout.readline())
        said = [Path(file).read_text() for file in files]
    return subprocess.CompletedProcess(command, code, *said)


def _serve() -> None:
    from snakemake.cli import get_argument_parser, main
    from snakemake.workflow import Workflow

    get_argument_parser()  # imports all plugins
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            request = json.loads(line)
            Workflow._rundir = request["folder"]  # Snakemake notes it as it is imported, and tells it
            _become(**request)
            main()  # ends this process
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(command: list[str], folder: str, environment: dict[str, str], files: list[str]) -> None:
    """Be the process that this command starts there, with these streams."""
    for number, file in enumerate([os.devnull, *files]):
        opened = os.open(file, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    sys.path[0] = str(SNAKEMAKE.parent)
    signal.alarm(SECONDS)


if __name__ == "__main__":
    _serve()
