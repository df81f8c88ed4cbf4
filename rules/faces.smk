"""From items to faces.

INPUTS
    results/{source}/index/{shard}.parquet, results/weights/landmarks.safetensors
OUTPUTS
    results/{source}/landmarks/{shard}.parquet                    every face found: box, score, 68 points
    results/{source}/landmark_check.parquet                       their distances from CelebA's own points
    results/{source}/landmark_check.json                          the distribution of these distances
    results/{source}/crops/{shard}.arrow                          the chosen face, cut out, with its points
    results/{source}/quarantine/find_landmarks/{shard}.parquet    pictures without a face, or that cannot be decoded
    results/{source}/quarantine/crop_faces/{shard}.parquet        faces that cannot be cut out
"""

import json


def detector_weights(wildcards):
    """Return the paths, by their keys, of the weights that a source's detector needs."""
    detector = source(wildcards).faces.detector
    if detector == "centerface":
        return {"centerface": "results/weights/centerface.safetensors"}
    return {name: local(path) for name, path in CONFIG.weights.of_detector(detector).items()}


rule find_landmarks:
    input:
        raw=raw_sample,
        weights=lambda wildcards: list(detector_weights(wildcards).values()),
        model="results/weights/landmarks.safetensors",
        index="results/{source}/index/{shard}.parquet",
    output:
        landmarks="results/{source}/landmarks/{shard}.parquet",
        quarantine="results/{source}/quarantine/find_landmarks/{shard}.parquet",
        record=record_of("find_landmarks/{source}/{shard}"),
    log:
        log_of("find_landmarks/{source}/{shard}"),
    benchmark:
        benchmark_of("find_landmarks/{source}/{shard}")
    group:
        faces_of_shard
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        code=lambda wildcards: digest("stages.faces.find_landmarks", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("faces", "max_pixels"),
        weights=lambda wildcards, input: json.dumps(dict(zip(detector_weights(wildcards), input.weights))),
    shell:
        "python -m workflow_scripts.stages.faces.find_landmarks --reuse "
        "--source {params.source:q} "
        "--weights {params.weights:q} "
        "--index {input.index:q} "
        "--model {input.model:q} "
        "--output {output.landmarks:q} "
        "--quarantine {output.quarantine:q} "
        "--depends {input.raw:q} {input.weights:q} "
        f"{RECORD}"


rule check_landmarks:
    input:
        raw=raw_sample,
        weights=lambda wildcards: list(detector_weights(wildcards).values()),
        model="results/weights/landmarks.safetensors",
        index=of_source("results/{source}/index/{shard}.parquet"),
        landmarks=of_source("results/{source}/landmarks/{shard}.parquet"),
    output:
        table="results/{source}/landmark_check.parquet",
        summary="results/{source}/landmark_check.json",
        record=record_of("check_landmarks/{source}"),
    log:
        log_of("check_landmarks/{source}"),
    benchmark:
        benchmark_of("check_landmarks/{source}")
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        code=lambda wildcards: digest("stages.faces.check_landmarks", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("faces", "max_pixels"),
        weights=lambda wildcards, input: json.dumps(dict(zip(detector_weights(wildcards), input.weights))),
    shell:
        "python -m workflow_scripts.stages.faces.check_landmarks "
        "--source {params.source:q} "
        "--weights {params.weights:q} "
        "--index {input.index:q} "
        "--landmarks {input.landmarks:q} "
        "--model {input.model:q} "
        "--output {output.table:q} "
        "--summary {output.summary:q} "
        "--depends {input.raw:q} {input.weights:q} "
        f"{RECORD}"


rule crop_faces:
    input:
        raw=raw_sample,
        index="results/{source}/index/{shard}.parquet",
        landmarks="results/{source}/landmarks/{shard}.parquet",
    output:
        crops="results/{source}/crops/{shard}.arrow",
        quarantine="results/{source}/quarantine/crop_faces/{shard}.parquet",
        record=record_of("crop_faces/{source}/{shard}"),
    log:
        log_of("crop_faces/{source}/{shard}"),
    benchmark:
        benchmark_of("crop_faces/{source}/{shard}")
    group:
        faces_of_shard
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        code=lambda wildcards: digest("stages.faces.crop_faces", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("crop", "max_pixels"),
    shell:
        "python -m workflow_scripts.stages.faces.crop_faces --reuse "
        "--source {params.source:q} "
        "--index {input.index:q} "
        "--landmarks {input.landmarks:q} "
        "--output {output.crops:q} "
        "--quarantine {output.quarantine:q} "
        "--depends {input.raw:q} "
        f"{RECORD}"
