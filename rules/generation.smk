"""From annotated pictures or videos to small squares with masks, to generated pictures and their scores.

INPUTS
    results/{source}/index/{shard}.parquet, fingerprints/{shard}.arrow, objects/{shard}.parquet,
    of videos motion/{shard}.parquet in its place,
    results/{experiment}/splits.parquet, training.parquet, checkpoints/{network}.safetensors
OUTPUTS
    results/{experiment}/squares/{source}/{shard}.arrow                      small pictures with masks, categories, areas
    results/{experiment}/quarantine/make_objects/{source}/{shard}.parquet    pictures of which there is no square
    results/{experiment}/features/{source}/{shard}.arrow                     features and classes of real squares
    results/{experiment}/metrics/{source}/{shard}.parquet                    scores of the masks of real squares
    results/{experiment}/samples/{network}/00000.arrow                       generated pictures, described and scored
"""

GENERATION = experiments_of("generation")


def segment_checkpoint(wildcards):
    """Return the network that finds objects, where it judges masks."""
    chosen = experiment(wildcards)
    judged = getattr(wildcards, "network", None) is None or wildcards.network.startswith("masked")
    return f"results/{wildcards.experiment}/checkpoints/segment.safetensors" if chosen.is_segmented and judged else []


def masks_of_squares(wildcards):
    """Return the table of masks: annotated objects or, in videos, what moves."""
    kind = "objects" if source(wildcards).has_objects else "motion"
    return f"results/{wildcards.source}/{kind}/{wildcards.shard}.parquet"


rule make_objects:
    input:
        index="results/{source}/index/{shard}.parquet",
        fingerprints="results/{source}/fingerprints/{shard}.arrow",
        masks=masks_of_squares,
    output:
        squares="results/{experiment}/squares/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/make_objects/{source}/{shard}.parquet",
        record=record_of("make_objects/{experiment}/{source}/{shard}"),
    log:
        log_of("make_objects/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("make_objects/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=GENERATION,
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        code=lambda wildcards: digest("stages.generation.make_objects", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("max_pixels", "motion"),
        squares=lambda wildcards: experiment(wildcards).squares.canonical(),
    shell:
        "python -m workflow_scripts.stages.generation.make_objects --reuse "
        "--source {params.source:q} "
        "--squares {params.squares:q} "
        "--index {input.index:q} "
        "--fingerprints {input.fingerprints:q} "
        "--masks {input.masks:q} "
        "--output {output.squares:q} "
        "--quarantine {output.quarantine:q} "
        f"{RECORD}"


rule score_objects:
    input:
        splits="results/{experiment}/splits.parquet",
        squares="results/{experiment}/squares/{source}/{shard}.arrow",
        weights=lambda wildcards: weight_files(experiment(wildcards).score_weights),
        segment=segment_checkpoint,
    output:
        features="results/{experiment}/features/{source}/{shard}.arrow",
        metrics="results/{experiment}/metrics/{source}/{shard}.parquet",
        record=record_of("score_objects/{experiment}/{source}/{shard}"),
    log:
        log_of("score_objects/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("score_objects/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=GENERATION,
    resources:
        mem_mb=3000,
        runtime=240,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.generation.score_objects", f"systems.{experiment(wildcards).system}.inference"
        ),
        system=lambda wildcards: experiment(wildcards).system,
    shell:
        "python -m workflow_scripts.stages.generation.score_objects "
        "--system {params.system} "
        "--source {wildcards.source} "
        "--splits {input.splits:q} "
        "--squares {input.squares:q} "
        "--weights {input.weights:q} "
        "--segment {input.segment:q} "
        "--output {output.features:q} "
        "--metrics {output.metrics:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule sample_objects:
    input:
        checkpoint="results/{experiment}/checkpoints/{network}.safetensors",
        sidecar="results/{experiment}/checkpoints/{network}.json",
        training="results/{experiment}/training.parquet",
        squares=lambda wildcards: experiment_shards(["squares"], experiment(wildcards).train, wildcards.experiment),
        weights=lambda wildcards: weight_files(experiment(wildcards).score_weights),
        segment=segment_checkpoint,
    output:
        samples="results/{experiment}/samples/{network}/00000.arrow",
        record=record_of("sample_objects/{experiment}/{network}"),
    log:
        log_of("sample_objects/{experiment}/{network}"),
    benchmark:
        benchmark_of("sample_objects/{experiment}/{network}")
    wildcard_constraints:
        experiment=GENERATION,
    resources:
        mem_mb=6000,
        runtime=600,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.generation.sample_objects", f"systems.{experiment(wildcards).system}.inference"
        ),
        system=lambda wildcards: experiment(wildcards).system,
        samples=lambda wildcards: experiment(wildcards).evaluation.samples,
        seed=lambda wildcards: experiment(wildcards).seed_of(wildcards.network, CONFIG.seed),
    shell:
        "python -m workflow_scripts.stages.generation.sample_objects "
        "--system {params.system} "
        "--samples {params.samples:q} "
        "--seed {params.seed} "
        "--checkpoint {input.checkpoint:q} "
        "--training {input.training:q} "
        "--squares {input.squares:q} "
        "--weights {input.weights:q} "
        "--segment {input.segment:q} "
        "--output {output.samples:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"
