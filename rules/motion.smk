"""From the frames of videos to masks of what moves in them.

INPUTS
    results/{source}/index/{shard}.parquet of videos and of sources of type davis, whose frames are read again
OUTPUTS
    results/{source}/motion/{shard}.parquet                        a mask of moving objects for each frame, 0..100
    results/{source}/quarantine/segment_motion/{shard}.parquet     frames of which no mask can be made
    results/{source}/motion_scores.parquet                         davis: J and F of each sequence
    results/{source}/motion_scores.json                            davis: their means over the sequences
    results/{source}/export_motion/                                masks as indexed PNG, only when asked for
"""

MOVING = "|".join(sources_with("motion")) or "(?!)"
DAVIS = "|".join(name for name in sources_with("motion") if CONFIG.sources[name].type == "davis") or "(?!)"


def annotations(wildcards):
    """Return the digest of the annotations, which newer times of the same contents do not change."""
    from workflow_scripts.sources.davis import list_annotations

    return listing_digest(
        list_annotations(source(wildcards)), RECORDS / f"contents/{wildcards.source}/annotations.json"
    )


rule segment_motion:
    input:
        raw=raw_sample,
        index="results/{source}/index/{shard}.parquet",
    output:
        motion="results/{source}/motion/{shard}.parquet",
        quarantine="results/{source}/quarantine/segment_motion/{shard}.parquet",
        record=record_of("segment_motion/{source}/{shard}"),
    log:
        log_of("segment_motion/{source}/{shard}"),
    benchmark:
        benchmark_of("segment_motion/{source}/{shard}")
    wildcard_constraints:
        source=MOVING,
    resources:
        mem_mb=3000,
        runtime=600,
    params:
        code=lambda wildcards: digest("stages.motion.segment_motion", f"sources.{source(wildcards).type}"),
        source=lambda wildcards: source(wildcards).slice("max_pixels", "motion"),
    shell:
        "python -m workflow_scripts.stages.motion.segment_motion --reuse "
        "--source {params.source:q} "
        "--index {input.index:q} "
        "--output {output.motion:q} "
        "--quarantine {output.quarantine:q} "
        "--depends {input.raw:q} "
        f"{RECORD}"


rule score_motion:
    input:
        motion=of_source("results/{source}/motion/{shard}.parquet"),
    output:
        table="results/{source}/motion_scores.parquet",
        summary="results/{source}/motion_scores.json",
        contents=f"{RECORDS}/contents/{{source}}/annotations.json",
        record=record_of("score_motion/{source}"),
    log:
        log_of("score_motion/{source}"),
    benchmark:
        benchmark_of("score_motion/{source}")
    wildcard_constraints:
        source=DAVIS,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=digest("stages.motion.score_motion", "sources.davis"),
        source=lambda wildcards: source(wildcards).slice("max_pixels", "motion"),
        listing=annotations,
    shell:
        "python -m workflow_scripts.stages.motion.score_motion "
        "--source {params.source:q} "
        "--motion {input.motion:q} "
        "--listing {params.listing} "
        "--contents {output.contents:q} "
        "--output {output.table:q} "
        "--summary {output.summary:q} "
        f"{RECORD}"


rule export_motion:
    input:
        motion=of_source("results/{source}/motion/{shard}.parquet"),
    output:
        folder=directory("results/{source}/export_motion"),
        record=record_of("export_motion/{source}"),
    log:
        log_of("export_motion/{source}"),
    benchmark:
        benchmark_of("export_motion/{source}")
    wildcard_constraints:
        source=MOVING,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=digest("stages.motion.export_motion"),
        foreground=lambda wildcards: source(wildcards).motion.foreground,
    shell:
        "python -m workflow_scripts.stages.motion.export_motion "
        "--motion {input.motion:q} "
        "--foreground {params.foreground} "
        "--output {output.folder:q} "
        f"{RECORD}"
