"""A real HTCondor pool on this machine for tests: one node, whose daemons all run as the user who starts it."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.local_cluster import SEARCH, LocalCluster, wait_for
from workflow_scripts.provenance.htcondor import PLUGIN

RUNNING = "2"  # HTCondor's number of the state
DAEMONS = ("condor_master", "condor_collector", "condor_negotiator", "condor_schedd", "condor_startd")
# The plugin's bindings (24.12.24) talk to a pool of Debian 13 (23.9.6) only if the channel need not be bound. The node
# does not say that it shares a disk, as none does unless somebody has configured it. Its GPU is none.
CONFIG = """
RELEASE_DIR = /usr
LIBEXEC = /usr/libexec/condor
LOCAL_DIR = {folder}
use ROLE: Personal
use SECURITY: user_based
use POLICY: HOLD_IF_MEMORY_EXCEEDED
SEC_FS_ENFORCE_CHANNEL_BINDING = False
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
USE_SHARED_PORT = False
NUM_CPUS = 2
MEMORY = 16000
STARTD.FILESYSTEM_DOMAIN = elsewhere
STARTER.FILESYSTEM_DOMAIN = elsewhere
MACHINE_RESOURCE_GPUs = none
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 1
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 1
STARTER_INITIAL_UPDATE_INTERVAL = 1
STARTER_UPDATE_INTERVAL = 1
SHADOW_QUEUE_UPDATE_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 1
POLLING_INTERVAL = 1
"""


def missing() -> str | None:
    """Return what this machine lacks for a pool; None if it has all."""
    lacks = [name for name in DAEMONS if not shutil.which(name, path=SEARCH)]
    lacks += [PLUGIN] if importlib.util.find_spec(PLUGIN) is None else []
    if lacks:
        return f"{', '.join(lacks)}: not installed (`minicondor` of Debian 13, `make htcondor`)"
    return "HTCondor runs no jobs of root" if os.geteuid() == 0 else None


class Pool(LocalCluster):
    """A pool whose daemons end with `stop`, or with the process that started it.

    Args:
        folder: new, for its configuration, states and logs.
    """

    PROFILE = "profiles/htcondor"

    def __init__(self, folder: Path):
        super().__init__(folder)
        for name in ("log", "lock", "run", "spool", "execute"):
            (folder / name).mkdir(parents=True)
        (folder / "condor_config").write_text(CONFIG.format(folder=folder))
        self.environment["CONDOR_CONFIG"] = f"{folder}/condor_config"

    def start(self) -> "Pool":
        """Start the daemons and wait until jobs can be given to them."""
        self.daemon("condor_master", "-f")
        wait_for(lambda: self.ask("condor_status", "-af", "State", check=False) == "Unclaimed")
        wait_for(lambda: self.ask("condor_status", "-schedd", "-af", "Name", check=False))
        return self

    def jobs(self, *attributes: str) -> dict[str, list[str]]:
        """Return number -> name and attributes of all jobs, those that have ended too."""
        form = ("-af", "ClusterId", "JobBatchName", *attributes)
        lines = [*self.ask("condor_history", *form).splitlines(), *self.ask("condor_q", *form).splitlines()]
        return {number: said for number, *said in map(str.split, lines)}

    def running(self) -> dict[str, str]:
        """Return number -> name of the jobs that run."""
        return {number: name for number, (name, state) in self.jobs("JobStatus").items() if state == RUNNING}

    def snakemake(self, folder: Path, *options: str) -> subprocess.Popen:
        """Start Snakemake in a project; its output goes to `said.txt` there."""
        return super().snakemake(folder, "--seconds-between-status-checks", "2", *options)
