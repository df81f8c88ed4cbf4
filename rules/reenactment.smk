"""From faces in videos to a driven face, its scores, videos and figures.

INPUTS
    results/{source}/crops/{shard}.arrow, results/{source}/index/{shard}.parquet, results/{experiment}/splits.parquet,
    results/{experiment}/checkpoints/render.safetensors, results/weights/landmarks.safetensors
OUTPUTS
    results/{experiment}/face_shape.parquet                   the neutral shape of the face that is driven
    results/{experiment}/drawings/{source}/{shard}.arrow      its parts as drawn, and the crop that they were drawn from
    results/{experiment}/driven/{source}/{shard}.arrow        painted frames
    results/{experiment}/metrics/{source}/{shard}.parquet     scores of each frame
    results/{experiment}/metrics.parquet, metrics.json        all of them, and their summary
    results/{experiment}/videos/{source}/                     driver, drawing and output side by side
    results/{experiment}/figures/                             galleries, scores over time, curves
"""


def drawing(wildcards):
    """Return how a source's faces are drawn; only a driver's are given the target's shape, so that it retrains nothing."""
    chosen = experiment(wildcards).drawing
    if wildcards.source in experiment(wildcards).apply:
        return chosen
    return chosen.model_copy(update={"normalize": "none"})


def target_shape(wildcards):
    """Return the target's neutral shape where a driver's landmarks are given it."""
    return "results/{experiment}/face_shape.parquet" if drawing(wildcards).normalize != "none" else []


rule measure_face_shape:
    input:
        training="results/{experiment}/training.parquet",
        crops=lambda wildcards: shards_of("results/{source}/crops/{shard}.arrow", experiment(wildcards).train),
    output:
        "results/{experiment}/face_shape.parquet",
    log:
        "results/logs/measure_face_shape/{experiment}.log",
    benchmark:
        "results/benchmarks/measure_face_shape/{experiment}.tsv"
    wildcard_constraints:
        experiment=REENACTMENT,
    params:
        code=code_digest("stages.reenactment.measure_face_shape"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reenactment.measure_face_shape --training {input.training} --crops {input.crops} --output {output} > {log} 2>&1"


rule draw_landmarks:
    input:
        index="results/{source}/index/{shard}.parquet",
        crops="results/{source}/crops/{shard}.arrow",
        shape=target_shape,
    output:
        drawings="results/{experiment}/drawings/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/draw_landmarks/{source}/{shard}.parquet",
    log:
        "results/logs/draw_landmarks/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/draw_landmarks/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REENACTMENT,
    params:
        code=code_digest("stages.reenactment.draw_landmarks"),
        config=lambda wildcards: drawing(wildcards).canonical(),
        shape=lambda wildcards, input: ["--shape", input.shape] if input.shape else [],
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reenactment.draw_landmarks --config {params.config:q} --index {input.index} --crops {input.crops} "
        "{params.shape} --output {output.drawings} --quarantine {output.quarantine} > {log} 2>&1"


rule drive_faces:
    input:
        checkpoint="results/{experiment}/checkpoints/render.safetensors",
        drawings="results/{experiment}/drawings/{source}/{shard}.arrow",
    output:
        "results/{experiment}/driven/{source}/{shard}.arrow",
    log:
        "results/logs/drive_faces/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/drive_faces/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REENACTMENT,
    resources:
        gpu=GPUS,
    params:
        code=code_digest("stages.reenactment.drive_faces"),
        config=lambda wildcards: experiment(wildcards).slice("inference"),
        seed=CONFIG.seed,
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reenactment.drive_faces --config {params.config:q} --source {wildcards.source} --seed {params.seed} "
        "--checkpoint {input.checkpoint} --drawings {input.drawings} --output {output} --threads {threads} --gpus {resources.gpu} > {log} 2>&1"


rule score_frames:
    input:
        splits="results/{experiment}/splits.parquet",
        crops="results/{source}/crops/{shard}.arrow",
        drawings="results/{experiment}/drawings/{source}/{shard}.arrow",
        driven="results/{experiment}/driven/{source}/{shard}.arrow",
        references=lambda wildcards: shards_of(
            "results/{experiment}/drawings/{source}/{shard}.arrow",
            experiment(wildcards).train,
            experiment=wildcards.experiment,
        ),
        model="results/weights/landmarks.safetensors",
    output:
        "results/{experiment}/metrics/{source}/{shard}.parquet",
    log:
        "results/logs/score_frames/{experiment}/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/score_frames/{experiment}/{source}/{shard}.tsv"
    wildcard_constraints:
        experiment=REENACTMENT,
    params:
        code=code_digest("stages.reenactment.score_frames"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reenactment.score_frames --source {wildcards.source} --splits {input.splits} --crops {input.crops} "
        "--drawings {input.drawings} --driven {input.driven} --references {input.references} "
        "--model {input.model} --output {output} > {log} 2>&1"


rule summarize_frames:
    input:
        metrics=evaluated_shards("results/{experiment}/metrics/{source}/{shard}.parquet"),
        drawings=evaluated_shards("results/{experiment}/drawings/{source}/{shard}.arrow"),
        quarantine=evaluated_shards("results/{experiment}/quarantine/draw_landmarks/{source}/{shard}.parquet"),
        leaks="results/{experiment}/quarantine/assign_splits.parquet",
    output:
        table="results/{experiment}/metrics.parquet",
        summary="results/{experiment}/metrics.json",
        quarantine="results/{experiment}/quarantine.parquet",
    log:
        "results/logs/summarize_frames/{experiment}.log",
    benchmark:
        "results/benchmarks/summarize_frames/{experiment}.tsv"
    wildcard_constraints:
        experiment=REENACTMENT,
    params:
        code=code_digest("stages.reenactment.summarize_frames"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reenactment.summarize_frames --metrics {input.metrics} --drawings {input.drawings} "
        "--quarantine {input.quarantine} {input.leaks} --output {output.table} --summary {output.summary} "
        "--quarantined {output.quarantine} > {log} 2>&1"


# The target's held-out frames and every driver are shown.
VIDEOS = [
    f"results/{name}/videos/{shown}.json"
    for name, chosen in CONFIG.experiments.items()
    if chosen.system == "reenact"
    for shown in [*chosen.test, *chosen.apply]
]


rule write_videos:
    input:
        raw=raw_sample,
        splits="results/{experiment}/splits.parquet",
        index=lambda wildcards: shards_of("results/{source}/index/{shard}.parquet", [wildcards.source]),
        drawings=lambda wildcards: shards_of(
            "results/{experiment}/drawings/{source}/{shard}.arrow", [wildcards.source], experiment=wildcards.experiment
        ),
        driven=lambda wildcards: shards_of(
            "results/{experiment}/driven/{source}/{shard}.arrow", [wildcards.source], experiment=wildcards.experiment
        ),
    output:
        digests="results/{experiment}/videos/{source}.json",
        videos=directory("results/{experiment}/videos/{source}"),
    log:
        "results/logs/write_videos/{experiment}/{source}.log",
    benchmark:
        "results/benchmarks/write_videos/{experiment}/{source}.tsv"
    wildcard_constraints:
        experiment=REENACTMENT,
    params:
        code=lambda wildcards: code_digest("stages.reenactment.write_videos", f"sources.{source(wildcards).type}"),
        video=lambda wildcards: experiment(wildcards).video.canonical(),
        config=lambda wildcards: source(wildcards).slice("max_pixels"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reenactment.write_videos --video {params.video:q} --config {params.config:q} --source {wildcards.source} "
        "--splits {input.splits} --index {input.index} --drawings {input.drawings} --driven {input.driven} "
        "--output {output.videos} --digests {output.digests} > {log} 2>&1"


rule draw_frame_figures:
    input:
        metrics="results/{experiment}/metrics.parquet",
        curves="results/{experiment}/curves/render.parquet",
        index=lambda wildcards: expand(
            "results/{source}/index.parquet", source=CONFIG.used_sources(wildcards.experiment)
        ),
        drawings=evaluated_shards("results/{experiment}/drawings/{source}/{shard}.arrow"),
        driven=evaluated_shards("results/{experiment}/driven/{source}/{shard}.arrow"),
    output:
        digests="results/{experiment}/figures.json",
        figures=report(
            directory("results/{experiment}/figures"),
            patterns=["{figure}.png", "{figure}.svg"],
            category="Figures",
            subcategory="{experiment}",
            labels={"figure": "{figure}"},
            caption="../workflow_scripts/reporting/captions/frame_figure.rst",
        ),
    log:
        "results/logs/draw_frame_figures/{experiment}.log",
    benchmark:
        "results/benchmarks/draw_frame_figures/{experiment}.tsv"
    wildcard_constraints:
        experiment=REENACTMENT,
    params:
        code=code_digest("stages.reenactment.draw_frame_figures"),
        config=lambda wildcards: experiment(wildcards).slice("gallery", "train", "test", "apply"),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.reenactment.draw_frame_figures --config {params.config:q} --metrics {input.metrics} "
        "--curves {input.curves} --index {input.index} --drawings {input.drawings} --driven {input.driven} "
        "--output {output.figures} --digests {output.digests} > {log} 2>&1"
