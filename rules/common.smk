"""What all rules share: the checked configuration, shard names, code digests and config slices."""

import hashlib
import os
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from workflow_scripts.core.cli import RUN_PROCESS, UserError
from workflow_scripts.provenance.code_digest import code_digest
from workflow_scripts.config.load import load_config
from workflow_scripts.provenance.records import RECORDS, check_writable, explain_kill, join_runs, keep_records
from workflow_scripts.sources import shard_count, shard_listings
from workflow_scripts.sources._contents import listing_digest


def file_digest(path):
    """Return the name and a digest of a file of the project: unlike an input, it does not change with a clone's times."""
    return f"{path}:{hashlib.sha256((Path(workflow.basedir) / path).read_bytes()).hexdigest()[:16]}"


try:
    CONFIG = load_config(config)
    SHARDS = {
        name: [f"{number:05d}" for number in range(shard_count(source, CONFIG.shard_size))]
        for name, source in CONFIG.sources.items()
    }
    # The user's own pictures of an occluder are checked before anything runs, and not again by every job of a cluster.
    for chosen in CONFIG.experiments.values() if workflow.is_main_process else ():
        if folder := getattr(getattr(chosen, "occluders", None), "pictures", None):
            from workflow_scripts.occluders._pictures import read_pictures

            read_pictures(Path(folder))
except UserError as error:
    sys.exit(f"error: {error}")


def names_of(*systems):
    """Return a regular expression of the names of all experiments of these systems, of none if there is none."""
    return "|".join(name for name, chosen in CONFIG.experiments.items() if chosen.system in systems) or "(?!)"


# Systems that take something off a face share their stages; those that drive one have others, below the same names.
REENACTMENT = names_of("reenact")
REMOVAL = names_of(*({chosen.system for chosen in CONFIG.experiments.values()} - {"reenact"}))
# Sources whose data set may say where its faces are.
CELEBA = [name for name, source in CONFIG.sources.items() if source.type == "celeba"]

if workflow.is_main_process:
    keep_records()
    join_runs()
# Jobs end when this process is killed.
os.environ[RUN_PROCESS] = str(os.getpid())

# Jobs find the project's modules and its Python from any working directory.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [workflow.basedir, os.environ.get("PYTHONPATH")]))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# One GPU for each job that can use one, if this machine has any; on a cluster: --set-resources train_network:gpu=1.
GPUS = 1 if Path("/dev/nvidia0").exists() else 0
# Numerical results may change with the libraries, so the rules that compute carry the lock file's digest.
LOCK = file_digest("envs/requirements.lock")
# In front of the command of a stage whose results working copies can share.
REUSE = (
    "python -m workflow_scripts.provenance.reuse_results --code {params.code} --lock {params.lock} "
    "--inputs {input} --outputs {output} -- "
)


wildcard_constraints:
    source="|".join(CONFIG.sources),
    experiment="|".join(CONFIG.experiments) or "(?!)",  # no name at all, where there is no experiment
    shard=r"\d{5}",
    network="[a-z]+",


def source(wildcards):
    return CONFIG.sources[wildcards.source]


def experiment(wildcards):
    return CONFIG.experiments[wildcards.experiment]


def shards_of(pattern, sources, **wildcards):
    """Return the files of every shard of `sources` for a pattern with {source} and {shard}."""
    return [pattern.format(source=name, shard=shard, **wildcards) for name in sources for shard in SHARDS[name]]
