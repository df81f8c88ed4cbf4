"""From faces to faces with holes, the keypoints that are found in them, completed faces and their scores.

INPUTS
    results/{source}/index/{shard}.parquet, results/{source}/crops/{shard}.arrow, results/{experiment}/splits.parquet,
    results/{experiment}/checkpoints/{network}.safetensors
OUTPUTS
    results/{experiment}/holes/{source}/{shard}.arrow                       faces with holes, drawings, landmarks
    results/{experiment}/quarantine/make_holes/{source}/{shard}.parquet     items of which no holed face can be made
    results/{experiment}/keypoints/{source}/{shard}.arrow                   landmarks that are found in holed faces
    results/{experiment}/completed_{network}/{source}/{shard}.arrow         completions of each hole
    results/{experiment}/completed_nearest/{source}/{shard}.arrow           the same from the nearest training faces
    results/{experiment}/scores_{method}/{source}/{shard}.parquet           scores of the completions of one method
    results/{experiment}/scores_keypoints/{source}/{shard}.parquet          scores of the keypoints, and of dlib's
    results/{experiment}/metrics/{source}/{shard}.parquet                   scores of all methods
"""

COMPLETION = experiments_of("completion")


def given_listing(wildcards):
    """Return the digest of the names, sizes and times of the holes that a user gives; empty where there are none."""
    folder = experiment(wildcards).holes.given
    if not folder:
        return ""
    from workflow_scripts.sources._contents import stamps_digest
    from workflow_scripts.sources._listing import walk

    return stamps_digest(walk(folder, "holes.given"))


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


rule predict_keypoints:
    input:
        checkpoint="results/{experiment}/checkpoints/keypoints.safetensors",
        sidecar="results/{experiment}/checkpoints/keypoints.json",
        splits="results/{experiment}/splits.parquet",
        holes="results/{experiment}/holes/{source}/{shard}.arrow",
    output:
        keypoints="results/{experiment}/keypoints/{source}/{shard}.arrow",
        record=record_of("predict_keypoints/{experiment}/{source}/{shard}"),
    log:
        log_of("predict_keypoints/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("predict_keypoints/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=COMPLETION,
    resources:
        mem_mb=3000,
        runtime=120,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        evaluation=lambda wildcards: experiment(wildcards).evaluation.completing,
        code=lambda wildcards: digest(
            "stages.completion.predict_keypoints", f"systems.{experiment(wildcards).system}.networks"
        ),
    shell:
        "python -m workflow_scripts.stages.completion.predict_keypoints "
        "--evaluation {params.evaluation:q} "
        "--source {wildcards.source} "
        "--checkpoint {input.checkpoint:q} "
        "--splits {input.splits:q} "
        "--holes {input.holes:q} "
        "--output {output.keypoints:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule complete_faces:
    input:
        checkpoint="results/{experiment}/checkpoints/{network}.safetensors",
        sidecar="results/{experiment}/checkpoints/{network}.json",
        splits="results/{experiment}/splits.parquet",
        holes="results/{experiment}/holes/{source}/{shard}.arrow",
        keypoints="results/{experiment}/keypoints/{source}/{shard}.arrow",
    output:
        completed="results/{experiment}/completed_{network}/{source}/{shard}.arrow",
        record=record_of("complete_faces/{experiment}/{network}/{source}/{shard}"),
    log:
        log_of("complete_faces/{experiment}/{network}/{source}/{shard}"),
    benchmark:
        benchmark_of("complete_faces/{experiment}/{network}/{source}/{shard}")
    wildcard_constraints:
        experiment=COMPLETION,
        network="(?!nearest)[a-z]+",
    resources:
        mem_mb=4000,
        runtime=720,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.completion.complete_faces", f"systems.{experiment(wildcards).system}.networks"
        ),
        evaluation=lambda wildcards: experiment(wildcards).evaluation.completing,
        seed=CONFIG.seed,
    shell:
        "python -m workflow_scripts.stages.completion.complete_faces "
        "--evaluation {params.evaluation:q} "
        "--source {wildcards.source} "
        "--seed {params.seed} "
        "--checkpoint {input.checkpoint:q} "
        "--splits {input.splits:q} "
        "--holes {input.holes:q} "
        "--keypoints {input.keypoints:q} "
        "--output {output.completed:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule paste_nearest:
    input:
        splits="results/{experiment}/splits.parquet",
        holes="results/{experiment}/holes/{source}/{shard}.arrow",
        training=lambda wildcards: shards_of(
            f"results/{wildcards.experiment}/holes/{{source}}/{{shard}}.arrow", experiment(wildcards).train
        ),
    output:
        completed="results/{experiment}/completed_nearest/{source}/{shard}.arrow",
        record=record_of("paste_nearest/{experiment}/{source}/{shard}"),
    log:
        log_of("paste_nearest/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("paste_nearest/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=COMPLETION,
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        code=digest("stages.completion.paste_nearest"),
        evaluation=lambda wildcards: experiment(wildcards).evaluation.completing,
    shell:
        "python -m workflow_scripts.stages.completion.paste_nearest "
        "--evaluation {params.evaluation:q} "
        "--source {wildcards.source} "
        "--splits {input.splits:q} "
        "--holes {input.holes:q} "
        "--training {input.training:q} "
        "--output {output.completed:q} "
        f"{RECORD}"


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
