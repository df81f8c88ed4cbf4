"""What all rules share: the checked configuration, names of shards, experiments and files, digests of code."""

import gc
import hashlib
import json
import os
import sys
from pathlib import Path

from workflow_scripts.config.changes import with_changes
from workflow_scripts.config.load import load_config
from workflow_scripts.core.bucket import BUCKET, check_bucket
from workflow_scripts.core.cli import RUN_PROCESS, UserError
from workflow_scripts.provenance import htcondor
from workflow_scripts.provenance.code_digest import code_digest
from workflow_scripts.provenance.former_shards import remove_former_shards
from workflow_scripts.provenance.job_code import digest_of, hand_over, read_code, run_config
from workflow_scripts.provenance.runs import RECORDS, explain_kill, join_runs, keep_records, unusable_folder, unwritable
from workflow_scripts.provenance.store import check_store
from workflow_scripts.sources import shard_count, shard_listings
from workflow_scripts.sources._contents import listing_digest

gc.freeze()  # modules are never collected, and looking through Snakemake's took a tenth of a second at every start

for folder in (workflow.basedir, os.getcwd()):
    if problem := unusable_folder(folder):
        sys.exit(f"error: {problem}")
# Where results lie in a bucket, jobs keep there what is no output of theirs and must outlive their machine.
if workflow.storage_settings.default_storage_provider == "s3":
    os.environ[BUCKET] = workflow.storage_settings.default_storage_prefix
try:
    check_store()
    if BUCKET in os.environ and workflow.is_main_process:
        check_bucket(os.environ[BUCKET])
    CONFIG = load_config(with_changes(config if workflow.is_main_process else run_config(HOME, config)))
    SHARDS = {
        name: [f"{number:05d}" for number in range(shard_count(source, CONFIG.shard_size))]
        for name, source in CONFIG.sources.items()
    }
    # The user's files are checked before anything runs, and not again by every job of a cluster.
    for chosen in CONFIG.experiments.values() if workflow.is_main_process else ():
        chosen.check_files()
except UserError as error:
    sys.exit(f"error: {error}")

if workflow.is_main_process:
    CODE = digest_of(read_code(HOME, config))
    # A dry run needs no more than to read; any other run ends before its first job.
    if problem := unwritable():
        print(f"warning: {problem}", file=sys.stderr)
    keep_records()
    join_runs()
    htcondor.prepare()
# Jobs watch this process and end when it is killed.
os.environ[RUN_PROCESS] = str(os.getpid())

# Jobs find the project's modules and its Python from any working directory.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HOME, os.environ.get("PYTHONPATH")]))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# How the command of every stage ends.
RECORD = "--code {params.code} --record {output.record:q} > {log:q} 2>&1"
# Sources of the embedded sample -> what is there once the workflow has downloaded or drawn their files. Like files of
# the user, these are read by their paths: `local` keeps Snakemake from moving them to object storage.
SAMPLES = {
    **dict.fromkeys(("sample", "sample_video"), "results/sample/raw/manifest.json"),
    "sample_objects": "results/sample/raw_objects/objects.json",
    "sample_captions": "results/sample/raw_captions/metadata.jsonl",
}


wildcard_constraints:
    source="|".join(CONFIG.sources),
    experiment="|".join(CONFIG.experiments) or "(?!)",  # matches no name where there is no experiment
    shard=r"\d{5}",
    network="[a-z]+[0-9]*",


def file_digest(path):
    """Return a digest of a file of the project; unlike an input, it does not change with the times of a clone."""
    return hashlib.sha256((Path(HOME) / path).read_bytes()).hexdigest()[:16]


# Results may change with the libraries, so every stage depends on their versions.
LOCK = file_digest("envs/requirements.lock")


def digest(*modules, files=()):
    """Return what a stage's results depend on beside inputs and settings: code, files it reads, libraries."""
    read = [f"{path}:{file_digest(path)}" for path in files]
    return ",".join([code_digest(*modules), *read, f"lock:{LOCK}"])


def gpus(device="auto"):
    """Return how many GPUs a job asks for; None, so that it has no resource `gpu` at all, where it wants none.

    `auto` is one GPU where jobs run on this machine and it has any. What the nodes of a cluster have, this machine
    cannot know: there the profile says it (`set-resources`).
    """
    here = workflow.is_main_process and workflow.local_exec and Path("/dev/nvidia0").exists()
    return 1 if device == "cuda" or (device == "auto" and here) else None


def given_gpus(wildcards, resources):
    """Return how many GPUs a job was given; as it depends on resources, another number does not run a job again."""
    return resources.get("gpu", 0)


def conda_env_of(one):
    """Return the conda file of a rule: without torch, which is most of an environment, for those that need none."""
    light = Path(one.snakefile).stem in ("sources", "faces", "objects", "motion", "reporting")
    name = "pictures" if light and one.name != "fetch_weights" else "networks"
    return str(Path(HOME, f"envs/conda/{name}.yaml"))


def faces_of_shard(wildcards):
    """Return the group of a shard's jobs from files to faces: on a cluster they are one job, whose start they share.

    Each needs what the one before makes, so the job asks for the memory and the cores of the largest, and for the time
    of all. Where jobs run on this machine, there is no group.
    """
    return f"faces_{wildcards.source}_{wildcards.shard}" if workflow.non_local_exec else None


def log_of(job):
    return f"results/logs/{job}.log"


def benchmark_of(job):
    return f"results/benchmarks/{job}.tsv"


def record_of(job):
    return f"{RECORDS}/jobs/{job}.json"


def source(wildcards):
    return CONFIG.sources[wildcards.source]


def experiment(wildcards):
    return CONFIG.experiments[wildcards.experiment]


def experiments_of(family):
    """Return a regular expression of the names of all experiments of a family."""
    return "|".join(name for name, chosen in CONFIG.experiments.items() if chosen.family == family)


def sources_with(*needs):
    """Return the names of the sources of which any of `needs` is made."""
    return [name for name in CONFIG.sources if {*needs} & {*CONFIG.needs_of(name)}]


def annotated():
    """Return the names of the sources of which annotations in COCO's format are read."""
    return [name for name in sources_with("objects", "captions") if CONFIG.sources[name].has_objects]


def raw_sample(wildcards):
    """Return what tells that a source of the sample is there, nothing for one that lies on the user's disk."""
    return local(SAMPLES[source(wildcards).type]) if source(wildcards).type in SAMPLES else []


def shards_of(pattern, sources, **wildcards):
    """Return the files of every shard of `sources` for a pattern with {source} and {shard}."""
    return [pattern.format(source=name, shard=shard, **wildcards) for name in sources for shard in SHARDS[name]]


def of_source(pattern):
    """Return an input function: the files of a pattern for every shard of the source."""
    return lambda wildcards: shards_of(pattern, [wildcards.source])


def of_experiment(pattern):
    """Return an input function: the files of a pattern for every shard of every source of the experiment."""
    return lambda wildcards: shards_of(pattern, experiment(wildcards).used_sources, experiment=wildcards.experiment)
