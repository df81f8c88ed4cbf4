"""From trained networks to scores.

INPUTS
    results/{experiment}/checkpoints/{network}.safetensors, results/{experiment}/pairs/{source}/{shard}.arrow
OUTPUTS
    results/{experiment}/maps/{source}/{shard}.arrow          predicted maps
    results/{experiment}/outputs/{source}/{shard}.arrow       edited pictures
    results/{experiment}/metrics/{source}/{shard}.parquet     scores of each item
    results/{experiment}/metrics.parquet, metrics.json        all of them, and their summary
"""


rule predict_maps:
    input:
        checkpoint="results/{experiment}/checkpoints/map.safetensors",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
    output:
        "results/{experiment}/maps/{source}/{shard}.arrow",
    log:
        "results/logs/predict_maps/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/predict_maps/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        gpu=GPUS,
    params:
        code=lambda wildcards: code_digest("predict_maps", f"systems.{experiment(wildcards).system}.inference"),
        difference=lambda wildcards: experiment(wildcards).difference.canonical(),
        system=lambda wildcards: experiment(wildcards).system,
        lock=LOCK,
    shell:
        "python -m workflow_scripts.predict_maps --system {params.system} --difference {params.difference:q} --checkpoint {input.checkpoint} "
        "--pairs {input.pairs} --output {output} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule edit_faces:
    input:
        checkpoint="results/{experiment}/checkpoints/edit.safetensors",
        splits="results/{experiment}/splits.parquet",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        maps="results/{experiment}/maps/{source}/{shard}.arrow",
    output:
        "results/{experiment}/outputs/{source}/{shard}.arrow",
    log:
        "results/logs/edit_faces/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/edit_faces/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    resources:
        gpu=GPUS,
    params:
        code=lambda wildcards: code_digest("edit_faces", f"systems.{experiment(wildcards).system}.inference"),
        system=lambda wildcards: experiment(wildcards).system,
        seed=CONFIG.seed,
        lock=LOCK,
    shell:
        "python -m workflow_scripts.edit_faces --system {params.system} --source {wildcards.source} --seed {params.seed} --checkpoint {input.checkpoint} "
        "--splits {input.splits} --pairs {input.pairs} --maps {input.maps} --output {output} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule score_outputs:
    input:
        splits="results/{experiment}/splits.parquet",
        pairs="results/{experiment}/pairs/{source}/{shard}.arrow",
        maps="results/{experiment}/maps/{source}/{shard}.arrow",
        outputs="results/{experiment}/outputs/{source}/{shard}.arrow",
        crops="results/{source}/crops/{shard}.arrow",
    output:
        "results/{experiment}/metrics/{source}/{shard}.parquet",
    log:
        "results/logs/score_outputs/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/score_outputs/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    params:
        code=code_digest("score_outputs"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.score_outputs --source {wildcards.source} --splits {input.splits} --pairs {input.pairs} "
        "--maps {input.maps} --outputs {input.outputs} --crops {input.crops} --output {output} > {log} 2>&1"


def evaluated_shards(pattern):
    """Return an input function: the files of a pattern for every shard of every source of the experiment."""
    return lambda wildcards: shards_of(
        pattern, CONFIG.used_sources(wildcards.experiment), experiment=wildcards.experiment
    )


def feature_weights(wildcards):
    name = experiment(wildcards).evaluation.features
    return [] if name == "none" else f"results/weights/{name}.safetensors"


rule summarize_metrics:
    input:
        metrics=evaluated_shards("results/{experiment}/metrics/{source}/{shard}.parquet"),
        pairs=evaluated_shards("results/{experiment}/pairs/{source}/{shard}.arrow"),
        outputs=evaluated_shards("results/{experiment}/outputs/{source}/{shard}.arrow"),
        quarantine=evaluated_shards("results/{experiment}/quarantine/make_pairs/{source}/{shard}.parquet"),
        leaks="results/{experiment}/quarantine/assign_splits.parquet",
        weights=feature_weights,
    output:
        table="results/{experiment}/metrics.parquet",
        summary="results/{experiment}/metrics.json",
        quarantine="results/{experiment}/quarantine.parquet",
    log:
        "results/logs/summarize_metrics/{experiment}.log",
    benchmark:
        "results/benchmarks/summarize_metrics/{experiment}.tsv"
    wildcard_constraints:
        experiment=REMOVAL,
    params:
        code=code_digest("summarize_metrics"),
        config=lambda wildcards: experiment(wildcards).slice("evaluation", "apply", "presence"),
        weights=lambda wildcards, input: ["--weights", input.weights] if input.weights else [],
        lock=LOCK,
    shell:
        "python -m workflow_scripts.summarize_metrics --config {params.config:q} --metrics {input.metrics} --pairs {input.pairs} "
        "--outputs {input.outputs} {params.weights} --quarantine {input.quarantine} {input.leaks} "
        "--output {output.table} --summary {output.summary} --quarantined {output.quarantine} > {log} 2>&1"
