"""Jobs of one machine do not take the same GPU."""

import subprocess
import sys
from pathlib import Path

from workflow_scripts.training import claims

ROOT = Path(__file__).parent.parent
HOLDS = (
    "import sys, pathlib\nfrom workflow_scripts.training.claims import claim\n"
    "print(claim(['a', 'b'], pathlib.Path(sys.argv[1])), flush=True)\nsys.stdin.read()"
)


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDS, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_each_process_gets_its_own_and_the_third_waits(tmp_path):
    first, second = start(tmp_path), start(tmp_path)
    held = {process.stdout.readline().strip(): process for process in (first, second)}
    assert held.keys() == {"0", "1"}
    third = start(tmp_path)
    try:
        assert third.stderr.readline() == "all 2 GPUs are used by other jobs of this workflow: waiting for one\n"
        held["1"].communicate()  # it ends
        assert third.stdout.readline().strip() == "1"
    finally:
        for process in (held["0"], third):
            process.communicate()


def test_who_wants_to_share_gets_the_first(tmp_path, monkeypatch):
    monkeypatch.setenv(claims.SHARED, "1")
    assert [claims.claim(["a"], tmp_path) for _ in range(2)] == [0, 0] and not list(tmp_path.iterdir())
