"""From faces to pairs with an occluder, edited faces and their scores.

INPUTS
    results/{source}/index/{shard}.parquet, results/{source}/crops/{shard}.arrow, results/{experiment}/splits.parquet,
    results/{experiment}/checkpoints/{network}.safetensors
OUTPUTS
    results/{experiment}/pairs/{source}/{shard}.arrow                       occluded input, bare target, map
    results/{experiment}/quarantine/make_pairs/{source}/{shard}.parquet     items of which no pair can be made
    results/{experiment}/export/                                            pairs as PNG folders, only when asked for
    results/{experiment}/maps/{source}/{shard}.arrow                        predicted maps
    results/{experiment}/outputs/{source}/{shard}.arrow                     edited pictures
    results/{experiment}/metrics/{source}/{shard}.parquet                   scores of each item
"""

REMOVAL = experiments_of("removal")


def role(wildcards):
    """Return how the pairs of a source come about in an experiment."""
    if wildcards.source in experiment(wildcards).apply:
        return "apply"
    return "given" if source(wildcards).type == "pairs" else "draw"


def own_pictures(wildcards):
    """Return the user's own pictures of an occluder, where an experiment draws such."""
    folder = experiment(wildcards).occluders.pictures
    if not folder:
        return []
    from workflow_scripts.occluders._pictures import list_pictures

    return [local(str(path)) for path in list_pictures(Path(folder))]


rule make_pairs:
    input:
        index="results/{source}/index/{shard}.parquet",
        crops="results/{source}/crops/{shard}.arrow",
        pictures=own_pictures,
    output:
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/make_pairs/{source}/{shard}.parquet",
        record=record_of("make_pairs/{experiment}/{source}/{shard}"),
    log:
        log_of("make_pairs/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("make_pairs/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        code=lambda wildcards: digest(
            "stages.removal.make_pairs", *(f"occluders.{kind}" for kind in experiment(wildcards).occluders.kinds)
        ),
        occluders=lambda wildcards: experiment(wildcards).occluders.canonical(),
        difference=lambda wildcards: experiment(wildcards).difference.canonical(),
        role=role,
        seed=CONFIG.seed,
    shell:
        "python -m workflow_scripts.stages.removal.make_pairs --reuse "
        "--occluders {params.occluders:q} "
        "--difference {params.difference:q} "
        "--role {params.role} "
        "--seed {params.seed} "
        "--index {input.index:q} "
        "--crops {input.crops:q} "
        "--pictures {input.pictures:q} "
        "--output {output.pairs:q} "
        "--quarantine {output.quarantine:q} "
        f"{RECORD}"


rule export_pairs:
    input:
        splits="results/{experiment}/splits.parquet",
        pairs=of_experiment("results/{experiment}/pairs/{source}/{shard}.arrow"),
    output:
        folder=directory("results/{experiment}/export"),
        record=record_of("export_pairs/{experiment}"),
    log:
        log_of("export_pairs/{experiment}"),
    benchmark:
        benchmark_of("export_pairs/{experiment}")
    wildcard_constraints:
        experiment=REMOVAL,
    threads: 8
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        code=digest("stages.removal.export_pairs"),
    shell:
        "python -m workflow_scripts.stages.removal.export_pairs "
        "--splits {input.splits:q} "
        "--pairs {input.pairs:q} "
        "--output {output.folder:q} "
        "--threads {threads} "
        f"{RECORD}"


rule predict_maps:
    input:
        checkpoint="results/{experiment}/checkpoints/map.safetensors",
        sidecar="results/{experiment}/checkpoints/map.json",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
    output:
        maps="results/{experiment}/maps/{source}/{shard}.arrow",
        record=record_of("predict_maps/{experiment}/{source}/{shard}"),
    log:
        log_of("predict_maps/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("predict_maps/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        mem_mb=3000,
        runtime=120,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.removal.predict_maps", f"systems.{experiment(wildcards).system}.inference"
        ),
        system=lambda wildcards: experiment(wildcards).system,
        difference=lambda wildcards: experiment(wildcards).difference.canonical(),
    shell:
        "python -m workflow_scripts.stages.removal.predict_maps "
        "--system {params.system} "
        "--difference {params.difference:q} "
        "--checkpoint {input.checkpoint:q} "
        "--pairs {input.pairs:q} "
        "--output {output.maps:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule edit_faces:
    input:
        checkpoint="results/{experiment}/checkpoints/edit.safetensors",
        sidecar="results/{experiment}/checkpoints/edit.json",
        splits="results/{experiment}/splits.parquet",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        maps="results/{experiment}/maps/{source}/{shard}.arrow",
    output:
        outputs="results/{experiment}/outputs/{source}/{shard}.arrow",
        record=record_of("edit_faces/{experiment}/{source}/{shard}"),
    log:
        log_of("edit_faces/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("edit_faces/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        mem_mb=3000,
        runtime=120,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest("stages.removal.edit_faces", f"systems.{experiment(wildcards).system}.inference"),
        system=lambda wildcards: experiment(wildcards).system,
        seed=CONFIG.seed,
        samples=lambda wildcards: experiment(wildcards).samples,
        diversity=lambda wildcards: experiment(wildcards).diversity,
    shell:
        "python -m workflow_scripts.stages.removal.edit_faces "
        "--system {params.system} "
        "--source {wildcards.source} "
        "--seed {params.seed} "
        "--samples {params.samples:q} "
        "--diversity {params.diversity:q} "
        "--checkpoint {input.checkpoint:q} "
        "--splits {input.splits:q} "
        "--pairs {input.pairs:q} "
        "--maps {input.maps:q} "
        "--output {output.outputs:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule score_outputs:
    input:
        splits="results/{experiment}/splits.parquet",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        maps="results/{experiment}/maps/{source}/{shard}.arrow",
        outputs="results/{experiment}/outputs/{source}/{shard}.arrow",
        crops="results/{source}/crops/{shard}.arrow",
        weights=lambda wildcards: weight_files(experiment(wildcards).score_weights),
    output:
        metrics="results/{experiment}/metrics/{source}/{shard}.parquet",
        record=record_of("score_outputs/{experiment}/{source}/{shard}"),
    log:
        log_of("score_outputs/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("score_outputs/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        mem_mb=1500,
        runtime=240,
    params:
        code=digest("stages.removal.score_outputs"),
    shell:
        "python -m workflow_scripts.stages.removal.score_outputs "
        "--source {wildcards.source} "
        "--splits {input.splits:q} "
        "--pairs {input.pairs:q} "
        "--maps {input.maps:q} "
        "--outputs {input.outputs:q} "
        "--crops {input.crops:q} "
        "--weights {input.weights:q} "
        "--output {output.metrics:q} "
        f"{RECORD}"
