"""A real Slurm on this machine for tests and benchmarks: munge, a controller, and nodes of one core each."""

import getpass
import importlib.util
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

from benchmarks.local_cluster import SEARCH, LocalCluster, free_ports, wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
PLUGIN = "snakemake_executor_plugin_slurm"
# A job that is queued again starts a second after `cred_expire`. On a node where the old one still ends (`KillWait`,
# and longer on a busy machine) Slurm would hold it for good, and the run would wait for ever.
CONFIG = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge/socket,cred_expire=15
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=86400
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=16000 Gres=gpu:1"


def missing() -> str | None:
    """Return what this machine lacks for a cluster; None if it has all."""
    lacks = [name for name in (*DAEMONS, "sbatch") if not shutil.which(name, path=SEARCH)]
    lacks += [PLUGIN] if importlib.util.find_spec(PLUGIN) is None else []
    return f"{', '.join(lacks)}: not installed; .ci/run installs them" if lacks else None


class Cluster(LocalCluster):
    """A cluster whose daemons end with `stop`, or with the process that started it.

    Args:
        folder: new, for its configuration, keys, states and logs.
        nodes: names of its nodes.
    """

    PROFILE = "profiles/slurm"

    def __init__(self, folder: Path, nodes: tuple[str, ...] = ("one", "two")):
        super().__init__(folder)
        self.nodes = nodes
        for name in ("munge", "state", "bin", *(f"spool/{node}" for node in nodes)):
            (folder / name).mkdir(parents=True, mode=0o755)
        ports = free_ports(1 + len(nodes))
        lines = [NODE.format(name=name, port=port) for name, port in zip(nodes, ports[1:], strict=True)]
        text = CONFIG.format(folder=folder, user=getpass.getuser(), ports=ports)
        (folder / "slurm.conf").write_text("\n".join([text, *lines]) + "\n")
        (folder / "gres.conf").write_text(f"NodeName={','.join(nodes)} Name=gpu File=/dev/null\n")  # one that is none
        # Inside a job, the plugin hides this variable from srun, as it does all of Slurm's.
        srun = folder / "bin/srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        self.environment |= {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{folder}/bin{os.pathsep}{SEARCH}"}

    def start(self) -> "Cluster":
        """Start the daemons and wait until all nodes are idle."""
        munge, key = self.folder / "munge", self.folder / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        places = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "pid", "log-file": munge / "log"}
        places["seed-file"] = munge / "seed"
        self.daemon("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in places.items()))
        wait_for(lambda: (munge / "socket").exists())
        self.daemon("slurmctld", "-D", "-c")
        for node in self.nodes:
            self.daemon("slurmd", "-D", "-N", node)
        wait_for(lambda: self.ask("sinfo", "-h", "-o", "%t %D", check=False) == f"idle {len(self.nodes)}")
        return self

    def stop(self) -> None:
        """Cancel what runs and end the daemons."""
        self.ask("scancel", "--user", getpass.getuser(), check=False)
        try:
            wait_for(lambda: not self.ask("squeue", "-h", check=False), 20)
        finally:
            super().stop()

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Return number -> rule and state of all jobs that the controller knows."""
        lines = self.ask("squeue", "--states=all", "--noheader", "--format=%i|%k|%T").splitlines()
        return {number: (comment, state) for number, comment, state in (line.split("|") for line in lines)}

    def running(self) -> dict[str, str]:
        """Return number -> rule of the jobs that run."""
        return {number: rule for number, (rule, state) in self.jobs().items() if state == "RUNNING"}

    def job_seconds(self) -> list[float]:
        """Return how long each finished job had its node; Slurm's times are whole seconds."""
        lines = self.ask("squeue", "--states=completed", "--noheader", "--format=%S %e").splitlines()
        times = [[datetime.fromisoformat(time) for time in line.split()] for line in lines]
        return [(end - start).total_seconds() for start, end in times]

    def snakemake(self, folder: Path, *options: str, seconds: int = 5) -> subprocess.Popen:
        """Start Snakemake in a project; its output goes to `said.txt` there.

        Args:
            folder: that of the project.
            options: of Snakemake.
            seconds: after which the state of jobs is asked for; ten more each time that none has ended.
        """
        asking = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", str(seconds))
        return super().snakemake(folder, *asking, *options)
