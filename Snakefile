"""Faces in, reports out: see README.md for the commands and docs/targets.md for what every file is."""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

# Jobs of a cluster work on the copy that their run made at its start: workflow_scripts/provenance/job_code.py.
HOME = workflow.basedir if workflow.is_main_process else os.environ.get("FACE_WORKFLOW_CODE", workflow.basedir)
sys.path.insert(0, HOME)

from workflow_scripts.config.well_formed import yaml_problem

configurations = list(workflow.config_settings.configfiles)
# Snakemake takes all names after --configfile for configurations, and a JSON target can be read as one.
for given in configurations:
    if Path(given).resolve().is_relative_to(Path("results").resolve()):
        sys.exit(
            f"error: {given} was read as a configuration; write `--` before the targets: --configfile FILE -- {given}"
        )
for given in (configurations or ["config.yaml"]) if workflow.is_main_process else ():
    if Path(given).is_file() and (problem := yaml_problem(given)):
        sys.exit(f"error: {problem}")

# A file given by --configfile replaces config.yaml whole: merged, the sample would run along with every preset.
if not configurations:

    configfile: "config.yaml"


include: f"{HOME}/rules/common.smk"
include: f"{HOME}/rules/sources.smk"
include: f"{HOME}/rules/faces.smk"
include: f"{HOME}/rules/objects.smk"
include: f"{HOME}/rules/motion.smk"
include: f"{HOME}/rules/experiments.smk"


# Each family of systems that is used brings its own rules.
for family in sorted({chosen.family for chosen in CONFIG.experiments.values()}):

    include: f"{HOME}/rules/{family}.smk"


include: f"{HOME}/rules/exports.smk"
include: f"{HOME}/rules/reporting.smk"


# The environment of a rule where Snakemake provides it: with --sdm conda, or --sdm apptainer (docs/environments.md).
# Snakemake gives a global `container:` to the rules after it alone, and refuses an image below a folder with blanks,
# whether it is used or not; so the image is given to each rule here, by its path from the working folder.
contained = any(method.name == "APPTAINER" for method in workflow.deployment_settings.deployment_method)
for one in workflow.rules:
    one.conda_env = conda_env_of(one)
    if contained:
        one.container_img = os.path.relpath(f"{workflow.basedir}/envs/face-workflow.sif")


onstart:
    if problem := unwritable():
        sys.exit(f"error: {problem}")
    if workflow.non_local_exec and (problem := hand_over(HOME, config, CODE)):
        sys.exit(f"error: {problem}")
    if workflow.executor_plugin.name == "htcondor":
        htcondor.mend(workflow.scheduler._executor)
    # With Snakemake's usual limit, 100 starts a second, whatever ends has all waiting jobs looked at once more in every
    # second to come (9.27.1): a tenth of a core after 100 jobs, and a whole one later. Other limits stay.
    limiter = getattr(workflow.scheduler, "job_rate_limiter", None)
    if limiter and not workflow.non_local_exec and (limiter.max_jobs, limiter.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    # Each job of a cluster is a run of its own.
    for line in remove_former_shards(Path("results")) if workflow.is_main_process else ():
        print(line, file=sys.stderr)


onerror:
    explain_kill(log)


rule all:
    default_target: True
    input:
        "results/overview.html",
        of_experiments("results/{experiment}/checkpoints/README.md"),
        expand("results/{source}/{file}", source=CONFIG.sources, file=["quarantine.parquet", "summary"]),
        expand("results/{source}/rejected_annotations.parquet", source=annotated()),
        expand(
            "results/{source}/landmark_check.parquet",
            source=[name for name in sources_with("crops") if CONFIG.sources[name].type == "celeba"],
        ),
        expand(
            "results/{source}/motion_scores.json",
            source=[name for name in sources_with("motion") if CONFIG.sources[name].type == "davis"],
        ),
