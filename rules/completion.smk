"""From faces to faces with holes, the keypoints that are found in them, completed faces and their scores.

INPUTS
    results/{source}/index/{shard}.parquet, results/{source}/crops/{shard}.arrow, results/{experiment}/splits.parquet,
    results/{experiment}/checkpoints/{network}.safetensors
OUTPUTS
    results/{experiment}/holes/{source}/{shard}.arrow                       faces with holes, drawings, landmarks
    results/{experiment}/quarantine/make_holes/{source}/{shard}.parquet     items and given holes that cannot be used
    results/{experiment}/keypoints/{source}/{shard}.arrow                   landmarks that are found in holed faces
"""

COMPLETION = experiments_of("completion")


def given_listing(wildcards):
    """Return the digest of the names, sizes and times of the holes that a user gives; empty where there are none."""
    folder = experiment(wildcards).holes.given
    return stamps_digest(walk(folder, "holes.given")) if folder else ""


rule make_holes:
    input:
        index="results/{source}/index/{shard}.parquet",
        crops="results/{source}/crops/{shard}.arrow",
    output:
        holes="results/{experiment}/holes/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/make_holes/{source}/{shard}.parquet",
        record=record_of("make_holes/{experiment}/{source}/{shard}"),
    log:
        log_of("make_holes/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("make_holes/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=COMPLETION,
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        code=digest("stages.completion.make_holes"),
        holes=lambda wildcards: experiment(wildcards).holes.canonical(),
        size=lambda wildcards: experiment(wildcards).size or 0,
        role=lambda wildcards: "train" if wildcards.source in experiment(wildcards).train else "apply",
        seed=CONFIG.seed,
        given=lambda wildcards: experiment(wildcards).holes.given or [],
        listing=given_listing,  # a change of a file in the folder runs the rule again
    shell:
        "python -m workflow_scripts.stages.completion.make_holes --reuse "
        "--holes {params.holes:q} "
        "--size {params.size:q} "
        "--role {params.role} "
        "--seed {params.seed} "
        "--index {input.index:q} "
        "--crops {input.crops:q} "
        "--output {output.holes:q} "
        "--quarantine {output.quarantine:q} "
        "--given {params.given:q} "
        f"{RECORD}"
