"""From faces in videos to a driven face, its scores and its videos.

INPUTS
    results/{source}/crops/{shard}.arrow, results/{source}/index/{shard}.parquet, results/{experiment}/splits.parquet,
    results/{experiment}/checkpoints/render.safetensors, results/weights/landmarks.safetensors
OUTPUTS
    results/{experiment}/face_shape.parquet                                  the neutral shape of the driven face
    results/{experiment}/face_limits.parquet                                  how it is turned in the training frames
    results/{experiment}/drawings/{source}/{shard}.arrow                     drawn parts of the face, and the crop
    results/{experiment}/quarantine/draw_landmarks/{source}/{shard}.parquet  frames that cannot be drawn
    results/{experiment}/driven/{source}/{shard}.arrow                       painted frames
    results/{experiment}/metrics/{source}/{shard}.parquet                    scores of each frame
    results/{experiment}/videos/{source}/                                    driver, drawing, output side by side
    results/{experiment}/videos/{source}.json                                digests of the videos
"""

REENACTMENT = experiments_of("reenactment")


def drawing(wildcards):
    """Return how a source's faces are drawn. Only a driver's are given the target's shape and turns, which train nothing anew."""
    chosen = experiment(wildcards).drawing
    if wildcards.source in experiment(wildcards).apply:
        return chosen
    return chosen.model_copy(update={"normalize": "none", "turn_beyond": None})


def of_target(table):
    """Return a function that returns a table of the target's face where a driver's landmarks are given its shape."""
    return lambda wildcards: f"results/{{experiment}}/{table}.parquet" if drawing(wildcards).normalize != "none" else []


rule measure_face_shape:
    input:
        training="results/{experiment}/training.parquet",
        crops=lambda wildcards: shards_of("results/{source}/crops/{shard}.arrow", experiment(wildcards).train),
    output:
        shape="results/{experiment}/face_shape.parquet",
        limits="results/{experiment}/face_limits.parquet",
        record=record_of("measure_face_shape/{experiment}"),
    log:
        log_of("measure_face_shape/{experiment}"),
    benchmark:
        benchmark_of("measure_face_shape/{experiment}")
    wildcard_constraints:
        experiment=REENACTMENT,
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=digest("stages.reenactment.measure_face_shape"),
    shell:
        "python -m workflow_scripts.stages.reenactment.measure_face_shape "
        "--training {input.training:q} "
        "--crops {input.crops:q} "
        "--shape {output.shape:q} "
        "--limits {output.limits:q} "
        f"{RECORD}"


rule draw_landmarks:
    input:
        index="results/{source}/index/{shard}.parquet",
        crops="results/{source}/crops/{shard}.arrow",
        shape=of_target("face_shape"),
        limits=of_target("face_limits"),
    output:
        drawings="results/{experiment}/drawings/{source}/{shard}.arrow",
        quarantine="results/{experiment}/quarantine/draw_landmarks/{source}/{shard}.parquet",
        record=record_of("draw_landmarks/{experiment}/{source}/{shard}"),
    log:
        log_of("draw_landmarks/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("draw_landmarks/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=REENACTMENT,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=digest("stages.reenactment.draw_landmarks"),
        drawing=lambda wildcards: drawing(wildcards).canonical(),
    shell:
        "python -m workflow_scripts.stages.reenactment.draw_landmarks "
        "--drawing {params.drawing:q} "
        "--index {input.index:q} "
        "--crops {input.crops:q} "
        "--shape {input.shape:q} "
        "--limits {input.limits:q} "
        "--output {output.drawings:q} "
        "--quarantine {output.quarantine:q} "
        f"{RECORD}"


rule drive_faces:
    input:
        checkpoint="results/{experiment}/checkpoints/render.safetensors",
        sidecar="results/{experiment}/checkpoints/render.json",
        drawings="results/{experiment}/drawings/{source}/{shard}.arrow",
    output:
        driven="results/{experiment}/driven/{source}/{shard}.arrow",
        record=record_of("drive_faces/{experiment}/{source}/{shard}"),
    log:
        log_of("drive_faces/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("drive_faces/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=REENACTMENT,
    resources:
        mem_mb=3000,
        runtime=120,
        gpu=lambda wildcards: gpus(),
    params:
        gpus=given_gpus,
        code=lambda wildcards: digest(
            "stages.reenactment.drive_faces", f"systems.{experiment(wildcards).system}.inference"
        ),
        experiment=lambda wildcards: experiment(wildcards).slice("inference"),
        seed=CONFIG.seed,
    shell:
        "python -m workflow_scripts.stages.reenactment.drive_faces "
        "--experiment {params.experiment:q} "
        "--source {wildcards.source} "
        "--seed {params.seed} "
        "--checkpoint {input.checkpoint:q} "
        "--drawings {input.drawings:q} "
        "--output {output.driven:q} "
        "--threads {threads} "
        "--gpus {params.gpus} "
        f"{RECORD}"


rule score_frames:
    input:
        splits="results/{experiment}/splits.parquet",
        crops="results/{source}/crops/{shard}.arrow",
        drawings="results/{experiment}/drawings/{source}/{shard}.arrow",
        driven="results/{experiment}/driven/{source}/{shard}.arrow",
        references=lambda wildcards: experiment_shards(["drawings"], experiment(wildcards).train, wildcards.experiment),
        model="results/weights/landmarks.safetensors",
    output:
        metrics="results/{experiment}/metrics/{source}/{shard}.parquet",
        record=record_of("score_frames/{experiment}/{source}/{shard}"),
    log:
        log_of("score_frames/{experiment}/{source}/{shard}"),
    benchmark:
        benchmark_of("score_frames/{experiment}/{source}/{shard}")
    wildcard_constraints:
        experiment=REENACTMENT,
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        code=digest("stages.reenactment.score_frames"),
    shell:
        "python -m workflow_scripts.stages.reenactment.score_frames "
        "--source {wildcards.source} "
        "--splits {input.splits:q} "
        "--crops {input.crops:q} "
        "--drawings {input.drawings:q} "
        "--driven {input.driven:q} "
        "--references {input.references:q} "
        "--model {input.model:q} "
        "--output {output.metrics:q} "
        f"{RECORD}"


rule write_videos:
    input:
        raw=raw_sample,
        splits="results/{experiment}/splits.parquet",
        index=of_source("results/{source}/index/{shard}.parquet"),
        drawings=lambda wildcards: experiment_shards(["drawings"], [wildcards.source], wildcards.experiment),
        driven=lambda wildcards: experiment_shards(["driven"], [wildcards.source], wildcards.experiment),
    output:
        digests="results/{experiment}/videos/{source}.json",
        videos=directory("results/{experiment}/videos/{source}"),
        record=record_of("write_videos/{experiment}/{source}"),
    log:
        log_of("write_videos/{experiment}/{source}"),
    benchmark:
        benchmark_of("write_videos/{experiment}/{source}")
    wildcard_constraints:
        experiment=REENACTMENT,
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        code=lambda wildcards: digest("stages.reenactment.write_videos", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("max_pixels"),
        video=lambda wildcards: experiment(wildcards).video.canonical(),
    shell:
        "python -m workflow_scripts.stages.reenactment.write_videos "
        "--name {wildcards.source} "
        "--source {params.source:q} "
        "--video {params.video:q} "
        "--splits {input.splits:q} "
        "--index {input.index:q} "
        "--drawings {input.drawings:q} "
        "--driven {input.driven:q} "
        "--output {output.videos:q} "
        "--digests {output.digests:q} "
        "--depends {input.raw:q} "
        f"{RECORD}"
