"""From items to faces.

INPUTS
    results/{source}/index/{shard}.parquet, results/weights/landmarks.safetensors
OUTPUTS
    results/{source}/landmarks/{shard}.parquet    every face found: box, score, 68 points
    results/{source}/landmark_check.parquet       their distance from given points and from detected landmarks, and .json
    results/{source}/crops/{shard}.arrow          the chosen face, aligned, with its points
    results/{source}/quarantine.parquet           every input without a crop, with its reason
"""

import json


def detector_weights(wildcards):
    """Return the paths, by their keys, of the weights that a source's detector needs."""
    return CONFIG.weights.of_detector(source(wildcards).faces.detector)


rule find_landmarks:
    input:
        raw=raw_sample,
        weights=lambda wildcards: list(detector_weights(wildcards).values()),
        model="results/weights/landmarks.safetensors",
        index="results/{source}/index/{shard}.parquet",
    output:
        landmarks="results/{source}/landmarks/{shard}.parquet",
        quarantine="results/{source}/quarantine/find_landmarks/{shard}.parquet",
    log:
        "results/logs/find_landmarks/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/find_landmarks/{source}/{shard}.tsv"
    params:
        code=lambda wildcards: code_digest("stages.faces.find_landmarks", f"sources.{source(wildcards).type}"),
        config=lambda wildcards: source(wildcards).slice("faces", "max_pixels"),
        weights=lambda wildcards: json.dumps(detector_weights(wildcards)),
        lock=LOCK,
    shell:
        REUSE
        + "python -m workflow_scripts.stages.faces.find_landmarks --config {params.config:q} --weights {params.weights:q} --index {input.index} "
        "--model {input.model} --output {output.landmarks} --quarantine {output.quarantine} > {log} 2>&1"


rule check_landmarks:
    input:
        raw=raw_sample,
        weights=lambda wildcards: list(detector_weights(wildcards).values()),
        model="results/weights/landmarks.safetensors",
        index=lambda wildcards: shards_of("results/{source}/index/{shard}.parquet", [wildcards.source]),
        landmarks=lambda wildcards: shards_of("results/{source}/landmarks/{shard}.parquet", [wildcards.source]),
    output:
        table="results/{source}/landmark_check.parquet",
        summary="results/{source}/landmark_check.json",
    log:
        "results/logs/check_landmarks/{source}.log",
    benchmark:
        "results/benchmarks/check_landmarks/{source}.tsv"
    params:
        code=lambda wildcards: code_digest("stages.faces.check_landmarks", f"sources.{source(wildcards).type}"),
        config=lambda wildcards: source(wildcards).slice("faces", "max_pixels"),
        weights=lambda wildcards: json.dumps(detector_weights(wildcards)),
        lock=LOCK,
    shell:
        "python -m workflow_scripts.stages.faces.check_landmarks --config {params.config:q} --weights {params.weights:q} --index {input.index} "
        "--landmarks {input.landmarks} --model {input.model} --output {output.table} --summary {output.summary} > {log} 2>&1"


rule crop_faces:
    input:
        raw=raw_sample,
        index="results/{source}/index/{shard}.parquet",
        landmarks="results/{source}/landmarks/{shard}.parquet",
    output:
        crops="results/{source}/crops/{shard}.arrow",
        quarantine="results/{source}/quarantine/crop_faces/{shard}.parquet",
    log:
        "results/logs/crop_faces/{source}/{shard}.log",
    benchmark:
        "results/benchmarks/crop_faces/{source}/{shard}.tsv"
    params:
        code=lambda wildcards: code_digest("stages.faces.crop_faces", f"sources.{source(wildcards).type}"),
        config=lambda wildcards: source(wildcards).slice("crop", "max_pixels"),
        lock=LOCK,
    shell:
        REUSE
        + "python -m workflow_scripts.stages.faces.crop_faces --config {params.config:q} --index {input.index} --landmarks {input.landmarks} "
        "--output {output.crops} --quarantine {output.quarantine} > {log} 2>&1"


rule collect_quarantine:
    input:
        lambda wildcards: [
            path
            for stage in ("index_source", "find_landmarks", "crop_faces")
            for path in shards_of(f"results/{{source}}/quarantine/{stage}/{{shard}}.parquet", [wildcards.source])
        ],
    output:
        "results/{source}/quarantine.parquet",
    log:
        "results/logs/collect_quarantine/{source}.log",
    benchmark:
        "results/benchmarks/collect_quarantine/{source}.tsv"
    params:
        code=code_digest("core.merge_tables"),
    shell:
        "python -m workflow_scripts.core.merge_tables --output {output} {input} > {log} 2>&1"
