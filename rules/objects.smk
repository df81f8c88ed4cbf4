"""From annotation files in COCO's format to objects and captions, for sources of type `coco`.

INPUTS
    the annotation files of the source, results/{source}/index/{shard}.parquet
OUTPUTS
    results/{source}/annotations/                               the entries of the annotation files, divided by shard
    results/{source}/objects/{shard}.parquet                    objects: category, box, mask, keypoints
    results/{source}/captions/{shard}.parquet                   captions
    results/{source}/quarantine/read_objects/{shard}.parquet    entries of this shard that cannot be used
    results/{source}/rejected_annotations.parquet               all entries that cannot be used, with their reasons
"""

from workflow_scripts.sources import coco

COCO = "|".join(name for name, chosen in CONFIG.sources.items() if chosen.type == "coco") or "(?!)"


rule split_annotations:
    input:
        lambda wildcards: [str(path) for path in coco.annotation_files(source(wildcards))],
    output:
        folder=directory("results/{source}/annotations"),
        record=record_of("split_annotations/{source}"),
    log:
        log_of("split_annotations/{source}"),
    benchmark:
        benchmark_of("split_annotations/{source}")
    wildcard_constraints:
        source=COCO,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=digest("stages.objects.split_annotations"),
        shards=lambda wildcards: len(SHARDS[wildcards.source]),
    shell:
        "python -m workflow_scripts.stages.objects.split_annotations "
        "--annotations {input:q} "
        "--shards {params.shards} "
        "--output {output.folder:q} "
        f"{RECORD}"


rule read_objects:
    input:
        annotations="results/{source}/annotations",
        index="results/{source}/index/{shard}.parquet",
        rejected="results/{source}/quarantine/index_source/{shard}.parquet",
    output:
        objects="results/{source}/objects/{shard}.parquet",
        captions="results/{source}/captions/{shard}.parquet",
        quarantine="results/{source}/quarantine/read_objects/{shard}.parquet",
        record=record_of("read_objects/{source}/{shard}"),
    log:
        log_of("read_objects/{source}/{shard}"),
    benchmark:
        benchmark_of("read_objects/{source}/{shard}")
    wildcard_constraints:
        source=COCO,
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        code=digest("stages.objects.read_objects"),
        source=lambda wildcards: source(wildcards).slice("subset"),
    shell:
        "python -m workflow_scripts.stages.objects.read_objects "
        "--source {params.source:q} "
        "--annotations {input.annotations:q} "
        "--shard {wildcards.shard} "
        "--index {input.index:q} "
        "--rejected-pictures {input.rejected:q} "
        "--output {output.objects:q} "
        "--captions {output.captions:q} "
        "--quarantine {output.quarantine:q} "
        f"{RECORD}"


rule collect_rejected_annotations:
    input:
        of_source("results/{source}/quarantine/read_objects/{shard}.parquet"),
    output:
        rejected="results/{source}/rejected_annotations.parquet",
        record=record_of("collect_rejected_annotations/{source}"),
    log:
        log_of("collect_rejected_annotations/{source}"),
    benchmark:
        benchmark_of("collect_rejected_annotations/{source}")
    wildcard_constraints:
        source=COCO,
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=digest("stages.objects.collect_rejected_annotations"),
    shell:
        "python -m workflow_scripts.stages.objects.collect_rejected_annotations "
        "--rejected {input:q} "
        "--output {output.rejected:q} "
        f"{RECORD}"
