"""Memory that was freed is used again, and not asked for anew page by page."""

import platform
import subprocess
import sys

import pytest
from projects import ROOT

USES = 48
PROGRAM = """
import resource, sys, torch
from workflow_scripts.core import cli

def pages() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def main():
    for _ in range({uses}):
        before = pages()
        torch.ones(16 << 20)
        print(pages() - before > 16)  # 16,384 small ones, or 32 huge ones

cli.run(main) if sys.argv[1] == "command" else main()
"""


def uses_of_new_memory(as_what: str) -> int:
    """Return how many of the tensors of 64 MiB, each freed before the next is made, lay in new pages.

    The first few still do, until the C library has room for one with its alignment.
    """
    command = [sys.executable, "-c", PROGRAM.format(uses=USES), as_what]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.count("True")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has rules of its own")
def test_freed_memory_is_used_again():
    assert uses_of_new_memory("plain") == USES
    assert uses_of_new_memory("command") <= USES / 2
