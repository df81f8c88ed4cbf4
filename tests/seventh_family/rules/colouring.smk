"""From pictures to grey tiles that a network colours again: a family of systems as small as one can be.

INPUTS
    results/{source}/index/{shard}.parquet, results/{source}/fingerprints/{shard}.arrow,
    results/{experiment}/splits.parquet, results/{experiment}/checkpoints/paint.safetensors
OUTPUTS
    results/{experiment}/tiles/{source}/{shard}.arrow                      grey input, coloured target
    results/{experiment}/quarantine/make_tiles/{source}/{shard}.parquet    pictures that are grey already
    results/{experiment}/metrics/{source}/{shard}.parquet                  scores of each tile
"""

COLOURING = experiments_of("colouring")


rule make_tiles:
    input:
        index="results/{source}/index/{shard}.parquet",
        fingerprints="results/{source}/fingerprints/{shard}.arrow",
    output:
        tiles="results/{experiment}/tiles/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/make_tiles/{source}/{shard}.parquet",
        record=record_of("make_tiles/{experiment}/{source}/{shard}"),
    log:
        log_of("make_tiles/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("make_tiles/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=COLOURING,
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=lambda wildcards: digest("stages.colouring.make_tiles", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("max_pixels"),
    shell:
        "python -m workflow_scripts.stages.colouring.make_tiles "
        "--source {params.source:q} "
        "--index {input.index:q} "
        "--fingerprints {input.fingerprints:q} "
        "--output {output.tiles:q} "
        "--quarantine {output.quarantine:q} "
        f"{RECORD}"


rule score_tiles:
    input:
        checkpoint="results/{experiment}/checkpoints/paint.safetensors",
        splits="results/{experiment}/splits.parquet",
        tiles="results/{experiment}/tiles/{source}/{shard}.arrow",
    output:
        metrics="results/{experiment}/metrics/{source}/{shard}.parquet",
        record=record_of("score_tiles/{experiment}/{source}/{shard}"),
    log:
        log_of("score_tiles/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("score_tiles/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=COLOURING,
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=digest("stages.colouring.score_tiles"),
    shell:
        "python -m workflow_scripts.stages.colouring.score_tiles "
        "--source {wildcards.source} "
        "--checkpoint {input.checkpoint:q} "
        "--splits {input.splits:q} "
        "--tiles {input.tiles:q} "
        "--output {output.metrics:q} "
        f"{RECORD}"
