"""The copy of rules, code and configuration on which the jobs of a cluster work.

A job of a cluster starts Snakemake again on its node, minutes or days after the run has planned it, and would read what
was edited meanwhile: results of new code under the digests of old code. So a run makes a copy when it starts, and names
it to its jobs in an environment variable. Copies are named by their content, so equal runs share one.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

JOB_CODE = "FACE_WORKFLOW_CODE"  # environment variable with the folder of the copy; the Snakefile reads it
COPIES = Path(".snakemake/code")
# All that a job reads of the project; a container's image of gigabytes lies in envs/ too.
PARTS = ("rules/**/*", "workflow_scripts/**/*", "envs/*.lock", "envs/conda/*.yaml")
CONFIG_FILE = "run_config.json"
KEPT = 30 * 86400  # seconds after its last use that a copy is kept, since jobs may outlive their run


def read_code(project: str | Path, config: dict) -> dict[str, bytes]:
    """Return path -> content of all that a job reads of the project in the folder `project`."""
    root = Path(project)
    files = (path for part in PARTS for path in sorted(root.glob(part)) if path.is_file())
    code = {str(path.relative_to(root)): path.read_bytes() for path in files if path.parent.name != "__pycache__"}
    return code | {CONFIG_FILE: json.dumps(config, default=str, sort_keys=True).encode()}


def digest_of(code: dict[str, bytes]) -> str:
    """Return a digest of names and contents, 16 digits."""
    digest = hashlib.sha256()
    for name in sorted(code):
        digest.update(f"{name}\0{len(code[name])}\0".encode() + code[name])
    return digest.hexdigest()[:16]


def hand_over(project: str | Path, config: dict, planned: str) -> str | None:
    """Let the jobs of this run work on a copy of the code, and return None; or one line that says why not.

    Args:
        project: folder of the Snakefile.
        config: the configuration as Snakemake has read it.
        planned: `digest_of` the code when this run read it.
    """
    code = read_code(project, config)
    if digest_of(code) != planned:
        return "code was edited while this run planned its jobs; start again"
    home = COPIES.resolve() / planned
    home.parent.mkdir(parents=True, exist_ok=True)
    for old in home.parent.iterdir():
        if old != home and time.time() - old.stat().st_mtime > KEPT:
            shutil.rmtree(old, ignore_errors=True)
    if not home.is_dir():
        _write(home, code)
    os.utime(home)
    os.environ[JOB_CODE] = str(home)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")])
    os.environ["PYTHONSAFEPATH"] = "1"  # otherwise the folder in which a job runs, the project's, comes first
    return None


def _write(home: Path, code: dict[str, bytes]) -> None:
    """Write the copy; it appears whole, or not at all."""
    partial = Path(tempfile.mkdtemp(dir=home.parent))
    partial.chmod(0o755)  # for others who run the workflow in the same folder
    for name, content in code.items():
        file = partial / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    try:
        partial.rename(home)
    except OSError:  # another run was faster
        shutil.rmtree(partial)


def run_config(home: str | Path, config: dict) -> dict:
    """Return the configuration of the run to which a job belongs; `config` where the run has handed over no copy."""
    file = Path(home) / CONFIG_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else config
