"""From faces with holes to completions and their scores.

INPUTS
    results/{experiment}/splits.parquet, results/{experiment}/holes/{source}/{shard}.arrow,
    results/{experiment}/keypoints/{source}/{shard}.arrow,
    results/{experiment}/completed_{method}/{source}/{shard}.arrow, results/weights/{name}.safetensors
OUTPUTS
    results/{experiment}/scores_{method}/{source}/{shard}.parquet       scores of the completions of one method
    results/{experiment}/scores_keypoints/{source}/{shard}.parquet      scores of the predicted keypoints, and of dlib's
    results/{experiment}/metrics/{source}/{shard}.parquet               scores of all methods
"""

COMPLETION = experiments_of("completion")


rule score_completions:
    input:
        splits="results/{experiment}/splits.parquet",
        holes="results/{experiment}/holes/{source}/{shard}.arrow",
        completed="results/{experiment}/completed_{method}/{source}/{shard}.arrow",
        model="results/weights/landmarks.safetensors",
        weights=lambda wildcards: weight_files(experiment(wildcards).score_weights),
    output:
        scores="results/{experiment}/scores_{method}/{source}/{shard}.parquet",
        record=record_of("score_completions/{experiment}/{method}/{source}/{shard}"),
    log:
        log_of("score_completions/{experiment}/{method}/{source}/{shard}"),
    benchmark:
        benchmark_of("score_completions/{experiment}/{method}/{source}/{shard}")
    wildcard_constraints:
        experiment=COMPLETION,
        method="(?!keypoints)[a-z]+",
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        code=digest("stages.completion.score_completions"),
        distance=lambda wildcards: experiment(wildcards).evaluation.distance,
    shell:
        "python -m workflow_scripts.stages.completion.score_completions "
        "--source {wildcards.source} "
        "--method {wildcards.method} "
        "--distance {params.distance:q} "
        "--splits {input.splits:q} "
        "--holes {input.holes:q} "
        "--completed {input.completed:q} "
        "--model {input.model:q} "
        "--weights {input.weights:q} "
        "--output {output.scores:q} "
        f"{RECORD}"


rule score_keypoints:
    input:
        splits="results/{experiment}/splits.parquet",
        holes="results/{experiment}/holes/{source}/{shard}.arrow",
        keypoints="results/{experiment}/keypoints/{source}/{shard}.arrow",
        model="results/weights/landmarks.safetensors",
    output:
        scores="results/{experiment}/scores_keypoints/{source}/{shard}.parquet",
        record=record_of("score_keypoints/{experiment}/{source}/{shard}"),
    log:
        log_of("score_keypoints/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("score_keypoints/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=COMPLETION,
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        code=digest("stages.completion.score_keypoints"),
    shell:
        "python -m workflow_scripts.stages.completion.score_keypoints "
        "--source {wildcards.source} "
        "--splits {input.splits:q} "
        "--holes {input.holes:q} "
        "--keypoints {input.keypoints:q} "
        "--model {input.model:q} "
        "--output {output.scores:q} "
        f"{RECORD}"


rule merge_scores:
    input:
        scores=lambda wildcards: expand(
            "results/{{experiment}}/scores_{method}/{{source}}/{{shard}}.parquet",
            method=["keypoints", *experiment(wildcards).methods],
        ),
    output:
        metrics="results/{experiment}/metrics/{source}/{shard}.parquet",
        record=record_of("merge_scores/{experiment}/{source}/{shard}"),
    log:
        log_of("merge_scores/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("merge_scores/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=COMPLETION,
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.completion.merge_scores"),
    shell:
        "python -m workflow_scripts.stages.completion.merge_scores "
        "--scores {input.scores:q} "
        "--output {output.metrics:q} "
        f"{RECORD}"
