"""Jobs of HTCondor as they must be submitted, which Snakemake's plugin (0.3.0) does not do by itself.

The plugin takes a job's command, which is written for a shell, for words with blanks between them, and asks neither for
`mem_mb` nor for `gpu`. HTCondor starts a job without the environment by which it knows its code (`job_code.py`), in a
folder of its own where nodes do not say that they share a disk; it tells only a job's first process to stop, and keeps
a job that it has stopped for good, to be released by hand.
"""

import os
import sys

PLUGIN = "snakemake_executor_plugin_htcondor"
# The first process of a job, given the run's folder and the command: it tells all others to stop, and waits for them.
SHELL = 'cd "$0" || exit; trap "trap : TERM; kill -s TERM 0" TERM; (trap : TERM; eval "$1") & '
SHELL += "while kill -0 $! 2> /dev/null; do wait $!; done"
HELD_TOO_LONG = "JobStatus == 5 && time() - EnteredCurrentStatus > 15"  # the plugin has asked for its state by then


def prepare() -> None:
    """Change what the plugin, if there is one, says of itself, before Snakemake starts its executor."""
    if plugin := sys.modules.get(PLUGIN):
        # Its first look at the log of former jobs, before its executor is ready, was its last one.
        plugin.common_settings.init_seconds_before_status_checks = 5
        # Every job would install the storage plugins of the environment, which it shares.
        plugin.common_settings.auto_deploy_default_storage_provider = False


def mend(executor) -> None:
    """Let the plugin's executor submit its jobs so.

    Args:
        executor: that of the run, before its first job.
    """
    ask = executor._handle_explicit_unit_resources

    def ask_for_all(job, submit: dict) -> None:
        submit.setdefault("request_memory", job.resources["mem_mb"])
        if gpus := job.resources.get("gpu"):
            submit["request_gpus"] = gpus
        submit |= {"getenv": True, "transfer_executable": False, "periodic_remove": HELD_TOO_LONG}
        ask(job, submit)

    executor._get_base_exec_and_args = lambda job: (
        "/bin/sh",
        arguments("-c", SHELL, os.getcwd(), executor.format_job_exec(job)),
    )
    executor._handle_explicit_unit_resources = ask_for_all


def arguments(*words: str) -> str:
    """Return words as HTCondor reads them in a job's description; dollars there are names of values."""
    text = " ".join("'" + word.replace("'", "''") + "'" for word in words)
    return '"' + text.replace('"', '""').replace("$", "$(DOLLAR)") + '"'
